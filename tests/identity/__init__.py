"""Who users are: people, sign-ins, sessions."""
