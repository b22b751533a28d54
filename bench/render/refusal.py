"""Why a document cannot be written."""


class CannotRender(Exception):
    """A result is missing, or a document asks for what is not there; the message says which."""
