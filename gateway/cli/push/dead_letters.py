"""``gateway push dead-letters``: messages that wait for a person."""

from typing import Any, Final

import rich_click as click

from gateway.app.stores import make_job_records
from gateway.cli.push.acting import act, all_option, dry_run_option, messages, retry_all, yes_option
from gateway.cli.push.filters import acted_on, filtered, wanted_of
from gateway.cli.push.looking import print_one
from gateway.cli.push.shown import print_records
from gateway.cli.push.stores import closing, with_settings
from gateway.outbound.jobs import DEAD_LETTERS, Wanted
from gateway.settings import Settings

_where: Final = click.option(
    "--where",
    metavar="EXPRESSION",
    help="The same as the other options in one: reason^=config,template=order-shipped,since=2h",
)


@click.group("dead-letters")
def dead_letters() -> None:
    """Look at the messages that were given up, mend what was wrong, and queue them again.

    \b
    gateway push dead-letters list --since 1h
    gateway push dead-letters retry --where reason^=config,account=main --dry-run
    gateway push dead-letters discard --before 30d --yes

    Dead ones were tried as often as they may be, or the account is not set up for them. Ambiguous
    ones may have arrived: WeChat gave no answer, and does not keep repeats apart on their channel.
    """


@dead_letters.command("list")
@filtered(DEAD_LETTERS)
@_where
@click.option("--limit", type=click.IntRange(1, 100_000), default=50, help="At most so many.")
@click.option("--json", "json", is_flag=True, help="Print a JSON object a line.")
@with_settings
async def list_letters(
    settings: Settings, where: str | None, limit: int, json: bool, **given: Any
) -> int:
    """List dead letters, the newest first; never what they say.

    \b
    gateway push dead-letters list
    gateway push dead-letters list --where state=ambiguous,template=order-shipped --json
    """
    wanted = wanted_of(given, DEAD_LETTERS, where)
    async with closing(make_job_records(settings)) as records:
        found = await records.find(wanted, limit)
        every = await records.count(wanted)
    print_records(found, every, json=json)
    return 0


@dead_letters.command("show")
@click.argument("id_", metavar="ID")
@click.option("--json", "json", is_flag=True, help="Print JSON.")
@with_settings
async def show_letter(settings: Settings, id_: str, json: bool) -> int:
    """Show a dead letter with its reason and every attempt.

    \b
    gateway push dead-letters show 0199c7a2-…
    """
    wanted = Wanted(ids=(id_,), states=DEAD_LETTERS)
    async with closing(make_job_records(settings)) as records:
        return print_one(await records.find(wanted, 1), id_, json=json)


@dead_letters.command("retry")
@filtered(DEAD_LETTERS)
@_where
@all_option
@dry_run_option
@yes_option
@with_settings
async def retry_letters(
    settings: Settings, where: str | None, dry_run: bool, yes: bool, **given: Any
) -> int:
    """Queue dead letters again, as if they were new; ask first where some may have arrived.

    \b
    gateway push dead-letters retry --where reason^=config,since=2h --dry-run
    gateway push dead-letters retry --state dead --all
    gateway push dead-letters retry --id 0199c7a2-… --yes
    """
    wanted = acted_on(given, DEAD_LETTERS, where)
    async with closing(make_job_records(settings)) as records:
        return await retry_all(records, wanted, dry_run=dry_run, yes=yes)


@dead_letters.command("discard")
@filtered(DEAD_LETTERS)
@_where
@all_option
@dry_run_option
@yes_option
@with_settings
async def discard_letters(
    settings: Settings, where: str | None, dry_run: bool, yes: bool, **given: Any
) -> int:
    """Remove dead letters for good.

    \b
    gateway push dead-letters discard --where state=ambiguous,before=2d --dry-run
    gateway push dead-letters discard --before 30d --yes
    """
    wanted = acted_on(given, DEAD_LETTERS, where)
    async with closing(make_job_records(settings)) as records:
        count = await records.count(wanted)
        if dry_run or not count:
            click.echo(f"{messages(count)} {'would be ' * dry_run}discarded")
            return 0
        if not yes:
            click.confirm(f"Discard {messages(count)}?", abort=True)
        await act(records.discard, wanted, count, "discarded")
    return 0
