"""The bot of the end-to-end tests: one handler for each thing that can become of a message."""

import asyncio
import re
import threading
from pathlib import Path
from typing import Any

from gateway import (
    Article,
    Bot,
    Click,
    CloudEvent,
    Context,
    Message,
    Subscribe,
    Text,
    TransferReply,
)

bot = Bot()


def _note(name: str) -> None:
    """Add a line to runs.log in the working directory; several processes may."""
    with Path("runs.log").open("a", encoding="utf-8") as log:
        log.write(f"{name}\n")


@bot.on(Text, content="fail")
async def fail(message: Text) -> str:
    """Raise, with what must not be logged in the exception."""
    raise RuntimeError(f"SECRET-{message.content}-{message.from_user_name}")


@bot.on(Text, content="wrong")
async def wrong(message: Text) -> Any:
    """Return what is no reply."""
    return 42


@bot.on(Text, content="slow")
async def slow(message: Text) -> str:
    """Take longer than a stop's usual patience, not longer than WeChat's."""
    await asyncio.sleep(1.0)
    return "at last"


@bot.on(Text, content=re.compile(r"^sleep (\d+(?:\.\d+)?) (\w+)$"))
async def sleep(message: Text, seconds: str, name: str) -> str:
    """Answer after a while; leave a line for each run."""
    _note(name)
    await asyncio.sleep(float(seconds))
    return f"slept {seconds}"


@bot.on(Text, content=re.compile(r"^later (\w+)$"), background=True, instant="in a moment")
async def later(message: Text, name: str, context: Context) -> str:
    """Run in the background; leave a line for each run."""
    _note(name)
    if name.startswith("poison"):
        raise RuntimeError(f"SECRET-{message.content}")
    if name.startswith("flaky") and context.attempt < 3:
        raise RuntimeError
    return f"done {name}"


@bot.on(Text, content="nothing")
async def nothing(message: Text) -> None:
    """Answer success."""


@bot.on(Text, content="illegal")
async def illegal(message: Text) -> str:
    """Return what XML cannot hold."""
    return "a\0b]]>c\ud800d"


@bot.on(Text, content="context")
async def show_context(message: Text, context: Context) -> str:
    """Tell what the Context says."""
    tenant = context.query.get("tenant", "-")
    return f"{context.account.name} {context.attempt} {context.trace_id} {tenant}"


@bot.on(Text, content="who am i")
async def who_am_i(message: Text, context: Context) -> str:
    """Tell who wrote, asked twice."""
    person = await context.identity()
    assert await context.identity() is person
    return f"you are {person.id} of {len(person.identities)} {' '.join(person.tags)}"


@bot.on(Text, content="who was i", background=True)
async def who_was_i(message: Text, context: Context) -> None:
    """Leave a line that tells who wrote."""
    _note(f"identity {(await context.identity()).id}")


@bot.on(Text, content="flaky")
async def flaky(message: Text, context: Context) -> str:
    """Fail at first."""
    if context.attempt == 1:
        raise RuntimeError
    return f"attempt {context.attempt}"


@bot.on(Text, content="thread")
def in_thread(message: Text) -> str:
    """Tell whether a plain function runs off the event loop's thread."""
    return "other" if threading.current_thread() is not threading.main_thread() else "main"


@bot.on(Text, content=re.compile(r"^obey (\w+/\w+)$"))
async def obey(message: Text, type_: str) -> str:
    """Register a handler of events while the gateway runs."""

    async def obeyed(event: CloudEvent) -> None:
        _note(f"obeyed {event.type}:{event.data}")

    obeyed.__qualname__ = type_
    bot.on_event(type_)(obeyed)
    return "as you wish"


@bot.on(Text)
async def echo(message: Text) -> str:
    """Repeat the text."""
    return message.content


@bot.on_event("user.*")
async def note_event(event: CloudEvent) -> None:
    """Leave a line for each."""
    _note(f"{event.type}:{event.subject}")


@bot.on_event("command/*")
async def command(event: CloudEvent) -> None:
    """Leave a line for each."""
    _note(f"{event.type}:{event.source}:{event.data}")


@bot.on(Subscribe)
async def scene(message: Subscribe) -> str:
    """Tell the scene."""
    return f"scene {message.scene}"


@bot.on(Click, key="news")
async def news(message: Click) -> list[Article]:
    """Answer with two articles."""
    return [Article("one"), Article("two")]


@bot.on(Click)
async def transfer(message: Click) -> TransferReply:
    """Hand over to customer service."""
    return TransferReply("kf@test")


@bot.on(Message)
async def anything(message: Message) -> str:
    """Name the type of anything else."""
    return type(message).__name__


empty = Bot()
"""A bot without handlers."""
