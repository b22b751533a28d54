"""What a step costs as its work grows: bodies, accounts, routes, messages that are remembered."""
