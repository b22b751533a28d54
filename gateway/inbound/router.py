"""Which route takes a message: the first that matches, found without trying them all."""

import re
from types import NoneType
from typing import Any, Final, NamedTuple

from gateway.inbound.bot import Bot, Condition, Route
from gateway.protocol.messages import Message

_LOOKED_UP: Final = (str, int, float, NoneType)
"""The types of value that stand for themselves in a dict; fields of others may not be hashable."""


class Match(NamedTuple):
    """The route that takes a message, and what its pattern found."""

    route: Route
    found: re.Match[str] | None


class _Plan(NamedTuple):
    """The routes that one class of message can take."""

    exact: dict[str, dict[Any, int]]
    """Field to value to the first route whose one condition that is."""
    scanned: list[tuple[int, Match]]
    """All others, in order."""


class Router:
    """The routes of a bot, planned once per class of message.

    Exact values are looked up, so that a thousand of them cost what one does; only patterns and
    routes with several conditions are tried one by one, and only those registered before the
    exact match.
    """

    def __init__(self, bot: Bot) -> None:
        self._unfound = [Match(route, None) for route in bot.routes()]
        self._plans: dict[type[Message], _Plan] = {}

    def find(self, message: Message) -> Match | None:
        """Return the first route that takes the message, with what its pattern found."""
        plan = self._plans.get(type(message)) or self._plan(type(message))
        none = first = len(self._unfound)
        for field, table in plan.exact.items():
            value = getattr(message, field)
            if isinstance(value, _LOOKED_UP):
                first = min(first, table.get(value, first))
        for index, match in plan.scanned:
            if index > first:
                break
            if not match.route.conditions:
                return match
            matched, found = _matches(match.route, message)
            if matched:
                return match if found is None else Match(match.route, found)
        return None if first == none else self._unfound[first]

    def _plan(self, kind: type[Message]) -> _Plan:
        exact: dict[str, dict[Any, int]] = {}
        scanned: list[tuple[int, Match]] = []
        for index, match in enumerate(self._unfound):
            route = match.route
            if not issubclass(kind, route.kind):
                continue
            if len(route.conditions) == 1 and _is_exact(route.conditions[0]):
                condition = route.conditions[0]
                exact.setdefault(condition.field, {}).setdefault(condition.value, index)
                continue
            scanned.append((index, match))
            if not route.conditions:
                break
        self._plans[kind] = plan = _Plan(exact, scanned)
        return plan


def _is_exact(condition: Condition) -> bool:
    return condition.pattern is None and isinstance(condition.value, _LOOKED_UP)


def _matches(route: Route, message: Message) -> tuple[bool, re.Match[str] | None]:
    found: re.Match[str] | None = None
    for condition in route.conditions:
        value = getattr(message, condition.field)
        if condition.pattern is None:
            if value != condition.value:
                return False, None
            continue
        match = condition.pattern.search(value) if isinstance(value, str) else None
        if match is None:
            return False, None
        if condition.pattern.groups:
            found = match
    return True, found
