"""Which messages are meant: by options, and by one short expression."""

import re
import time
from collections.abc import Callable, Sequence
from typing import Any, Final

import rich_click as click

from gateway.cli.times import age
from gateway.outbound.jobs import Channel, State, Wanted

_NAMES: Final = (
    *("id", "state", "account", "channel", "template", "to", "batch", "reason"),
    *("since", "before"),
)
_PART: Final = re.compile(r"\s*(\w+)(\^?=)(.*)", re.DOTALL)
_NEXT: Final = re.compile(rf",(?=\s*(?:{'|'.join(_NAMES)})\^?=)")


def filtered(states: Sequence[State]) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Give a command the options that say which messages are meant, in one of these states."""
    choice = click.Choice([state.value for state in states])
    channels = click.Choice([channel.value for channel in Channel])
    states_option = click.option("--state", multiple=True, type=choice, help="May be repeated.")
    options = (
        click.option("--id", multiple=True, metavar="ID", help="This one; may be repeated."),
        *((states_option,) if len(states) > 1 else ()),
        click.option("--account", help="Of this account, by its name in the settings."),
        click.option("--channel", type=channels, help="Of this channel."),
        click.option("--template", metavar="NAME", help="Of this template."),
        click.option("--to", metavar="OPENID", help="To this user."),
        click.option("--batch", metavar="NAME", help="Of this batch."),
        click.option("--reason", metavar="BEGINNING", help="Whose reason begins so."),
        click.option("--since", callback=age, metavar="AGE", help="Younger: 30s, 15m, 6h, 2d."),
        click.option("--before", callback=age, metavar="AGE", help="Older."),
    )

    def give(command: Callable[..., Any]) -> Callable[..., Any]:
        for option in reversed(options):
            command = option(command)
        return command

    return give


def wanted_of(given: dict[str, Any], states: Sequence[State], where: str | None = None) -> Wanted:
    """Return which are meant by the options of ``filtered``, and an expression beside them.

    Raises BadParameter.
    """
    told = {name: given.get(name) or None for name in _NAMES}
    for name, value in _parts(where, states) if where else ():
        if told[name] is not None:
            raise click.BadParameter(f"{name} is given twice", param_hint="--where")
        told[name] = value
    chosen = tuple(State(state) for state in told["state"] or states)
    names = ("account", "template", "to", "batch", "reason", "since", "before")
    return Wanted(
        ids=told["id"] and tuple(told["id"]),
        states=chosen if len(chosen) < len(State) else None,
        channel=told["channel"] and Channel(told["channel"]),
        **{name: told[name] for name in names},
    )


def acted_on(given: dict[str, Any], states: Sequence[State], where: str | None = None) -> Wanted:
    """Return which something is to be done to: as ``wanted_of``, and none by mistake.

    Those that are created from now on are not meant. Raises UsageError where nothing says which.
    """
    if not where and not given["every"] and not any(given.get(name) for name in _NAMES):
        raise click.UsageError("which ones? give a filter, or --all")
    wanted = wanted_of(given, states, where)
    is_open = wanted.ids is None and wanted.before is None
    return wanted._replace(before=time.time()) if is_open else wanted


def _parts(where: str, states: Sequence[State]) -> list[tuple[str, Any]]:
    """Return what ``reason^=config,account=main,since=2h`` says, by name."""
    return [_part(text, states) for text in _NEXT.split(where)]


def _part(text: str, states: Sequence[State]) -> tuple[str, Any]:
    match = _PART.fullmatch(text)
    name, sign, value = match.groups() if match is not None else ("", "", "")
    value = value.strip()
    if name not in _NAMES or not value:
        raise _wrong(f"{text.strip()!r}: write NAME=VALUE; the names are {', '.join(_NAMES)}")
    if (sign == "^=") != (name == "reason"):
        right = "reason^=, for how it begins" if name == "reason" else f"{name}="
        raise _wrong(f"{text.strip()!r}: write {right}")
    if name in ("id", "state"):
        return name, tuple(_one_of(name, each, states) for each in value.split("|"))
    if name in ("since", "before"):
        return name, age(None, None, value)
    return name, _one_of(name, value, states)


def _one_of(name: str, value: str, states: Sequence[State]) -> str:
    choices: dict[str, Sequence[str]] = {"state": states, "channel": list(Channel)}
    known = choices.get(name)
    if known is not None and value not in known:
        raise _wrong(f"{name}={value}: there is none; there are: {', '.join(known)}")
    return value


def _wrong(said: str) -> click.BadParameter:
    return click.BadParameter(said, param_hint="--where")
