"""The bot of the measured gateway: it says back what it was told."""

from gateway import Bot, Text

echo = Bot()


@echo.on(Text)
async def answer(message: Text) -> str:
    """Answer a text with its echo."""
    return "echo: " + message.content
