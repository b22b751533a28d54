"""``gateway push show``, ``list``, ``status`` and ``outcomes``: how messages stand."""

import time
from collections.abc import Iterable
from typing import Any, Final

import msgspec
import rich_click as click
from rich.table import Table
from rich.text import Text

from gateway.app.stores import make_budgets, make_job_records
from gateway.cli.push.filters import filtered, wanted_of
from gateway.cli.push.shown import as_json, print_record, print_records, print_table
from gateway.cli.push.stores import closing, with_settings
from gateway.cli.times import shown_span, shown_time
from gateway.outbound.jobs import DEAD_LETTERS, Backlog, Outcome, Record, State, Wanted
from gateway.outbound.policy import BEIJING, DAY
from gateway.settings import Settings

ALL: Final = tuple(State)


@click.command("show")
@click.argument("id_", metavar="ID")
@click.option("--json", "json", is_flag=True, help="Print JSON.")
@with_settings
async def show(settings: Settings, id_: str, json: bool) -> int:
    """Show what became of a message: its state, every attempt, its receipt; never what it says.

    \b
    gateway push show 0199c7a2-…
    gateway push show 0199c7a2-… --json
    """
    async with closing(make_job_records(settings)) as records:
        return print_one(await records.find(Wanted(ids=(id_,)), 1), id_, json=json)


def print_one(found: list[Record], id_: str, *, json: bool) -> int:
    """Print the message that was looked for; return the exit code."""
    if not found:
        click.secho(f"gateway: there is no message {id_}", fg="red", err=True)
        return 1
    if json:
        click.echo(msgspec.json.encode(as_json(found[0])))
    else:
        print_record(found[0])
    return 0


@click.command("list")
@filtered(ALL)
@click.option("--limit", type=click.IntRange(1, 100_000), default=50, help="At most so many.")
@click.option("--json", "json", is_flag=True, help="Print a JSON object a line.")
@with_settings
async def list_messages(settings: Settings, limit: int, json: bool, **given: Any) -> int:
    """List messages, the newest first; never what they say.

    \b
    gateway push list --to oUser…
    gateway push list --state failed --template order-shipped --since 1h
    gateway push list --batch orders.csv-1f2e3d4c5b6a --json --limit 100000
    """
    wanted = wanted_of(given, ALL)
    async with closing(make_job_records(settings)) as records:
        found = await records.find(wanted, limit)
        every = len(found) if len(found) < limit else await records.count(wanted)
    print_records(found, every, json=json)
    return 0


@click.command("status")
@click.option("--json", "json", is_flag=True, help="Print JSON.")
@with_settings
async def status(settings: Settings, json: bool) -> int:
    """Show what waits to be sent, which channels are paused until when, and how many are dead.

    \b
    gateway push status
    gateway push status --json
    """
    async with closing(make_job_records(settings)) as records:
        backlog = await records.backlog()
        dead = await records.count(Wanted(states=DEAD_LETTERS))
    async with closing(make_budgets(settings)) as budgets:
        paused = await budgets.paused()
    if json:
        told = {"backlog": [one._asdict() for one in backlog], "dead_letters": dead}
        ends = {name: shown_time(end) for name, end in paused.items()}
        click.echo(msgspec.json.encode({**told, "paused": ends}))
        return 0
    if backlog:
        print_table(_backlog(backlog))
    for name, end in sorted(paused.items()):
        left = shown_span(max(0.0, end - time.time()))
        click.echo(f"{name} is paused for {left}, until {shown_time(end)}: WeChat's limit")
    click.echo(f"{'nothing waits; ' * (not backlog)}dead letters: {dead:,}")
    return 0


def _backlog(backlog: Iterable[Backlog]) -> Table:
    columns = ("account", "channel", "waiting", "retrying", "delayed", "sending", "oldest")
    table = Table(*columns, box=None, pad_edge=False)
    for one in backlog:
        numbers = (one.waiting, one.retrying, one.delayed, one.sending)
        oldest = shown_span(one.oldest) if one.waiting else "-"
        table.add_row(one.account, one.channel, *(f"{n:,}" for n in numbers), oldest)
    return table


@click.command("outcomes")
@click.option(
    "--days", type=click.IntRange(1, 3650), default=7, show_default=True, help="Today included."
)
@click.option("--template", metavar="NAME", help="Of this template.")
@click.option("--account", help="Of this account, by its name in the settings.")
@click.option("--json", "json", is_flag=True, help="Print a JSON object a line.")
@with_settings
async def outcomes(
    settings: Settings, days: int, template: str | None, account: str | None, json: bool
) -> int:
    """Count what became of messages, by the day that they were made on (in Beijing) and template.

    \b
    gateway push outcomes
    gateway push outcomes --days 30 --template order-shipped
    gateway push outcomes --json
    """
    today = (time.time() + BEIJING) // DAY * DAY - BEIJING
    wanted = Wanted(template=template, account=account, since=today - (days - 1) * DAY)
    async with closing(make_job_records(settings)) as records:
        found = await records.outcomes(wanted)
    if json:
        for one in found:
            click.echo(msgspec.json.encode(one._asdict()))
    elif found:
        print_table(_counted(found))
    else:
        click.echo(f"no messages in {days} day{'s' * (days != 1)}")
    return 0


def _counted(found: list[Outcome]) -> Table:
    """Return a row for each day, account and template, a column for each state that there is."""
    states = [state for state in ALL if any(one.state is state for one in found)]
    table = Table("day", "account", "template", "messages", *states, box=None, pad_edge=False)
    rows: dict[tuple[str, str, str], dict[State, int]] = {}
    for one in found:
        rows.setdefault((one.day, one.account, one.template), {})[one.state] = one.jobs
    for named, jobs in rows.items():
        every = sum(jobs.values())
        shares = (share(jobs.get(state, 0), every) for state in states)
        table.add_row(*(Text(name) for name in named), f"{every:,}", *shares)
    return table


def share(jobs: int, every: int) -> str:
    """Return a number with its percentage."""
    return f"{jobs:,} ({jobs / every:.1%})" if jobs else "-"
