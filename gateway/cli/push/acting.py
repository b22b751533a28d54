"""``gateway push cancel``, ``retry`` and ``resume``: acting on all messages that are meant."""

import time
from functools import partial
from typing import Any, Final, Protocol

import rich_click as click
from rich.console import Console
from rich.progress import Progress

from gateway.app.stores import MEMORY, make_budgets, make_job_records
from gateway.cli.push.filters import acted_on, filtered
from gateway.cli.push.stores import closing, with_settings
from gateway.errors import SettingsError
from gateway.outbound.gates import Route
from gateway.outbound.jobs import UNSENT, Channel, State, Wanted
from gateway.outbound.ports import JobRecords
from gateway.settings import Settings

AT_ONCE: Final = 1000
"""Messages acted on by one step, so that nobody waits long for the store."""

all_option: Final = click.option("--all", "every", is_flag=True, help="All of them.")
dry_run_option: Final = click.option("--dry-run", is_flag=True, help="Only tell how many.")
yes_option: Final = click.option("--yes", is_flag=True, help="Do not ask.")


class Step(Protocol):
    """Does something to some of the messages that are meant; returns to how many."""

    async def __call__(self, wanted: Wanted, limit: int) -> int:
        """Do it to so many at most."""


@click.command("cancel")
@filtered([State.QUEUED])
@all_option
@dry_run_option
@with_settings
async def cancel(settings: Settings, dry_run: bool, **given: Any) -> int:
    """Cancel messages that wait; what a worker has already is past that.

    \b
    gateway push cancel --id 0199c7a2-…
    gateway push cancel --batch orders.csv-1f2e3d4c5b6a --dry-run
    gateway push cancel --template order-shipped --before 1h

    Until its keep_days are over, a cancelled message can be queued again: gateway push retry.
    """
    wanted = acted_on(given, [State.QUEUED])
    async with closing(make_job_records(settings)) as records:
        count = await records.count(wanted)
        if dry_run:
            click.echo(f"{messages(count)} would be cancelled")
            return 0
        await act(partial(records.cancel, at=time.time()), wanted, count, "cancelled")
    return 0


@click.command("retry")
@filtered(UNSENT)
@all_option
@dry_run_option
@yes_option
@with_settings
async def retry(settings: Settings, dry_run: bool, yes: bool, **given: Any) -> int:
    """Queue messages again that were not sent: dead letters, failed, expired and cancelled ones.

    \b
    gateway push retry --state cancelled --batch orders.csv-1f2e3d4c5b6a
    gateway push retry --state failed --reason 'user: 43004' --since 2d --dry-run
    """
    wanted = acted_on(given, UNSENT)
    async with closing(make_job_records(settings)) as records:
        return await retry_all(records, wanted, dry_run=dry_run, yes=yes)


async def retry_all(records: JobRecords, wanted: Wanted, *, dry_run: bool, yes: bool) -> int:
    """Queue all that are meant again, once a person agreed to those that may have arrived."""
    count = await records.count(wanted)
    perhaps = 0
    if State.AMBIGUOUS in (wanted.states or ()):
        perhaps = await records.count(wanted._replace(states=(State.AMBIGUOUS,)))
    told = f", {perhaps:,} of them ambiguous: they may have arrived already" * bool(perhaps)
    if dry_run:
        click.echo(f"{messages(count)} would be queued again{told}")
        return 0
    if perhaps and not yes:
        click.confirm(f"Queue {messages(count)} again{told}?", abort=True)
    done = await act(partial(records.retry, at=time.time()), wanted, count, "queued again")
    if done < count:
        click.echo(f"{count - done:,} cannot be: what they said is not kept once they are sent")
    return 0


async def act(step: Step, wanted: Wanted, count: int, what: str) -> int:
    """Do something to all that are meant, some at a time, and show how far it is.

    ``count`` bounds it: what comes to be meant by it is not done over and over. At the end, or
    where it breaks off, it is told how far it came.
    """
    done = 0
    console = Console(stderr=True)
    try:
        with Progress(console=console, transient=True, disable=not console.is_terminal) as bar:
            task = bar.add_task(what, total=count)
            while done < count and (some := await step(wanted, min(AT_ONCE, count - done))):
                done += some
                bar.update(task, completed=done)
    finally:
        click.echo(f"{messages(done)} {what}")
    return done


@click.command("resume")
@click.argument("account")
@click.argument("channel", type=click.Choice([channel.value for channel in Channel]))
@with_settings
async def resume(settings: Settings, account: str, channel: str) -> int:
    """End a pause: a limit of WeChat's was raised, or its counter cleared.

    \b
    gateway push status
    gateway push resume main template
    """
    if account not in settings.accounts:
        known = ", ".join(settings.accounts)
        raise SettingsError(f"{account}: there is no such account; there are: {known}")
    if settings.store.url == MEMORY and settings.store.redis_url is None:
        raise SettingsError("store.url: memory:// keeps pauses within each process")
    name = Route(account, Channel(channel)).name
    async with closing(make_budgets(settings)) as budgets:
        paused = await budgets.paused()
        await budgets.resume(name)
    click.echo(f"{name} goes on" if name in paused else f"{name} was not paused")
    return 0


def messages(count: int) -> str:
    """Return so many messages, in words."""
    return f"{count:,} message{'s' * (count != 1)}"
