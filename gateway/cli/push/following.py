"""What becomes of a batch, as it is shown until all of it has ended."""

import asyncio
import time
from collections.abc import Mapping
from typing import Final, NamedTuple

import msgspec
import rich_click as click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from gateway.app.stores import make_job_records
from gateway.cli.push.intake import PLAIN_SECONDS
from gateway.cli.push.looking import share
from gateway.cli.push.shown import UNFORTUNATE, WAITING
from gateway.cli.push.stores import closing
from gateway.outbound.jobs import Channel, State, Wanted
from gateway.outbound.ports import JobRecords
from gateway.settings import Settings

LOOK_SECONDS: Final = 0.5
RECEIPT_SECONDS: Final = 60.0
"""How long the last receipts are waited for: some never come."""


class Standing(NamedTuple):
    """How a batch stands."""

    states: Mapping[State, int]
    without_receipts: int
    """Those sent that none will come of."""

    @property
    def every(self) -> int:
        """All messages."""
        return sum(self.states.values())

    @property
    def waiting(self) -> int:
        """Those to be sent yet."""
        return sum(self.states.get(state, 0) for state in WAITING)

    @property
    def awaited(self) -> int:
        """Those whose receipt has not come."""
        return self.states.get(State.SENT, 0) - self.without_receipts

    def told(self) -> str:
        """Return it in a line."""
        states = (f"{self.states[state]:,} {state}" for state in State if state in self.states)
        return ", ".join(states)


async def follow(settings: Settings, batch: str, *, json: bool) -> int:
    """Show how a batch stands, until it has ended or Ctrl-C; return the exit code."""
    console = Console(stderr=True)
    bar = Progress(
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.description}"),
        console=console,
        disable=not console.is_terminal,
    )
    async with closing(make_job_records(settings)) as records:
        with bar:
            standing = await _until_ended(records, batch, bar)
    if json:
        click.echo(msgspec.json.encode({"batch": batch, "states": standing.states}))
    else:
        for state in State:
            if state in standing.states:
                click.echo(f"{state}: {share(standing.states[state], standing.every)}")
    if standing.awaited:
        click.echo(f"{standing.awaited:,} receipts have not come yet", err=True)
    return int(any(state in standing.states for state in UNFORTUNATE))


async def _until_ended(records: JobRecords, batch: str, bar: Progress) -> Standing:
    """Show it, until all have ended, or nothing more is heard of the last receipts."""
    task = bar.add_task("", total=None)
    told_at = moved_at = time.monotonic()
    before: Standing | None = None
    while True:
        standing, now = await _look(records, batch), time.monotonic()
        moved_at = moved_at if standing == before else now
        before = standing
        ended = standing.every - standing.waiting - standing.awaited
        bar.update(task, total=standing.every, completed=ended, description=standing.told())
        if bar.disable and now - told_at >= PLAIN_SECONDS:
            told_at = now
            click.echo(standing.told(), err=True)
        is_quiet = not standing.waiting and now - moved_at >= RECEIPT_SECONDS
        if ended == standing.every or is_quiet:
            return standing
        await asyncio.sleep(LOOK_SECONDS)


async def _look(records: JobRecords, batch: str) -> Standing:
    custom = Wanted(batch=batch, channel=Channel.CUSTOM, states=(State.SENT,))
    return Standing(await records.batch(batch), await records.count(custom))
