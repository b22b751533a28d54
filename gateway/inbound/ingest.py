"""From a received message to its reply: route, call what stands around the handler, answer."""

import asyncio
import re
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, Final

from msgspec.structs import replace

from gateway.errors import GatewayError, place_of
from gateway.identity.people import Person
from gateway.identity.told import user_of
from gateway.inbound.bot import Bot, Middleware, Route
from gateway.inbound.context import Context
from gateway.inbound.handlers import Call, bind_handler
from gateway.inbound.router import Match, Router
from gateway.protocol.messages import Message
from gateway.protocol.replies import NewsReply, Reply, displayable, to_reply
from gateway.telemetry.logs import get_logger
from gateway.telemetry.metrics import Metrics
from gateway.telemetry.subject import SUBJECT

FindSender = Callable[[str, Message], Awaitable[Person | None]]
"""Finds whom a message to an account is from, by its name; None where they were erased since."""

FAILURES: Final = (Exception, SystemExit, asyncio.CancelledError)
"""What a handler can raise: sys.exit(), and the awaiting of something cancelled, among it."""

_log = get_logger("gateway.inbound")


class HandlerFailed(Exception):
    """A handler raised and nothing answered for it; logged already, the cause attached."""


class Ingest:
    """Answers messages with a bot."""

    def __init__(
        self, bot: Bot, sender: FindSender | None = None, metrics: Metrics | None = None
    ) -> None:
        """``sender`` finds who a user of an account is; None where nobody is known."""
        self._metrics = metrics or Metrics()
        self._router = Router(bot)
        self._sender = sender
        # Where nothing matches, the bot's own middlewares still see the message.
        nothing = replace(bind_handler(_unmatched, None), name="no handler")
        self._unmatched = Match(
            Route(Message, (), nothing, bot.middlewares, bot.error_handler), None
        )

    def find(self, message: Message) -> Match:
        """Return what takes the message."""
        return self._router.find(message) or self._unmatched

    async def answer(self, match: Match, message: Message, context: Context) -> Reply | None:
        """Return the reply to a message, or None for a bare ``success``.

        Raises HandlerFailed where a handler failed and no ``on_error`` answered.
        """
        route, found = match
        SUBJECT.set(context)
        try:
            plain = None if route.middlewares else route.handler.plain
            if plain is not None and found is None:
                return _reply(await plain(message), message)
            self._introduce(message, context)
            if not route.middlewares:
                value = await route.handler(message, found, context)
            else:
                value = await _chain(route, found, route.middlewares, message, context)
            return _reply(value, message)
        except FAILURES as error:
            if is_cancelled(error):
                raise
            self._metrics.handler_failures.add((route.handler.name,))
            if route.on_error is not None:
                self._introduce(message, context)
            return await _recover(error, route, message, context)

    def _introduce(self, message: Message, context: Context) -> None:
        """Let the context find who sent the message, for those who are given it."""
        if self._sender is not None and user_of(message):
            context.know(partial(self._sender, context.account.name, message))


async def _unmatched(_message: Message) -> None:
    """Take what no handler of the bot takes."""


def _chain(
    route: Route,
    found: re.Match[str] | None,
    middlewares: tuple[Middleware, ...],
    message: Message,
    context: Context,
) -> Awaitable[Any]:
    """Call the first middleware with a ``call_next`` that goes on with the rest."""
    if not middlewares:
        return route.handler(message, found, context)

    def call_next(message: Message = message, context: Context = context) -> Awaitable[Any]:
        return _chain(route, found, middlewares[1:], message, context)

    return middlewares[0](message, context, call_next)


async def _recover(
    error: BaseException, route: Route, message: Message, context: Context
) -> Reply | None:
    """Return what ``on_error`` answers; log, and raise HandlerFailed, where it does not."""
    name = route.handler.name
    if route.on_error is not None:
        reply, second = await _excuse(route.on_error, error, message, context)
        if second is None:
            return reply
        error, name = second, f"{name}, then its on_error"
    _log.error(
        "handler failed",
        handler=name,
        # Our own errors say what to mend and hold nothing that was sent; others may.
        error=str(error) if isinstance(error, GatewayError) else type(error).__name__,
        at=place_of(error),
        type=type(message).__name__,
        account=context.account.name,
        trace_id=context.trace_id,
    )
    raise HandlerFailed(name) from error


async def _excuse(
    on_error: Call, error: BaseException, message: Message, context: Context
) -> tuple[Reply | None, BaseException | None]:
    """Return what ``on_error`` answers, or what it raised.

    In a frame of its own: one that holds the exception it is part of makes a cycle of both.
    """
    try:
        return _reply(await on_error(error, message, context), message), None
    except FAILURES as second:
        if is_cancelled(second):
            raise
        return None, second


def is_cancelled(error: BaseException) -> bool:
    """Tell a cancelled request from a handler that awaited something cancelled."""
    task = asyncio.current_task()
    return isinstance(error, asyncio.CancelledError) and task is not None and task.cancelling() > 0


def _reply(value: object, message: Message) -> Reply | None:
    reply = to_reply(value)
    if not isinstance(reply, NewsReply):
        return reply
    shown = displayable(reply, message)
    if shown is not reply:
        _log.warning("news cut to one article: WeChat shows no more in answer to a message")
    return shown
