"""Who a user is: sign-in, sessions, and one person over many apps."""
