"""Why the gates could not be tried."""


class CannotRun(Exception):
    """The gates could not be tried; the message says what to do."""
