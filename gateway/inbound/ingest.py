"""From a received message to its reply: route, call what stands around the handler, answer."""

import logging
import re
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

from gateway.inbound.bot import Bot, Middleware, Route
from gateway.inbound.context import Context
from gateway.inbound.handlers import Call
from gateway.inbound.router import Router
from gateway.protocol.messages import Message
from gateway.protocol.replies import Reply, displayable, to_reply

_log = logging.getLogger("gateway.inbound")


class HandlerFailed(Exception):
    """A handler raised and nothing answered for it; logged already, the cause attached."""


class Ingest:
    """Answers messages with a bot."""

    def __init__(self, bot: Bot) -> None:
        self._router = Router(bot)
        self._middlewares = bot.middlewares
        self._on_error = bot.error_handler

    async def answer(self, message: Message, context: Callable[[], Context]) -> Reply | None:
        """Return the reply to a message, or None for a bare ``success``.

        ``context`` makes the Context, and is called only where someone asks for it. Raises
        HandlerFailed where a handler failed and no ``on_error`` answered.
        """
        match = self._router.find(message)
        if match is None:
            if not self._middlewares:
                return None
            return await self._guarded(
                _nothing, "no handler", message, context(), self._middlewares, self._on_error
            )
        route, found = match
        if not route.middlewares and not route.handler.wants_context:
            try:
                return _reply(await route.handler(message, found, None), message)
            except Exception as error:
                return await _recover(error, route.handler.name, message, context(), route.on_error)
        made = context()
        return await self._guarded(
            partial(_handle, route, found),
            route.handler.name,
            message,
            made,
            route.middlewares,
            route.on_error,
        )

    async def _guarded(
        self,
        handle: Callable[[Message, Context], Awaitable[Any]],
        name: str,
        message: Message,
        context: Context,
        middlewares: tuple[Middleware, ...],
        on_error: Call | None,
    ) -> Reply | None:
        try:
            value = await _chain(middlewares, handle, message, context)
            return _reply(value, message)
        except Exception as error:
            return await _recover(error, name, message, context, on_error)


async def _nothing(_message: Message, _context: Context) -> None:
    return None


def _handle(
    route: Route, found: re.Match[str] | None, message: Message, context: Context
) -> Awaitable[Any]:
    return route.handler(message, found, context)


def _chain(
    middlewares: tuple[Middleware, ...],
    handle: Callable[[Message, Context], Awaitable[Any]],
    message: Message,
    context: Context,
) -> Awaitable[Any]:
    """Call the first middleware with a ``call_next`` that goes on with the rest."""
    if not middlewares:
        return handle(message, context)

    def call_next(message: Message = message, context: Context = context) -> Awaitable[Any]:
        return _chain(middlewares[1:], handle, message, context)

    return middlewares[0](message, context, call_next)


async def _recover(
    error: Exception, name: str, message: Message, context: Context, on_error: Call | None
) -> Reply | None:
    """Return what ``on_error`` answers; log, and raise HandlerFailed, where it does not."""
    if on_error is not None:
        try:
            return _reply(await on_error(error, message, context), message)
        except Exception as second:
            error, name = second, f"{name}, then its on_error"
    _log.error(
        "handler failed handler=%s error=%s at=%s type=%s account=%s trace=%s",
        name,
        type(error).__name__,
        _place(error),
        type(message).__name__,
        context.account.name,
        context.trace_id,
    )
    raise HandlerFailed(name) from error


def _place(error: BaseException) -> str:
    """Return file and line of the innermost frame: no values, for those may hold message text."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return f"{trace.tb_frame.f_code.co_filename}:{trace.tb_lineno}" if trace is not None else "?"


def _reply(value: object, message: Message) -> Reply | None:
    reply = to_reply(value)
    if reply is None:
        return None
    shown = displayable(reply, message)
    if shown is not reply:
        _log.warning("news cut to one article: WeChat shows no more in answer to a message")
    return shown
