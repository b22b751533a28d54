"""People in Postgres, where several processes meet at the moments that matter."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from random import Random
from typing import Any

import asyncpg
import pytest

from gateway.adapters import postgres_people, postgres_sightings
from gateway.identity.people import AppUser
from tests.contracts.identities import (
    NOW,
    A,
    B,
    C,
    D,
    Home,
    check,
    everybody,
    hanging,
    postgres_home,
    seen,
)
from tests.services import Database

WAITING = "SELECT 1 FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"


@pytest.fixture
def home(postgres: Database) -> Home:
    """A home in a Postgres, with nobody in it."""
    return postgres_home(postgres)


@asynccontextmanager
async def holding(database: Database, number: int) -> AsyncIterator[None]:
    """Hold one of the locks, and let go of it when somebody waits for it."""
    connection = await asyncpg.connect(database.dsn)
    try:
        await connection.execute("SELECT pg_advisory_lock($1, $2)", postgres_people._CLASS, number)
        yield
        async with asyncio.timeout(20):
            while not await database.fetch(WAITING):
                await asyncio.sleep(0.01)
    finally:
        await connection.close()


def test_of_many_who_see_the_same_again_the_latest_counts(home: Home) -> None:
    users = [AppUser("wx1", f"o{number}") for number in range(40)]
    random = Random(7)  # noqa: S311  # any order will do

    async def scenario() -> None:
        stores = [home.opener.open() for _ in range(2)]
        await stores[0].see([seen(user, 50) for user in users])
        for start in range(100, 1000, 100):
            times = random.sample(range(start, start + 100), 8)
            await asyncio.gather(
                *(
                    stores[at % 2].see([seen(user, at) for user in random.sample(users, 40)])
                    for at in times
                )
            )
            for person in await everybody(stores[0], users):
                assert person.last_active == NOW + max(times)

    home.opener.play(scenario)


def test_what_changed_before_the_locks_were_taken_is_looked_at_again(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken: list[frozenset[int]] = []

    async def scenario() -> None:
        store, other = home.opener.open(), home.opener.open()
        first, second, third = await store.see(
            [seen(A, 0, "U1"), seen(B, 0, "U2"), seen(C, 0, "U3")]
        )

        async def lock(database: Any, groups: frozenset[int]) -> None:
            monkeypatch.setattr(postgres_sightings, "lock", noted)
            # In the meantime it went to another one, whose lock was not asked for.
            assert await other.see([seen(A, 1, "U3")]) == [third]
            await noted(database, groups)

        async def noted(database: Any, groups: frozenset[int]) -> None:
            taken.append(groups)
            await postgres_people.lock(database, groups)

        monkeypatch.setattr(postgres_sightings, "lock", lock)
        assert await store.see([seen(A, 2, "U2")]) == [second]
        merges = [(one.former, one.person) for one in await store.merges(10)]
        assert merges == [(first, third), (third, second)]
        check(await everybody(store, [A, B, C]))
        *_, before, last = taken
        assert before < last
        assert last >= postgres_people.groups_of([A], ["U2", "U3"])

    home.opener.play(scenario)


def test_merges_are_committed_in_the_order_of_their_numbers(home: Home, postgres: Database) -> None:
    async def scenario() -> None:
        store = home.opener.open()
        await store.see([seen(A), seen(B, 0, "U1"), seen(C), seen(D)])
        async with holding(postgres, postgres_people._MERGES):
            merging = asyncio.create_task(store.see([seen(A, 1, "U1")]))
            # Nobody else waits for that.
            await store.see([seen(C, 1, "U2"), seen(D, 1)])
        await merging
        assert len(await store.merges(10)) == 1

    home.opener.play(scenario)


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    """Locks that stand for so many that all meet at them."""
    monkeypatch.setattr(postgres_people, "_GROUPS", 3)


@pytest.mark.usefixtures("few")
def test_those_who_move_the_same_back_and_forth_do_not_lock_each_other_out(home: Home) -> None:
    users = [AppUser("wx1", f"o{number}") for number in range(6)]
    random = Random(3)  # noqa: S311  # any order will do

    async def scenario() -> None:
        stores = [home.opener.open() for _ in range(3)]
        await stores[0].see([seen(user) for user in users])
        for start in range(0, 200, 10):
            await asyncio.gather(
                *(
                    stores[at % 3].see(
                        [
                            seen(user, at, f"U{random.randrange(4)}")
                            for user in random.sample(users, random.randint(1, 4))
                        ]
                    )
                    for at in range(start, start + 10)
                )
            )
            check(await everybody(stores[0], users))
            assert [*hanging(home)] == []
        assert len(home.rows("identities")) == 6

    home.opener.play(scenario)
