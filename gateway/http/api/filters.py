"""Which messages a request means: read from its query or its body, kept to the key's accounts."""

from collections.abc import Iterable
from typing import Annotated, Any, Final, TypeVar

import msgspec
from msgspec import Meta

from gateway.errors import PushRefused
from gateway.http.api.keys import ApiKey
from gateway.outbound.jobs import Channel, State, Wanted

_T = TypeVar("_T")

FAR: Final = 253_402_300_799.0
"""The last second of the year 9999: times beyond are no times, and no database's."""

MAX_PAGE: Final = 1000

Text = Annotated[str, Meta(min_length=1, max_length=128, pattern=r"^[^\x00-\x1f]*$")]
Time = Annotated[float, Meta(ge=0, le=FAR, description="Unix seconds")]
Id = Annotated[str, Meta(pattern=r"^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$")]
BatchName = Annotated[
    str,
    Meta(pattern=r"^[A-Za-z0-9._-]{1,100}$", description="1 to 100 letters, digits, and . _ or -"),
]
States = Annotated[
    State | tuple[State, ...], Meta(description="one, or several: state=dead,ambiguous in a query")
]


class Filter(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Which messages are meant; what is not given does not matter."""

    state: States | None = None
    account: Text | None = None
    channel: Channel | None = None
    template: Text | None = None
    to: Text | None = None
    batch: Text | None = None
    reason: Annotated[Text, Meta(description="how the reason begins")] | None = None
    since: Annotated[Time, Meta(description="created at this time or later")] | None = None
    before: Annotated[Time, Meta(description="created before this time")] | None = None


class Page(Filter, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Which messages are listed, newest first."""

    limit: Annotated[int, Meta(ge=1, le=MAX_PAGE)] = 100
    after: Annotated[Id, Meta(description="what was `next` in the page before")] | None = None


class Counted(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Which messages are counted."""

    since: Time | None = None
    before: Time | None = None
    account: Text | None = None
    template: Text | None = None


class Action(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """What is to be done to which messages."""

    dry_run: Annotated[bool, Meta(description="whether they are counted only")]
    filter: Filter | None = None
    all: Annotated[bool, Meta(description="every one, instead of a filter")] = False


def read_query(given: Iterable[tuple[str, str]], type_: type[_T]) -> _T:
    """Return a query as a struct; raise PushRefused with the parameter's name."""
    fields: dict[str, Any] = {}
    for name, value in given:
        if name == "state":
            fields.setdefault(name, []).extend(value.split(","))
        elif name in fields:
            raise PushRefused(f"{name}: is there twice")
        else:
            fields[name] = value
    return read(fields, type_, strict=False)


def read(fields: Any, type_: type[_T], *, strict: bool = True) -> _T:
    """Return plain data as a struct; raise PushRefused with the field's path."""
    try:
        return msgspec.convert(fields, type_, strict=strict)
    except msgspec.ValidationError as wrong:
        raise PushRefused(str(wrong)) from None


def fits(given: str, type_: Any) -> bool:
    """Tell whether a part of a path is of this type."""
    try:
        msgspec.convert(given, type_)
    except msgspec.ValidationError:
        return False
    return True


def wanted(given: Filter, key: ApiKey, among: tuple[State, ...] | None = None) -> Wanted:
    """Return which messages a filter means, of those that the key is good for.

    ``among`` are the states that there is a choice of. Raises PushRefused, and Forbidden where the
    account is not the key's.
    """
    return Wanted(
        states=_states(given, among),
        account=key.one_account(given.account),
        channel=given.channel,
        template=given.template,
        to=given.to,
        batch=given.batch,
        reason=given.reason,
        since=given.since,
        before=given.before,
    )


def wanted_by(action: Action, key: ApiKey, among: tuple[State, ...], now: float) -> Wanted:
    """Return which messages an action means: those that are there now, Unix seconds."""
    if (action.filter is None) is not action.all:
        raise PushRefused("filter: give a filter, or all = true for every message; one of both")
    if action.filter == Filter():
        raise PushRefused("filter: is empty; give all = true where every message is meant")
    meant = wanted(action.filter or Filter(), key, among)
    # A millisecond later, for ids are no finer: what was stored just now is there too.
    return meant._replace(before=min(meant.before or FAR, now + 0.001))


def _states(given: Filter, among: tuple[State, ...] | None) -> tuple[State, ...] | None:
    if given.state is None:
        return among
    states = (given.state,) if isinstance(given.state, State) else given.state
    if not states:
        raise PushRefused("state: is empty; give one, or leave it out")
    if among is not None and (others := set(states) - set(among)):
        raise PushRefused(f"state: {min(others)} is none of: {', '.join(among)}")
    return states
