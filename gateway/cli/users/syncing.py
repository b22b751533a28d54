"""``gateway users sync``: all followers of an account are learned."""

import asyncio
import random
import secrets
import time
from types import TracebackType
from typing import Final, Self

import rich_click as click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from gateway.cli.times import shown_span, shown_time
from gateway.cli.users.stores import People, complain, with_people
from gateway.errors import ApiError, SettingsError
from gateway.identity.patient_calls import Means, Postponed
from gateway.identity.syncing import Incomplete, Official, Sync, Synced, TakenOver, UnderWay
from gateway.settings import Settings

PLAIN_SECONDS: Final = 5.0
"""Between two lines, where there is no terminal."""


@click.command("sync")
@click.option("--account", help="The official account's name in the settings; not needed for one.")
@click.option("--restart", is_flag=True, help="Begin anew, not where the last run broke off.")
@with_people
async def sync(people: People, account: str | None, restart: bool) -> int:
    """Learn all followers of an official account, and their union ids, from WeChat.

    \b
    gateway users sync --account main
    gateway users sync --account main --restart

    Each 10,000 followers take a call of /cgi-bin/user/get and 100 of /cgi-bin/user/info/batchget;
    rates and WeChat's limits are kept, and waited for. Ctrl-C stops it: run again, it goes on from
    there. Those are noted as not following, in the end, who were taken for followers and are not
    listed. Exits with 1 where it broke off, such as when the day's quota is used up.
    """
    name = _official(people.settings, account)
    identities = people.identities
    official = Official(
        name,
        people.settings.accounts[name].app_id,
        people.apis.of(name).api,
        people.apis.budgets,
    )
    means = Means(time.time, asyncio.sleep, random.random)
    try:
        with Watch() as watch:
            run = Sync(
                official,
                identities.store,
                identities.store,
                watch,
                means,
                name=secrets.token_hex(8),
            )
            found = await run.run(restart=restart)
    except Postponed as later:
        complain(f"{later}; it begins anew at {shown_time(later.until)}")
        return 1
    except (ApiError, UnderWay, TakenOver, Incomplete) as wrong:
        complain(f"{name}: {wrong}")
        return 1
    _sum_up(name, found)
    return 0


class Watch:
    """Shows how far it is, on standard error: a bar, or a line now and then."""

    def __init__(self) -> None:
        console = Console(stderr=True)
        self._bar = Progress(
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.description}"),
            TimeRemainingColumn(),
            console=console,
            disable=not console.is_terminal,
        )
        self._task = self._bar.add_task("followers", total=None)
        self._began = self._told_at = time.monotonic()
        self._first = self._done = self._total = 0
        self._has_begun = False

    def __enter__(self) -> Self:
        """Begin to show it."""
        self._bar.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        _error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        """Show it no more; tell how far it came where it broke off."""
        self._bar.stop()
        if kind is not None and self._has_begun:
            self._say(f"{self._told()}; then it broke off: run it again, and it goes on from there")

    def begins(self, started_at: float, done: int) -> None:
        """Say where it goes on."""
        self._first = self._done = done
        self._has_begun = True
        if done:
            self._say(
                f"goes on behind {done:,} followers, of a run begun at {shown_time(started_at)}; "
                "--restart begins anew"
            )

    def moved(self, done: int, total: int) -> None:
        """Show how far it is."""
        self._done, self._total = done, total
        rate = (done - self._first) / max(time.monotonic() - self._began, 1e-6)
        told = f"followers, {rate:,.0f}/s"
        self._bar.update(self._task, completed=done, total=max(done, total), description=told)
        if self._bar.disable and time.monotonic() - self._told_at >= PLAIN_SECONDS:
            self._told_at = time.monotonic()
            self._say(f"{self._told()}, {rate:,.0f}/s")

    def waits(self, why: str, seconds: float) -> None:
        """Say why nothing happens."""
        self._say(f"waits for {shown_span(seconds)}: {why}")

    def _told(self) -> str:
        return f"{self._done:,} of {self._total or self._done:,} followers"

    def _say(self, line: str) -> None:
        self._bar.console.print(line, markup=False, highlight=False, soft_wrap=True)


def _official(settings: Settings, wanted: str | None) -> str:
    """Return the account that is meant; raise SettingsError."""
    officials = [
        name
        for name, account in settings.accounts.items()
        if account.platform == "official_account"
    ]
    if wanted is None and len(officials) == 1:
        return officials[0]
    if wanted not in officials:
        known = ", ".join(officials) or "none"
        kind = settings.accounts[wanted].platform if wanted in settings.accounts else None
        of_kind = f"{wanted} is a {kind}, and has no followers; " if kind else ""
        raise SettingsError(
            f"which account? {of_kind}give --account, one of the official accounts: {known}"
        )
    return wanted


def _sum_up(name: str, found: Synced) -> None:
    click.echo(
        f"{name}: {found.followers:,} followers, {found.with_union_id:,} with a union id; "
        f"{found.unfollowed:,} follow no longer"
    )
    (people, open_ids), (before, open_ids_before) = found.after, found.before
    click.echo(
        f"known of all accounts: {people:,} people with {open_ids:,} open ids; "
        f"before: {before:,} with {open_ids_before:,}"
    )
    if found.followers and not found.with_union_id:
        click.echo(
            "nobody has a union id: WeChat gives them to accounts that are bound to an account "
            "at open.weixin.qq.com",
            err=True,
        )
