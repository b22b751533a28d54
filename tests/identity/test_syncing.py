"""All followers are learned from WeChat, whatever comes between."""

import asyncio
import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any, Final

import msgspec
import pytest

from gateway.adapters.memory_budgets import MemoryBudgets
from gateway.adapters.memory_tokens import MemoryTokens
from gateway.adapters.sqlite_identities import SqliteIdentities
from gateway.adapters.wechat_api import Phases, WeChatTransport
from gateway.errors import Busy, Unanswered, UserRejected
from gateway.identity.patient_calls import Means, Postponed
from gateway.identity.people import AppUser, Person, Platform, Sighting
from gateway.identity.syncing import (
    Incomplete,
    Official,
    Sync,
    Synced,
    TakenOver,
    UnderWay,
    checkpoint_name,
)
from gateway.outbound.api import Answer, Retries, WeChatApi
from gateway.outbound.budgets import Rate
from gateway.outbound.credentials import Credentials, StableToken
from gateway.outbound.endpoints import Caller
from gateway.outbound.endpoints.followers import INFO_BATCH, LIST
from gateway.outbound.limits import CallLimits
from gateway.outbound.tokens import Tokens
from gateway.simulator.api.faults import ApiFault
from gateway.simulator.api.quotas import Quota
from tests.simulator.apps import OFFICIAL, Apps, apps, secret

DAY: Final = 86_400


@dataclass
class Watching:
    """Takes note of what a run tells, and breaks it off where it is told to."""

    until: int | None = None
    begun: list[tuple[float, int]] = field(default_factory=list)
    done: list[tuple[int, int]] = field(default_factory=list)
    waited: list[tuple[str, float]] = field(default_factory=list)

    def begins(self, started_at: float, done: int) -> None:
        """Take note."""
        self.begun.append((started_at, done))

    def moved(self, done: int, total: int) -> None:
        """Take note; break off."""
        self.done.append((done, total))
        if self.until is not None and done >= self.until:
            task = asyncio.current_task()
            assert task is not None
            task.cancel()

    def waits(self, why: str, seconds: float) -> None:
        """Take note."""
        self.waited.append((why, seconds))


@dataclass
class Side:
    """What a test has: a platform, and the gateway's side of it."""

    apps: Apps
    store: SqliteIdentities
    transport: WeChatTransport
    budgets: MemoryBudgets
    rates: dict[str, Rate]
    tokens: MemoryTokens = field(default_factory=MemoryTokens)
    numbers: "count[int]" = field(default_factory=count)

    async def pass_time(self, seconds: float) -> None:
        """Let time pass at once."""
        self.apps.clock.offset += seconds
        await asyncio.sleep(0)

    def api(self) -> WeChatApi:
        """Return the account's API."""
        quick = Retries(tries=2, base=0.0, cap=0.0)
        bare = WeChatApi(self.transport, None, quick)
        source = StableToken(bare, Credentials(OFFICIAL, secret(OFFICIAL)), self.apps.clock)
        tokens = Tokens(OFFICIAL, source, self.tokens, clock=self.apps.clock)
        limits = CallLimits(
            "main", self.budgets, self.rates, clock=self.apps.clock, sleep=self.pass_time
        )
        return WeChatApi(self.transport, tokens, quick, limits=limits)

    def sync(self, watching: Watching | None = None, api: Caller | None = None) -> Sync:
        """Return a run."""
        return Sync(
            Official("main", OFFICIAL, api or self.api(), self.budgets),
            self.store,
            self.store,
            watching or Watching(),
            Means(self.apps.clock, self.pass_time, random.Random(7).random),  # noqa: S311  # the same
            name=f"run-{next(self.numbers)}",
        )

    async def broken_off(self, at: int) -> None:
        """Run until so many are done."""
        with pytest.raises(asyncio.CancelledError):
            await asyncio.create_task(self.sync(Watching(at)).run())

    @property
    def calls(self) -> tuple[int, int]:
        """How often followers were listed, and asked about."""
        calls = self.apps.server.calls
        return calls.get(LIST, 0), calls.get(INFO_BATCH, 0)

    @property
    def followers(self) -> list[str]:
        """Who follows, as WeChat knows it."""
        users = self.apps.account().users
        return sorted(name for name, user in users.items() if user.subscribed)

    async def whose(self, open_id: str) -> Person:
        """Return a person."""
        person = await self.store.owner(AppUser(OFFICIAL, open_id))
        assert person is not None
        return person

    async def noted(self) -> dict[str, Any]:
        """Return the checkpoint."""
        raw = await self.store.checkpoint(checkpoint_name("main"))
        assert raw is not None
        found: dict[str, Any] = msgspec.json.decode(raw)
        return found


@asynccontextmanager
async def side(folder: Path, followers: int) -> AsyncIterator[Side]:
    """Serve a platform whose account has so many followers."""
    ids = count()
    async with apps() as one:
        one.account().add_followers(followers)
        store = SqliteIdentities(folder / "g.db", timeout=5, new_id=lambda: f"p{next(ids):09}")
        transport = WeChatTransport(one.url, Phases(1.0, 5.0), connections=8)
        try:
            yield Side(one, store, transport, MemoryBudgets(one.clock), {})
        finally:
            await transport.close()
            await store.close()


def play(folder: Path, followers: int, scenario: Callable[[Side], Awaitable[None]]) -> None:
    """Run a scenario."""

    async def run() -> None:
        async with side(folder, followers) as one:
            await asyncio.wait_for(scenario(one), 90)

    asyncio.run(run())


def test_all_followers_are_learned_with_their_union_ids_and_a_second_run_learns_nothing_new(
    tmp_path: Path,
) -> None:
    async def scenario(one: Side) -> None:
        watching, began = Watching(), one.apps.clock()
        found = await one.sync(watching).run()
        assert found == Synced(2350, 2350, 0, (0, 0), (2350, 2350))
        assert one.calls == (2, 24)
        assert watching.done == [(done, 2350) for done in (0, 1000, 2000, 2350, 2350)]
        assert not watching.waited
        for name in (one.followers[0], one.followers[-1]):
            person = await one.whose(name)
            (identity,) = person.identities
            assert person.union_id == one.apps.world.person(one.apps.account(), name).union_id
            assert identity.subscribed
            assert identity.platform is Platform.OFFICIAL_ACCOUNT
            assert identity.subscribed_at >= began
            assert identity.last_active == 0
        assert await one.store.checkpoint(checkpoint_name("main")) is None
        again = await one.sync().run()
        assert again == Synced(2350, 2350, 0, (2350, 2350), (2350, 2350))

    play(tmp_path, 2350, scenario)


@pytest.mark.parametrize("at", [0, 1000, 2000, 2350])
def test_a_run_that_was_broken_off_goes_on_without_asking_again(tmp_path: Path, at: int) -> None:
    async def scenario(one: Side) -> None:
        await one.broken_off(at)
        watching = Watching()
        found = await one.sync(watching).run()
        assert found.followers == 2350
        assert found.after == (2350, 2350)
        assert watching.begun[0][1] == at
        # The page itself is listed again.
        assert one.calls == (3, 24)

    play(tmp_path, 2350, scenario)


@pytest.mark.parametrize("at", [9000, 10_000])
def test_so_it_is_on_any_page(tmp_path: Path, at: int) -> None:
    async def scenario(one: Side) -> None:
        await one.broken_off(at)
        found = await one.sync().run()
        assert (found.followers, found.after) == (10_050, (10_050, 10_050))
        assert one.calls == (4, 101)

    play(tmp_path, 10_050, scenario)


def test_one_who_leaves_while_it_is_broken_off_moves_nobody_out_of_the_list(
    tmp_path: Path,
) -> None:
    async def scenario(one: Side) -> None:
        first, last = one.followers[0], one.followers[999]
        await one.broken_off(1000)
        one.apps.account().users[first].subscribed = False
        assert (await one.sync().run()).followers == 1500
        assert one.calls == (3, 15)
        one.apps.clock.offset += 1
        await one.broken_off(1000)
        # Where it was: nobody is there any more, so the page is done once more.
        one.apps.account().users[one.followers[999]].subscribed = False
        found = await one.sync().run()
        assert found.unfollowed == 1
        for name in one.followers:
            assert (await one.whose(name)).identities[0].subscribed
        assert (await one.whose(last)).identities[0].subscribed

    play(tmp_path, 1500, scenario)


def test_those_who_do_not_follow_any_more_are_noted_unless_they_were_seen_since(
    tmp_path: Path,
) -> None:
    async def scenario(one: Side) -> None:
        await one.sync().run()
        gone, back = one.followers[:2]
        other = AppUser("wx00000000000000a2", gone)
        now = one.apps.clock()
        await one.store.see([Sighting(other, Platform.OFFICIAL_ACCOUNT, now, subscribed=True)])
        one.apps.account().users[gone].subscribed = False
        one.apps.account().users[back].subscribed = False
        one.apps.clock.offset += 60
        later = Sighting(
            AppUser(OFFICIAL, back), Platform.OFFICIAL_ACCOUNT, now + 3600, subscribed=True
        )
        await one.store.see([later])
        found = await one.sync().run()
        assert (found.followers, found.unfollowed) == (148, 1)
        assert (await one.whose(gone)).identities[0].subscribed is False
        assert (await one.whose(back)).identities[0].subscribed
        elsewhere = await one.store.owner(other)
        assert elsewhere is not None
        assert elsewhere.identities[0].subscribed

    play(tmp_path, 150, scenario)


def test_what_was_learned_of_a_follower_after_the_call_counts_more(tmp_path: Path) -> None:
    async def scenario(one: Side) -> None:
        name = one.followers[0]
        left = Sighting(
            AppUser(OFFICIAL, name),
            Platform.OFFICIAL_ACCOUNT,
            one.apps.clock() + 30,
            subscribed=False,
        )
        await one.store.see([left])
        await one.sync().run()
        assert (await one.whose(name)).identities[0].subscribed is False

    play(tmp_path, 3, scenario)


def test_a_restart_asks_for_everything_again(tmp_path: Path) -> None:
    async def scenario(one: Side) -> None:
        await one.broken_off(1000)
        found = await one.sync().run(restart=True)
        assert found.followers == 1500
        assert one.calls == (3, 25)

    play(tmp_path, 1500, scenario)


class Held:
    """An API that stands still before it asks about anybody, once so many calls were made."""

    def __init__(self, one: Side, at: int) -> None:
        self._api = one.api()
        self._one = one
        self._at = at
        self.stands = asyncio.Event()
        self.go_on = asyncio.Event()

    async def call(self, method: str, path: str, **given: Any) -> Answer:
        """Answer, perhaps later."""
        if path == INFO_BATCH and self._one.calls[1] >= self._at:
            self.stands.set()
            await self.go_on.wait()
        return await self._api.call(method, path, **given)


def test_of_two_runs_at_once_the_second_ends_unless_the_first_was_silent_for_long(
    tmp_path: Path,
) -> None:
    async def scenario(one: Side) -> None:
        api, other = Held(one, 10), Held(one, 20)
        first = asyncio.create_task(one.sync(api=api).run())
        await api.stands.wait()
        for restart in (False, True):
            with pytest.raises(UnderWay, match="another run is at it, last heard of 0 s ago"):
                await one.sync().run(restart=restart)
        one.apps.clock.offset += 61
        second = asyncio.create_task(one.sync(api=other).run())
        await other.stands.wait()
        api.go_on.set()
        with pytest.raises(TakenOver):
            await first
        # It left the other's note alone.
        with pytest.raises(UnderWay):
            await one.sync().run()
        other.go_on.set()
        assert (await second).after == (3000, 3000)

    play(tmp_path, 3000, scenario)


def test_one_that_was_silent_goes_on_where_nobody_took_over(tmp_path: Path) -> None:
    async def scenario(one: Side) -> None:
        api = Held(one, 10)
        first = asyncio.create_task(one.sync(api=api).run())
        await api.stands.wait()
        one.apps.clock.offset += 3600
        api.go_on.set()
        assert (await first).followers == 1500

    play(tmp_path, 1500, scenario)


def test_a_limit_of_the_minute_is_waited_for_and_told(tmp_path: Path) -> None:
    async def scenario(one: Side) -> None:
        one.apps.account().quotas.limits[INFO_BATCH] = Quota(None, 6)
        watching = Watching()
        assert (await one.sync(watching).run()).followers == 2350
        assert watching.waited
        assert all(INFO_BATCH in why and 0 < s <= 60 for why, s in watching.waited)
        # Once for each minute, however many calls were under way.
        assert len(watching.waited) <= 5

    play(tmp_path, 2350, scenario)


def test_a_rate_of_the_account_s_own_is_kept_however_slow(tmp_path: Path) -> None:
    async def scenario(one: Side) -> None:
        one.rates[INFO_BATCH] = Rate(1 / 40, 1)
        began = one.apps.clock()
        assert (await one.sync().run()).followers == 700
        assert one.apps.clock() - began >= 6 * 40
        assert one.calls[1] == 7

    play(tmp_path, 700, scenario)


def test_while_it_waits_it_shows_that_it_is_alive(tmp_path: Path) -> None:
    async def scenario(one: Side) -> None:
        one.rates[INFO_BATCH] = Rate(1 / 300, 1)
        running = asyncio.create_task(one.sync().run())
        silent = []
        while not running.done():
            raw = await one.store.checkpoint(checkpoint_name("main"))
            if raw is not None:
                silent.append(one.apps.clock() - msgspec.json.decode(raw)["at"])
        assert len(silent) > 20
        assert max(silent) < 50
        assert running.result().followers == 300

    play(tmp_path, 300, scenario)


def test_a_quota_of_the_day_postpones_the_rest(tmp_path: Path) -> None:
    async def scenario(one: Side) -> None:
        one.apps.account().quotas.limits[INFO_BATCH] = Quota(14)
        # Midday in Beijing, so that midnight is far.
        one.apps.clock.offset += DAY - (one.apps.clock() + 8 * 3600) % DAY + DAY / 2
        with pytest.raises(Postponed, match=INFO_BATCH) as first:
            await one.sync().run()
        assert (first.value.until + 8 * 3600) % DAY == 0
        assert 0 < first.value.until - one.apps.clock() <= DAY / 2
        calls = one.calls[1]
        # The next run of the day does not ask WeChat for it.
        with pytest.raises(Postponed) as second:
            await one.sync().run()
        assert second.value.until == first.value.until
        assert one.calls[1] == calls
        one.apps.account().quotas.limits[INFO_BATCH] = Quota(100)
        one.apps.clock.offset += DAY
        watching = Watching()
        assert (await one.sync(watching).run()).after == (2350, 2350)
        assert watching.begun[0][1] == 1000
        assert one.calls[1] - calls == 14

    play(tmp_path, 2350, scenario)


def test_what_passes_is_tried_again_and_what_does_not_is_raised_and_gone_on_from(
    tmp_path: Path,
) -> None:
    async def scenario(one: Side) -> None:
        # The faults do not meet what the token is fetched with.
        await one.broken_off(0)
        one.apps.faults.rates = {ApiFault.BUSY: 0.3, ApiFault.RESET_AFTER: 0.1}
        watching = Watching()
        assert (await one.sync(watching).run()).after == (2350, 2350)
        assert any("-1" in why for why, _ in watching.waited)
        one.apps.faults.rates = {}
        await one.broken_off(1000)
        one.apps.faults.rates = {ApiFault.BUSY: 1.0}
        with pytest.raises(Busy):
            await one.sync().run()
        one.apps.faults.rates = {}
        calls = one.calls[1]
        assert (await one.sync().run()).followers == 2350
        assert one.calls[1] - calls == 14

    play(tmp_path, 2350, scenario)


class Told:
    """An API that answers some calls otherwise."""

    def __init__(self, api: Caller, instead: Callable[[str, Any], Answer | None]) -> None:
        self._api = api
        self._instead = instead

    async def call(self, method: str, path: str, **given: Any) -> Answer:
        """Answer."""
        answer = self._instead(path, given.get("json"))
        return answer if answer is not None else await self._api.call(method, path, **given)


def test_an_answer_without_its_list_makes_nobody_a_stranger(tmp_path: Path) -> None:
    async def scenario(one: Side) -> None:
        await one.sync().run()
        empty: Answer = {"total": 150, "count": 0, "next_openid": ""}
        one.apps.clock.offset += 5
        with pytest.raises(Incomplete, match="listed 0 followers and says there are 150"):
            await one.sync(api=Told(one.api(), lambda path, _: {LIST: empty}.get(path))).run()
        assert (await one.whose(one.followers[0])).identities[0].subscribed
        found = await one.sync().run()
        assert (found.followers, found.unfollowed) == (150, 0)

    play(tmp_path, 150, scenario)


@pytest.mark.parametrize(
    "wrong",
    [
        {LIST: {}},
        {LIST: {"total": 1, "count": 1, "data": {"openid": [7]}}},
        {INFO_BATCH: {}},
        {INFO_BATCH: {"user_info_list": [{"subscribe": 1}]}},
    ],
)
def test_an_answer_that_is_none_is_told_without_what_is_in_it(
    tmp_path: Path, wrong: dict[str, Answer]
) -> None:
    async def scenario(one: Side) -> None:
        with pytest.raises(Unanswered, match="an answer that is no list of"):
            await one.sync(api=Told(one.api(), lambda path, _: wrong.get(path))).run()

    play(tmp_path, 3, scenario)


def test_one_whom_wechat_does_not_tell_of_keeps_nobody_else_from_being_learned(
    tmp_path: Path,
) -> None:
    async def scenario(one: Side) -> None:
        refused, left_out = one.followers[7], one.followers[150]

        def instead(path: str, body: Any) -> Answer | None:
            if path != INFO_BATCH:
                return None
            names = [user["openid"] for user in body["user_list"]]
            if refused in names:
                raise UserRejected(path, 40003, "invalid openid", "", "")
            if left_out in names:
                return {"user_info_list": []}
            return None

        found = await one.sync(api=Told(one.api(), instead)).run()
        assert (found.followers, found.with_union_id) == (250, 99 + 50)
        person = await one.whose(refused)
        assert (person.union_id, person.identities[0].subscribed) == (None, True)
        assert (await one.whose(left_out)).identities[0].subscribed
        assert (await one.sync().run()).with_union_id == 250

    play(tmp_path, 250, scenario)


def test_a_checkpoint_of_another_version_is_begun_anew(tmp_path: Path) -> None:
    async def scenario(one: Side) -> None:
        for noted in (b"not JSON", b'{"page": 7}'):
            await one.store.note_checkpoint(checkpoint_name("main"), noted)
            assert (await one.sync().run()).followers == 3

    play(tmp_path, 3, scenario)


def test_a_clock_that_is_late_notes_nobody_as_gone_whom_it_saw(tmp_path: Path) -> None:
    async def scenario(one: Side) -> None:
        await one.broken_off(1000)
        # Another machine goes on, an hour late.
        one.apps.clock.offset -= 3600
        assert (await one.sync().run()).unfollowed == 0
        for name in one.followers[::100]:
            assert (await one.whose(name)).identities[0].subscribed

    play(tmp_path, 1500, scenario)


def test_the_checkpoint_names_nobody_on_a_page(tmp_path: Path) -> None:
    """One may be erased meanwhile; the end of a page is the one name that has to be kept."""

    async def scenario(one: Side) -> None:
        await one.broken_off(1000)
        noted = await one.noted()
        assert not any(name in str(noted) for name in one.followers)
        assert noted["by"] == ""
        assert noted["at"] <= time.time() + 1

    play(tmp_path, 1500, scenario)
