"""``gateway trace``: one message's life, from what the stores hold of it."""

import asyncio
import sys
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any, Final

import msgspec
import rich_click as click
from rich.console import Console
from rich.text import Text
from rich.tree import Tree

from gateway.app.stores import MEMORY, make_job_records, stores_of
from gateway.cli.options import config_option, refuse_memory
from gateway.cli.times import shown_time
from gateway.errors import StoreDown
from gateway.inbound.lives import Event, Kept, Life, events_of, look_up
from gateway.settings import Settings, load_settings

_WIDE: Final = 1000


@click.command()
@click.argument("id_", metavar="ID")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@config_option
def trace(config: Path | None, id_: str, as_json: bool) -> None:
    """Show one message's life as a tree with times: received, answered, queued, sent, receipt.

    ID is a message_id or trace_id as it stands in the log lines, in `gateway tail` and in traces;
    or the id of a pushed message. It is put together from the stores: no collector is needed, and
    what left no mark in a store is not shown. What a user wrote never is.

    \b
    gateway trace 8f14e45fceea167a5a36dedd4bea2543
    gateway trace 0199c7a2-…
    gateway trace 0199c7a2-… --json
    """
    settings = load_settings(config)
    refuse_memory(settings)
    try:
        life = asyncio.run(_look_up(settings, id_.lower()))
    except StoreDown as down:
        click.secho(f"gateway: {down}", fg="red", err=True)
        sys.exit(1)
    if not life.is_known:
        click.secho(f"gateway: {_unknown(settings, id_)}", fg="red", err=True)
        sys.exit(1)
    if as_json:
        events = _as_json(events_of(life))
        click.echo(msgspec.json.encode({"trace_id": life.trace_id, "events": events}))
    else:
        # As wide as it needs: an id that is copied from here is not broken in two.
        Console(width=_WIDE).print(_tree(life))


async def _look_up(settings: Settings, id_: str) -> Life:
    async with _kept(settings) as kept:
        return await look_up(id_, kept)


@asynccontextmanager
async def _kept(settings: Settings) -> AsyncIterator[Kept]:
    async with AsyncExitStack() as opened:
        stores, jobs = stores_of(settings), None
        opened.push_async_callback(stores.close)
        if settings.store.url != MEMORY or settings.store.postgres_dsn is not None:
            jobs = make_job_records(settings)
            opened.push_async_callback(jobs.close)
        yield Kept(stores.store, stores.dead_letters, stores.archive, jobs)


def _unknown(settings: Settings, id_: str) -> str:
    hours = settings.store.dedupe_seconds / 3600
    archived = "" if settings.store.archive else "; store.archive keeps callbacks for longer"
    return (
        f"nothing is known of {id_}: give a message_id, a trace_id or a pushed message's id in "
        f"full; callbacks are remembered for {hours:g} h (store.dedupe_seconds){archived}"
    )


def _tree(life: Life) -> Tree:
    events = events_of(life)
    tree = Tree(Text(life.trace_id or "in no trace", style="bold"))
    start = next((one.at for one in events if one.at is not None), 0.0)
    _grow(tree, events, start, is_first=True)
    return tree


def _grow(tree: Tree, events: Iterable[Event], start: float, *, is_first: bool = False) -> None:
    for one in events:
        branch = tree.add(_line(one, start, is_first=is_first))
        is_first = False
        _grow(branch, one.then, start)


def _line(one: Event, start: float, *, is_first: bool) -> Text:
    when = "" if one.at is None else _moment(one.at) if is_first else f"+{one.at - start:.3f} s"
    return Text("  ").join(
        [Text(one.what, style="bold"), *(Text(part) for part in (when, one.detail) if part)]
    )


def _moment(at: float) -> str:
    return shown_time(at, "milliseconds")


def _as_json(events: Sequence[Event]) -> list[dict[str, Any]]:
    return [_told(one) for one in events]


def _told(one: Event) -> dict[str, Any]:
    told: dict[str, Any] = {"what": one.what}
    if one.at is not None:
        told["at"] = _moment(one.at)
    if one.detail:
        told["detail"] = one.detail
    if one.then:
        told["then"] = _as_json(one.then)
    return told
