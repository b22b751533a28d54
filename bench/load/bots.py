"""The bot of the measured gateway: it says back what it was told."""

from gateway import Bot, Text

echo = Bot()


@echo.on(Text)
async def answer(message: Text) -> str:
    """Answer a text with its echo."""
    return "echo: " + message.content


background = Bot()


@background.on(Text, background=True, instant="in a moment")
async def later(message: Text) -> None:
    """Do nothing: what is measured is taking the message in."""
