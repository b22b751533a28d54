"""What is known of people does not depend on the order and the batches in which it was learned.

Found by looking at all at once (expected), and held against what a store made of it step by step.
"""

import asyncio
from collections.abc import Callable, Coroutine, Iterator, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any, Final, NamedTuple

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.identity.people import AppUser, Consent, Sighting
from tests.contracts.identities import (
    Home,
    Identities,
    check,
    everybody,
    expected,
    hanging,
    nameless,
    postgres_home,
    seen,
    sqlite_home,
)
from tests.services import Database

USERS: Final = [AppUser(f"wx{app}", f"o{number}") for app in (1, 2, 3) for number in (1, 2)]
BASE: Final = [seen(user, 0) for user in USERS]
"""Everybody was seen before: of strangers no consent is kept, and no tag."""

# Few values, so that they meet: same times, same union ids.
TIMES: Final = st.integers(1, 6).map(float)
UNIONS: Final = st.sampled_from([None, None, "U1", "U2", "U3"])
SIGHTINGS: Final = st.builds(
    seen,
    st.sampled_from(USERS),
    TIMES,
    UNIONS,
    subscribed=st.sampled_from([None, True, False]),
    nickname=st.sampled_from([None, "", "n", "é😀"]),
    avatar=st.sampled_from([None, "https://x/0"]),
    active=st.booleans(),
)
CONSENTS: Final = st.builds(
    Consent, st.sampled_from(USERS), st.sampled_from(["T1", "T2"]), st.booleans(), TIMES
)


class Label(NamedTuple):
    """A tag and a role, given to whoever has an open id by then."""

    user: AppUser
    name: str


Event = Sighting | Consent | Label


@st.composite
def histories(draw: st.DrawFn, events: st.SearchStrategy[Any]) -> list[list[Event]]:
    """Return what happened, in batches."""
    happened = draw(st.lists(events, max_size=14))
    ends = draw(st.lists(st.booleans(), min_size=len(happened), max_size=len(happened)))
    batches: list[list[Event]] = [[]]
    for event, is_last in zip(happened, ends, strict=True):
        batches[-1].append(event)
        if is_last:
            batches.append([])
    return batches


class Told(NamedTuple):
    """What a store said while it learned."""

    ids: set[str]
    """Of everybody who was ever there."""


async def learn(store: Identities, batches: Sequence[Sequence[Event]]) -> Told:
    """Let a store learn batch by batch, and look at everybody behind each."""
    ids = {*await store.see(BASE)}
    for batch in batches:
        for kind, some in groupby(batch, key=type):
            events: list[Any] = list(some)
            if kind is Sighting:
                ids.update(await store.see(events))
            elif kind is Consent:
                await store.answer(events)
            else:
                await label(store, events)
        check(await everybody(store, USERS))
    return Told(ids)


async def label(store: Identities, labels: Sequence[Label]) -> None:
    """Give tags and roles."""
    for user, name in labels:
        person = await store.owner(user)
        assert person is not None
        assert await store.tag(person.id, [name], [])
        assert await store.grant(person.id, [name], [])


@pytest.fixture(scope="module", params=["sqlite", "postgres"])
def kind(request: pytest.FixtureRequest) -> str:
    """Which store."""
    return str(request.param)


@pytest.fixture
def home(kind: str, request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Home]:
    """A home of each kind."""
    if kind == "sqlite":
        yield sqlite_home(tmp_path)
        return
    database: Database = request.getfixturevalue("postgres")
    yield postgres_home(database)


def examples(home: Home, sqlite: int, postgres: int) -> settings:
    """Return how often a property is tried: each time that takes a while."""
    is_sqlite = "Sqlite" in type(home.opener.make()).__name__
    return settings(
        max_examples=sqlite if is_sqlite else postgres,
        deadline=None,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
    )


def try_out(home: Home, property_: Callable[[Identities], Coroutine[Any, Any, None]]) -> None:
    """Try a property with a home that nobody is in."""
    home.empty()
    home.opener.play(lambda: property_(home.opener.open()))


def test_any_order_and_any_batches_end_in_the_same_people(home: Home) -> None:
    @examples(home, 80, 12)
    @given(histories(SIGHTINGS | CONSENTS))
    def run(batches: list[list[Event]]) -> None:
        every = [event for batch in batches for event in batch]
        sightings = [*BASE, *(one for one in every if isinstance(one, Sighting))]
        consents = [one for one in every if isinstance(one, Consent)]

        async def property_(store: Identities) -> None:
            told = await learn(store, batches)
            people = await everybody(store, USERS)
            assert nameless(people) == expected(sightings, consents)
            # Whoever was there is there, or found by who they turned out to be.
            for id_ in told.ids:
                person = await store.person(id_)
                assert person is not None
                assert id_ in (person.id, *person.former_ids)
            assert await store.count() == (len(people), len(USERS))
            assert [*hanging(home)] == []

        try_out(home, property_)

    run()


def test_shuffled_and_split_it_is_the_same(home: Home) -> None:
    """The same events, in another order and in other batches, and all of them twice."""

    @examples(home, 80, 12)
    @given(histories(SIGHTINGS | CONSENTS), st.randoms(use_true_random=False))
    def run(batches: list[list[Event]], random: Any) -> None:
        every = [event for batch in batches for event in batch] * 2
        random.shuffle(every)
        size = random.randint(1, 5)
        again = [every[start : start + size] for start in range(0, len(every), size)]
        ends: list[Any] = []

        async def property_(store: Identities) -> None:
            ends.append(nameless(await everybody(store, USERS)))

        for some in (batches, again):

            async def learned(store: Identities, some: Any = some) -> None:
                await learn(store, some)
                await property_(store)

            try_out(home, learned)
        assert ends[0] == ends[1]

    run()


OWN_UNIONS: Final = dict(zip(USERS, [None, "U1", "U1", "U1", "U2", "U2"], strict=True))
"""Union ids that never change: who belongs together is given, when it is found out is not."""

LABELS: Final = st.builds(Label, st.sampled_from(USERS), st.sampled_from(["a", "b", "c", "d", "e"]))


@st.composite
def truths(draw: st.DrawFn) -> Sighting:
    """Return a sighting of somebody, with or without the union id that is theirs."""
    user = draw(st.sampled_from(USERS))
    return seen(user, draw(TIMES), draw(st.sampled_from([None, OWN_UNIONS[user]])))


def test_a_merge_loses_nothing(home: Home) -> None:
    """Of people whose union ids are found out at any time, all that was theirs comes together."""

    @examples(home, 80, 12)
    @given(histories(truths() | CONSENTS | LABELS))
    def run(batches: list[list[Event]]) -> None:
        every = [event for batch in batches for event in batch]
        # In the end everything is found out.
        last = [seen(user, 9, union_id) for user, union_id in OWN_UNIONS.items()]

        async def property_(store: Identities) -> None:
            told = await learn(store, [*batches, last])
            people = await everybody(store, USERS)
            assert len(people) == 3
            for person in people:
                own = {one.user for one in person.identities}
                labels = {one.name for one in every if isinstance(one, Label) and one.user in own}
                assert person.tags == person.roles == tuple(sorted(labels))
                asked = {one[:2] for one in every if isinstance(one, Consent) and one.user in own}
                assert {one[:2] for one in person.consents} == asked
            assert {one.id for one in people} <= told.ids
            found = [await store.person(id_) for id_ in sorted(told.ids)]
            assert all(person in people for person in found)
            former = sorted(id_ for person in people for id_ in person.former_ids)
            assert former == sorted(told.ids - {one.id for one in people})

        try_out(home, property_)

    run()


def test_whatever_changes_hands_no_tag_and_no_role_is_lost(home: Home) -> None:
    @examples(home, 80, 12)
    @given(histories(SIGHTINGS | LABELS))
    def run(batches: list[list[Event]]) -> None:
        labels = {one.name for batch in batches for one in batch if isinstance(one, Label)}

        async def property_(store: Identities) -> None:
            await learn(store, batches)
            people = await everybody(store, USERS)
            assert {tag for person in people for tag in person.tags} == labels
            assert {role for person in people for role in person.roles} == labels
            assert [*hanging(home)] == []

        try_out(home, property_)

    run()


def test_several_at_once_end_in_the_same_people(home: Home) -> None:
    @examples(home, 30, 12)
    @given(st.lists(histories(SIGHTINGS | CONSENTS), min_size=3, max_size=3))
    def run(histories_: list[list[list[Event]]]) -> None:
        every = [event for batches in histories_ for batch in batches for event in batch]
        sightings = [*BASE, *(one for one in every if isinstance(one, Sighting))]
        consents = [one for one in every if isinstance(one, Consent)]

        async def property_(store: Identities) -> None:
            await store.see(BASE)
            stores = [store, home.opener.open(), home.opener.open()]
            await asyncio.gather(
                *(alone(one, batches) for one, batches in zip(stores, histories_, strict=True))
            )
            people = await everybody(store, USERS)
            check(people)
            assert nameless(people) == expected(sightings, consents)
            assert [*hanging(home)] == []

        async def alone(store: Identities, batches: list[list[Event]]) -> None:
            for batch in batches:
                await store.see([one for one in batch if isinstance(one, Sighting)])
                await store.answer([one for one in batch if isinstance(one, Consent)])

        try_out(home, property_)

    run()
