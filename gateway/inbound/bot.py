"""Bot: what an author registers handlers with."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Iterable
from itertools import chain
from typing import Any, NamedTuple, TypeVar

from gateway.errors import BotError
from gateway.inbound.context import Context
from gateway.inbound.handlers import Call, Handler, bind_around, bind_handler, name_of
from gateway.outbound.api import WeChatApi
from gateway.outbound.push import Push
from gateway.protocol.cloudevents import TYPES, is_pattern
from gateway.protocol.messages import Message
from gateway.protocol.replies import Reply, to_reply

CallNext = Callable[..., Awaitable[Any]]
Middleware = Callable[[Message, Context, CallNext], Awaitable[Any]]

_F = TypeVar("_F", bound=Callable[..., Any])

_ALIASES = {"key": "event_key"}


class Condition(NamedTuple):
    """What a field of the message must be: equal to a value, or found in by a pattern."""

    field: str
    value: Any
    pattern: re.Pattern[str] | None


class Route(NamedTuple):
    """A handler with what it takes and what stands around it."""

    kind: type[Message]
    conditions: tuple[Condition, ...]
    handler: Handler
    middlewares: tuple[Middleware, ...]
    on_error: Call | None
    background: bool = False
    instant: Reply | None = None
    """What the user is answered before a background handler runs."""


class EventRoute(NamedTuple):
    """A handler of events, with the types that it takes."""

    name: str
    types: tuple[str, ...]
    function: Call


class Bot:
    """Handlers for messages and events; the first that matches, in order of registration, answers.

    >>> bot = Bot()
    >>> @bot.on(Text, content="帮助")
    ... async def help(message: Text) -> str:
    ...     return "…"
    """

    def __init__(self) -> None:
        self._entries: list[Route | Bot] = []
        self._event_handlers: list[EventRoute] = []
        self._watchers: list[Callable[[EventRoute], None]] = []
        self._middlewares: list[Middleware] = []
        self._on_error: Call | None = None
        self._pages: list[Any] = []
        self._push: Push | None = None
        self._api_of: Callable[[str], WeChatApi] | None = None

    @property
    def push(self) -> Push:
        """What pushes messages to users, while the bot runs in a gateway; else BotError.

        ``await bot.push.template("main", user, "order-shipped", {"number": "A1"})``
        """
        if self._push is None:
            raise BotError(
                "bot.push: nothing can be pushed: the bot is not served yet, no account has an "
                "app_secret, or store.url is memory://"
            )
        return self._push

    def api(self, account: str) -> WeChatApi:
        """Return WeChat's API for an account, while the bot runs in a gateway; else BotError.

        ``await bot.api("main").call("GET", "/cgi-bin/user/info", query={"openid": user})``; most
        endpoints are methods, too: ``await Users(bot.api("main")).info(user)`` (gateway.api).
        Raises SettingsError where the account has no app_secret.
        """
        if self._api_of is None:
            raise BotError("bot.api: there is none: the bot is not served yet")
        return self._api_of(account)

    def attach(self, push: Push | None, api_of: Callable[[str], WeChatApi]) -> None:
        """Let the bot push, and call WeChat's API, and those that it includes."""
        self._push = push
        self._api_of = api_of
        for entry in self._entries:
            if isinstance(entry, Bot):
                entry.attach(push, api_of)

    def on(
        self,
        kind: type[Message],
        *,
        background: bool = False,
        instant: Reply | str | None = None,
        **conditions: Any,
    ) -> Callable[[_F], _F]:
        r"""Register the decorated function for messages of ``kind`` and its subclasses.

        A condition names a field: ``content="帮助"`` takes an equal value,
        ``content=re.compile(r"订单\s*(\d+)")`` a value the pattern is found in (``re.search``),
        and the groups of one pattern are passed on as arguments. ``key`` is short for
        ``event_key``. Raises BotError where the field does not exist or the function does not fit.

        With ``background`` the message is stored durably and WeChat answered at once, with
        ``instant`` if it is given; the handler runs later, here or in a `gateway worker`, again and
        again until it succeeds, so it must bear being called twice. What it returns goes to the
        user as a customer-service message.
        """
        # An author who runs no type checker may give anything.
        if not isinstance(kind, type) or not issubclass(kind, Message):  # type: ignore[redundant-expr]
            raise BotError(f"bot.on({kind!r}): give a message or event class, such as Text")
        if instant is not None and not background:
            raise BotError(f"bot.on({kind.__name__}, instant=…): only with background=True")
        checked = tuple(_condition(kind, name, value) for name, value in conditions.items())
        patterns = [c.pattern for c in checked if c.pattern is not None]
        if sum(1 for p in patterns if p.groups) > 1:
            raise BotError(f"bot.on({kind.__name__}): only one pattern may have groups")
        pattern = next((p for p in patterns if p.groups), None)
        said = to_reply(instant)

        def register(function: _F) -> _F:
            handler = bind_handler(function, pattern)
            self._entries.append(Route(kind, checked, handler, (), None, background, said))
            return function

        return register

    def on_event(self, *patterns: str) -> Callable[[_F], _F]:
        """Register ``async def f(event)`` for normalized events, such as ``user.*`` or ``*``.

        It runs beside the handler that answers, later, and like a background handler again and
        again until it succeeds. ``event`` is a CloudEvent. It may be registered while the gateway
        runs too, in each of its processes. Raises BotError where a pattern means no type of event
        that there is, or the function's name is taken.
        """
        for pattern in patterns or ("",):
            if not isinstance(pattern, str):
                raise BotError('bot.on_event: give it patterns: @bot.on_event("user.*")')
            if not is_pattern(pattern):
                raise BotError(
                    f"bot.on_event({pattern!r}): no event is of such a type; write user.*, "
                    "FAMILY/NAME for another producer's, or one of: "
                    f"{', '.join(sorted(TYPES.values()))}"
                )

        def register(function: _F) -> _F:
            handler = bind_around(function, ("event",))
            route = EventRoute(name_of(function), patterns, handler)
            self._refuse_taken([route])
            self._event_handlers.append(route)
            try:
                self._announce(route)
            except BotError:
                # Its name is taken in a bot that this one is included in.
                self._event_handlers.remove(route)
                raise
            return function

        return register

    def event_routes(self) -> list[EventRoute]:
        """Return the handlers of events, those of included bots too."""
        inner = (entry.event_routes() for entry in self._entries if isinstance(entry, Bot))
        return [*self._event_handlers, *chain.from_iterable(inner)]

    def watch(self, watcher: Callable[[EventRoute], None]) -> None:
        """Call the watcher with each handler of events that is registered from now on."""
        self._watchers.append(watcher)

    def _refuse_taken(self, routes: Iterable[EventRoute]) -> None:
        """Raise BotError where a handler of events is called like one here: events wait by name."""
        taken = {route.name for route in self.event_routes()}
        for route in routes:
            if route.name in taken:
                raise _name_taken(route)

    def _take_over(self, route: EventRoute) -> None:
        """Pass on what was registered with an included bot."""
        if [each.name for each in self.event_routes()].count(route.name) > 1:
            raise _name_taken(route)
        self._announce(route)

    def _announce(self, route: EventRoute) -> None:
        for watcher in self._watchers:
            watcher(route)

    def web(self, *handlers: Any) -> None:
        """Serve route handlers of Litestar's beside the gateway's own: functions, controllers.

        In them ``request.user`` is the Session of who calls, or None (gateway.web has guards). A
        middleware finds it where the settings have an identity.secret.
        """
        self._pages += handlers

    def web_handlers(self) -> list[Any]:
        """Return what was given to ``web``, that of included bots too."""
        inner = (entry.web_handlers() for entry in self._entries if isinstance(entry, Bot))
        return [*self._pages, *chain.from_iterable(inner)]

    def include(self, other: Bot) -> None:
        """Put the handlers of another bot here, in its order, with its middlewares and on_error.

        What is registered with the other bot later is included too: until the gateway starts, and
        handlers of events behind that.
        """
        # An author may give the module that the bot is in.
        if not isinstance(other, Bot):
            raise BotError(f"bot.include({other!r}): give the Bot in it")
        if self in (other, *other.included()):
            raise BotError("bot.include(): a bot cannot include itself")
        routes = other.event_routes()
        self._refuse_taken(routes)
        self._entries.append(other)
        other.watch(self._take_over)
        for route in routes:
            self._announce(route)

    def middleware(self, function: _F) -> _F:
        """Register ``async def m(message, context, call_next)`` around every handler.

        ``await call_next()`` returns what the handler, or the next middleware, returned; the first
        registered is the outermost. ``call_next(message, context)`` passes others on.
        """
        self._middlewares.append(bind_around(function, ("message", "context", "call_next")))
        return function

    def on_error(self, function: _F) -> _F:
        """Register ``async def e(error, message, context)``; what it returns is answered instead.

        Without one, or where it raises itself, WeChat gets no answer and tries again.
        """
        if self._on_error is not None:
            raise BotError(f"{name_of(function)}: this bot has an on_error already")
        self._on_error = bind_around(function, ("error", "message", "context"))
        return function

    def surroundings(self) -> Bot:
        """Return a bot without handlers, with the middlewares and the on_error of this one."""
        bare = Bot()
        bare._middlewares = [*self._middlewares]
        bare._on_error = self._on_error
        return bare

    @property
    def middlewares(self) -> tuple[Middleware, ...]:
        """The middlewares of this bot itself, outermost first."""
        return tuple(self._middlewares)

    @property
    def error_handler(self) -> Call | None:
        """What was registered with on_error."""
        return self._on_error

    def routes(self) -> list[Route]:
        """Return every route in order, those of included bots in their place."""
        routes: list[Route] = []
        for entry in self._entries:
            if isinstance(entry, Bot):
                routes += [
                    route._replace(
                        middlewares=self.middlewares + route.middlewares,
                        on_error=route.on_error or self._on_error,
                    )
                    for route in entry.routes()
                ]
            else:
                routes.append(entry._replace(middlewares=self.middlewares, on_error=self._on_error))
        return routes

    def included(self) -> list[Bot]:
        """Return the bots included here, and in those, and so on."""
        bots = [entry for entry in self._entries if isinstance(entry, Bot)]
        return [*bots, *(inner for bot in bots for inner in bot.included())]


def _name_taken(route: EventRoute) -> BotError:
    return BotError(f"bot.on_event: {route.name} handles events already; rename one")


def _condition(kind: type[Message], name: str, value: Any) -> Condition:
    field = _ALIASES.get(name, name)
    if field == "raw" or not (
        field in kind.__struct_fields__ or isinstance(getattr(kind, field, None), property)
    ):
        raise BotError(f"bot.on({kind.__name__}, {name}=…): {kind.__name__} has no field {field}")
    if isinstance(value, re.Pattern):
        if not isinstance(value.pattern, str):
            raise BotError(f"bot.on({kind.__name__}, {name}=…): give a pattern of str, not bytes")
        return Condition(field, None, value)
    try:
        hash(value)
    except TypeError:
        raise BotError(
            f"bot.on({kind.__name__}, {name}=…): give a value or a compiled pattern, "
            f"not a {type(value).__name__}"
        ) from None
    return Condition(field, value, None)
