"""Handlers as their authors wrote them, made callable in one way.

Everything about a handler's signature is found out once, when it is registered.
"""

import asyncio
import inspect
import re
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Any, get_args

import msgspec

from gateway.errors import BotError
from gateway.inbound.context import Context
from gateway.protocol.messages import Message

HandlerFunction = Callable[..., Any]
"""What an author registers: of a message, a pattern's groups, a Context; async or not."""

Call = Callable[..., Awaitable[Any]]


class Handler(msgspec.Struct, frozen=True):
    """A handler, ready to be called with a message, the pattern's groups, and a Context or not."""

    name: str
    _function: Call
    _context_name: str | None
    _context_at: int | None
    _takes_message: bool
    _named_groups: tuple[str, ...]
    plain: Call | None = None
    """The function itself, where a message is all that it takes."""

    def __call__(
        self, message: Message, found: re.Match[str] | None, context: Context | None
    ) -> Awaitable[Any]:
        """Start the call; what it returns is awaited for the handler's own return value."""
        arguments: list[Any] = [message] if self._takes_message else []
        named: dict[str, Any] = {}
        if found is not None:
            if self._named_groups:
                named = found.groupdict()
            else:
                arguments += found.groups()
        if self._context_at is not None:
            arguments.insert(self._context_at, context)
        elif self._context_name is not None:
            named[self._context_name] = context
        return self._function(*arguments, **named)


def bind_handler(function: HandlerFunction, pattern: re.Pattern[str] | None) -> Handler:
    """Return the function as a Handler; raise BotError where the pattern does not fit it."""
    name = name_of(function)
    parameters = _parameters(function, name)
    context = next((p for p in parameters if _is_context(p.annotation)), None)
    others = [p for p in parameters if p is not context]
    groups = pattern.groups if pattern is not None else 0
    named = tuple(pattern.groupindex) if pattern is not None else ()
    if named and len(named) != groups:
        raise BotError(f"{name}: name all groups of the pattern {_shown(pattern)}, or none of them")
    _check(name, others, pattern, groups, named)
    positional = int(bool(others)) + (0 if named else groups)
    context_at = None
    if context is not None and context.kind is not inspect.Parameter.KEYWORD_ONLY:
        context_at = parameters.index(context)
    called = as_async(function)
    return Handler(
        name=name,
        _function=called,
        _context_name=None if context is None else context.name,
        # Behind a parameter that keeps its default, only its name finds it.
        _context_at=context_at if context_at is None or context_at <= positional else None,
        _takes_message=bool(others),
        _named_groups=named,
        plain=called if context is None and others and not groups else None,
    )


def bind_around(function: Callable[..., Any], takes: tuple[str, ...]) -> Call:
    """Return a middleware or on_error, made asynchronous; raise BotError unless it takes these."""
    try:
        inspect.signature(function).bind(*takes)
    except (TypeError, ValueError) as wrong:
        raise BotError(f"{name_of(function)}: {wrong}; take ({', '.join(takes)})") from None
    return as_async(function)


def as_async(function: Callable[..., Any]) -> Call:
    """Return the function itself if it is asynchronous, else one that runs it in a thread."""
    if inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(
        type(function).__call__  # an object with ``async def __call__``
    ):
        return function

    def call(*arguments: Any, **named: Any) -> Any:
        try:
            return function(*arguments, **named)
        except StopIteration as stop:
            # No future can hold one: whoever awaits the thread would wait for ever.
            error = RuntimeError("a handler raised StopIteration")
            raise error.with_traceback(stop.__traceback__) from stop

    async def in_thread(*arguments: Any, **named: Any) -> Any:
        value = await asyncio.to_thread(call, *arguments, **named)
        # A plain function around an asynchronous one returns what is still to be awaited.
        return await value if inspect.isawaitable(value) else value

    return in_thread


def name_of(function: Callable[..., Any]) -> str:
    """Return the name by which errors and log lines call a function: module and qualified name."""
    while isinstance(function, partial):
        function = function.func
    name = getattr(function, "__qualname__", type(function).__qualname__)
    return f"{getattr(function, '__module__', '?')}.{name}"


def _parameters(function: HandlerFunction, name: str) -> Sequence[inspect.Parameter]:
    try:
        signature = inspect.signature(function, eval_str=True)
    except Exception:
        # An annotation names what only the type checker imports; names are then all there is.
        try:
            signature = inspect.signature(function)
        except (TypeError, ValueError):
            raise BotError(f"{name}: not a handler; register a def or async def") from None
    return list(signature.parameters.values())


def _is_context(annotation: object) -> bool:
    """Tell whether an annotation asks for a Context: itself, in a union, annotated, or by name."""
    if isinstance(annotation, str):
        return annotation.rpartition(".")[2] == Context.__name__
    return annotation is Context or any(_is_context(part) for part in get_args(annotation))


def _check(
    name: str,
    parameters: Sequence[inspect.Parameter],
    pattern: re.Pattern[str] | None,
    groups: int,
    named: tuple[str, ...],
) -> None:
    """Raise BotError unless a call with the message and the groups would be accepted."""
    if not parameters and not groups:
        return
    shape = inspect.Signature(parameters)
    try:
        if named:
            shape.bind(None, **dict.fromkeys(named))
        else:
            shape.bind(None, *([None] * groups))
    except TypeError as wrong:
        fix = "take the message first, then a Context if you want one (annotate it: Context)"
        if groups:
            wanted = ", ".join(named) if named else f"{groups} more"
            fix = f"take the message, then {wanted} for the groups of {_shown(pattern)}"
        raise BotError(f"{name}: {wrong}; {fix}") from None


def _shown(pattern: re.Pattern[str] | None) -> str:
    return "" if pattern is None else repr(pattern.pattern)
