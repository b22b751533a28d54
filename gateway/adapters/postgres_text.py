"""Text as Postgres can hold it: without NUL, and told apart from what had none."""


def held(text: str) -> str:
    """Return the text without NUL, which Postgres cannot hold; what begins so still does."""
    return text.replace("␀", "␀␀").replace("\0", "␀0")


def given(held_text: str) -> str:
    """Return the text that was given to ``held``."""
    if "␀" not in held_text:
        return held_text
    return "␀".join(part.replace("␀0", "\0") for part in held_text.split("␀␀"))
