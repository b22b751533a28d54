"""One suite over every IdentityStore: SQLite, Postgres."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Final

import pytest

from gateway.adapters.postgres_identities import PostgresIdentities
from gateway.adapters.sqlite_identities import SqliteIdentities
from gateway.errors import StoreDown
from gateway.identity.people import AppUser, Consent, Identity, Merge, Person, Platform
from tests.contracts.identities import (
    NOW,
    A,
    B,
    C,
    D,
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
from tests.contracts.records import Opener, migrated, with_password
from tests.proxy import TcpProxy
from tests.services import Database

ODD: Final = [
    "好 😀",
    "a\0b",
    "\0",
    "␀",
    "␀0",
    "'; DROP TABLE x; --",
    "%",
    "{}",
    "$1 ?1",
    " ",
    "N" * 5000,
]


@pytest.fixture(params=["sqlite", "postgres"])
def home(request: pytest.FixtureRequest, tmp_path: Path) -> Home:
    """A home of each kind, with nobody in it."""
    if request.param == "sqlite":
        return sqlite_home(tmp_path)
    return postgres_home(request.getfixturevalue("postgres"))


def play(home: Home, scenario: Callable[[Identities], Awaitable[None]]) -> None:
    """Run a scenario with a store."""
    home.opener.play(lambda: scenario(home.opener.open()))


async def known(store: Identities, user: AppUser) -> Identity:
    """Return what is known of an open id."""
    person = await store.owner(user)
    assert person is not None
    return next(one for one in person.identities if one.user == user)


def test_nobody_is_known_at_first(home: Home) -> None:
    async def scenario(store: Identities) -> None:
        assert await store.see([]) == []
        assert await store.person("p0001") is None
        assert await store.owner(A) is None
        assert await store.bearer("U") is None
        assert await store.count() == (0, 0)
        assert await store.merges(10) == []

    play(home, scenario)


def test_who_is_seen_is_known_with_all_that_was_learned(home: Home) -> None:
    async def scenario(store: Identities) -> None:
        sighting = seen(A, 0, "U1", subscribed=True, nickname="小明😀", avatar="https://x/0")
        (id_,) = await store.see([sighting])
        identity = Identity(
            A, Platform.OFFICIAL_ACCOUNT, "U1", True, NOW, "小明😀", "https://x/0", NOW, NOW
        )
        person = Person(id_, "U1", NOW, (identity,))
        for one in (store, home.opener.open()):
            assert await one.person(id_) == await one.owner(A) == await one.bearer("U1") == person
        assert person.last_active == NOW
        assert await store.count() == (1, 1)

    play(home, scenario)


def test_open_ids_are_one_person_by_their_union_id_alone(home: Home) -> None:
    async def scenario(store: Identities) -> None:
        # The same open id in another app is another's.
        same = AppUser("wx2", A.open_id)
        owners = await store.see([seen(A, 0, "U1"), seen(same, 0), seen(B, 1, "U1"), seen(A, 2)])
        assert owners[0] == owners[2] == owners[3] != owners[1]
        person = await store.bearer("U1")
        assert person is not None
        assert [one.user for one in person.identities] == [A, B]
        assert await store.see([seen(C, 3, "U1"), seen(D, 3, "U2")]) == [owners[0], "p0003"]
        assert await store.merges(10) == []

    play(home, scenario)


def test_an_empty_union_id_is_none(home: Home) -> None:
    async def scenario(store: Identities) -> None:
        one, other = await store.see([seen(A, 0, ""), seen(B, 0, "")])
        assert one != other
        person = await store.person(one)
        assert person is not None
        assert person.union_id is None

    play(home, scenario)


def test_whose_union_id_is_learned_first_stays_who_they_are(home: Home) -> None:
    async def scenario(store: Identities) -> None:
        (id_,) = await store.see([seen(A)])
        assert await store.see([seen(A, 1, "U1")]) == [id_]
        person = await store.bearer("U1")
        assert person is not None
        assert person.id == id_
        # And so where it changes, and the other one is free again.
        assert await store.see([seen(A, 2, "U2"), seen(B, 2, "U1")]) == [id_, "p0002"]
        assert await store.merges(10) == []

    play(home, scenario)


def test_who_turns_out_to_be_somebody_is_found_there_with_all_that_was_theirs(home: Home) -> None:
    async def scenario(store: Identities) -> None:
        former, person = await store.see([seen(A), seen(B, 1, "U1")])
        await store.tag(former, ["vip", "both"], [])
        await store.tag(person, ["new", "both"], [])
        await store.grant(former, ["admin", "both"], [])
        await store.grant(person, ["editor", "both"], [])
        consent = Consent(A, "T1", True, NOW)
        await store.answer([consent])
        assert await store.see([seen(A, 2, "U1")]) == [person]
        found = await store.person(person)
        assert found is not None
        assert found == await store.person(former) == await store.owner(A)
        assert found.tags == ("both", "new", "vip")
        assert found.roles == ("admin", "both", "editor")
        assert found.consents == (consent,)
        assert found.former_ids == (former,)
        assert [one.user for one in found.identities] == [A, B]
        merge = Merge(1, NOW + 2, A, former, person, whole=True, settled=False)
        assert await store.merges(10) == [merge]
        assert await store.count() == (1, 2)
        # What is theirs can be changed by the former id too.
        assert await store.tag(former, [], ["vip"])
        assert await store.grant(former, [], ["admin"])
        changed = await store.person(person)
        assert changed is not None
        assert (changed.tags, changed.roles) == (("both", "new"), ("both", "editor"))

    play(home, scenario)


def test_former_ids_find_their_person_through_any_number_of_merges(home: Home) -> None:
    async def scenario(store: Identities) -> None:
        ids = await store.see([seen(A), seen(B, 0, "U2"), seen(C, 0, "U3"), seen(D, 0, "U4")])
        await store.see([seen(A, 1, "U2")])
        # With A's: B's person goes as soon as both have left.
        await store.see([seen(A, 2, "U3")])
        await store.see([seen(B, 2, "U3")])
        await store.see([seen(one, 3, "U4") for one in (A, B, C)])
        person = await store.bearer("U4")
        assert person is not None
        assert person.id == ids[3]
        assert person.former_ids == tuple(ids[:3])
        for id_ in ids:
            assert await store.person(id_) == person
        every = await store.merges(100)
        assert [(one.former, one.person) for one in every][:3] == [
            (ids[0], ids[1]),
            (ids[1], ids[2]),
            (ids[1], ids[2]),
        ]
        assert [one.whole for one in every] == [True, False, True, False, False, True]

    play(home, scenario)


def test_one_of_several_open_ids_changes_hands_with_what_hangs_on_it(home: Home) -> None:
    async def scenario(store: Identities) -> None:
        former, _, other = await store.see([seen(A, 0, "U1"), seen(B, 1, "U1"), seen(C, 0, "U2")])
        await store.tag(former, ["of A"], [])
        await store.grant(former, ["admin"], [])
        answers = [Consent(user, "T1", True, NOW) for user in (A, B)]
        await store.answer(answers)
        assert await store.see([seen(A, 2, "U2")]) == [other]
        left, gained = await store.person(former), await store.person(other)
        assert left is not None
        assert gained is not None
        assert ([one.user for one in left.identities], left.tags) == ([B], ())
        assert (left.roles, left.consents) == (("admin",), (answers[1],))
        assert ([one.user for one in gained.identities], gained.tags) == ([A, C], ("of A",))
        assert (gained.roles, gained.consents, gained.former_ids) == ((), (answers[0],), ())
        (merge,) = await store.merges(10)
        assert merge == Merge(1, NOW + 2, A, former, other, whole=False, settled=False)
        # To somebody who is new.
        (new,) = await store.see([seen(A, 3, "U3")])
        assert new not in (former, other)
        assert (await store.merges(10))[1][3:6] == (other, new, False)

    play(home, scenario)


def test_two_people_can_change_union_ids_in_one_batch(home: Home) -> None:
    async def scenario(store: Identities) -> None:
        await store.see([seen(A, 0, "U1"), seen(B, 0, "U2"), seen(C, 0, "U3")])
        swapped = [seen(A, 1, "U2"), seen(B, 1, "U3"), seen(C, 1, "U1")]
        await store.see(swapped)
        people = await everybody(store, [A, B, C])
        check(people)
        assert nameless(people) == expected([seen(A), seen(B), seen(C), *swapped], [])

    play(home, scenario)


def test_what_was_learned_later_counts_in_whichever_order_it_comes(home: Home) -> None:
    late = seen(A, 9, "U2", subscribed=False, nickname="new", active=False)
    early = seen(A, 1, "U1", subscribed=True, nickname="old", avatar="https://x/1")
    between = seen(A, 5)

    async def scenario(store: Identities) -> None:
        for sightings in ([late, early, between], [early], [between], [late]):
            await store.see(sightings)
            assert await known(store, A) == Identity(
                *(A, Platform.OFFICIAL_ACCOUNT, "U2", False, NOW + 9, "new", None),
                *(NOW + 1, NOW + 5),
            )

    play(home, scenario)


def test_of_one_time_the_greater_counts(home: Home) -> None:
    one = seen(A, 1, "U1", subscribed=True, nickname="é")
    other = seen(A, 1, "U2", subscribed=False, nickname="z", avatar="https://x/1")

    async def scenario(store: Identities) -> None:
        for sightings in ([one, other], [other], [one]):
            await store.see(sightings)
            found = await known(store, A)
            assert (found.union_id, found.subscribed) == ("U2", True)
            assert (found.nickname, found.avatar) == ("é", None)

    play(home, scenario)


def test_a_backfill_is_no_doing_of_theirs(home: Home) -> None:
    async def scenario(store: Identities) -> None:
        await store.see([seen(A, 5, active=False), seen(B, 1), seen(B, 7, active=False)])
        assert (await known(store, A))[7:] == (NOW + 5, 0.0)
        assert (await known(store, B))[7:] == (NOW + 1, NOW + 1)

    play(home, scenario)


def test_a_batch_of_thousands_is_one_call_and_again(home: Home) -> None:
    users = [AppUser(f"wx{number % 3 + 1}", f"o{number:05}") for number in range(3000)]
    first = [seen(user, n % 7, f"U{n // 3}" if n % 2 else None) for n, user in enumerate(users)]

    async def scenario(store: Identities) -> None:
        owners = await store.see(first)
        assert await store.see([seen(user, 10) for user in users]) == owners
        # Some new, some merged, most of them only seen again.
        third = [
            seen(user, 20, f"U{n // 3}" if n % 100 == 0 else None) for n, user in enumerate(users)
        ]
        await store.see([*third, *(seen(AppUser("wx1", f"new{n}"), 20) for n in range(50))])
        people = await everybody(store, users)
        check(people)
        learned = [*first, *(seen(user, 10) for user in users), *third]
        assert nameless(people) == expected(learned, [])
        assert [*hanging(home)] == []

    play(home, scenario)


@pytest.mark.parametrize("text", ODD, ids=range(len(ODD)))
def test_any_text_is_kept(home: Home, text: str) -> None:
    """NUL too, which Postgres itself cannot hold."""
    user = AppUser("wx1" + text[:9], "o" + text[:9])

    async def scenario(store: Identities) -> None:
        sighting = seen(A, 0, text[:9], nickname=text, avatar=text)._replace(user=user)
        (id_,) = await store.see([sighting])
        assert await store.see([sighting._replace(at=NOW + 1)]) == [id_]
        assert await store.tag(id_, [text, "x"], ["x", "y"])
        assert await store.grant(id_, [text], [])
        await store.answer([Consent(user, text, True, NOW)])
        person = await store.owner(user)
        assert person is not None
        assert person == await store.bearer(text[:9])
        assert (person.identities[0].nickname, person.identities[0].avatar) == (text, text)
        assert (person.tags, person.roles) == (tuple(sorted([text, "x"])), (text,))
        assert person.consents == (Consent(user, text, True, NOW),)
        assert await store.erase_user(user) == person

    play(home, scenario)


def test_half_a_character_in_a_name_is_replaced(home: Home) -> None:
    async def scenario(store: Identities) -> None:
        await store.see([seen(A, nickname="a\ud83db\ud83d\ude00", avatar="\udc00")])
        found = await known(store, A)
        assert (found.nickname, found.avatar) == ("a\ufffdb😀", "\ufffd")

    play(home, scenario)


def test_tags_hang_on_the_identity_first_seen_and_are_removed_from_all(home: Home) -> None:
    async def scenario(store: Identities) -> None:
        (id_, _) = await store.see([seen(A, 5, "U1"), seen(B, 1, "U1")])
        assert await store.tag(id_, ["x", "y", "x"], [])
        await store.see([seen(A, 0)])
        assert await store.tag(id_, ["x", "z"], ["nothing"])
        assert sorted(home.rows("identity_tags")) == [(*A, "x"), (*A, "z"), (*B, "x"), (*B, "y")]
        assert await store.tag(id_, ["z"], ["x", "z"])
        person = await store.person(id_)
        assert person is not None
        assert person.tags == ("y", "z")
        assert not await store.tag("nobody", ["x"], ["y"])
        assert not await store.grant("nobody", ["x"], ["y"])
        assert await store.grant(id_, ["a", "b", "a"], [])
        assert await store.grant(id_, ["b", "c"], ["a", "b"])
        changed = await store.person(id_)
        assert changed is not None
        assert changed.roles == ("b", "c")

    play(home, scenario)


def test_the_latest_answer_counts_and_those_of_strangers_are_dropped(home: Home) -> None:
    def answer(user: AppUser, at: float, *, accepted: bool, template: str = "T1") -> Consent:
        return Consent(user, template, accepted, NOW + at)

    async def scenario(store: Identities) -> None:
        await store.answer([])
        await store.see([seen(A)])
        await store.answer([answer(A, 5, accepted=False), answer(B, 5, accepted=True)])
        await store.answer([answer(A, 4, accepted=True), answer(A, 3, accepted=True)])
        other = answer(A, 1, accepted=True, template="T0")
        await store.answer([other, other._replace(accepted=False), other])
        person = await store.owner(A)
        assert person is not None
        assert person.consents == (other, answer(A, 5, accepted=False))
        await store.answer([answer(A, 5, accepted=True)])
        await store.answer([answer(A, 5, accepted=False)])
        assert (await store.see([seen(B)])) != [person.id]
        found = await store.owner(A)
        assert found is not None
        assert found.consents == (other, answer(A, 5, accepted=True))
        stranger = await store.owner(B)
        assert stranger is not None
        assert stranger.consents == ()

    play(home, scenario)


def test_merges_are_told_page_by_page_by_person_and_until_they_are_settled(home: Home) -> None:
    users = [AppUser("wx1", f"o{number}") for number in range(6)]

    async def scenario(store: Identities) -> None:
        ids = await store.see([seen(user, 0) for user in users])
        for number in range(1, 6):
            # Two pairs, and a triple.
            await store.see([seen(users[number], 1, f"U{number // 2}")])
        await store.see([seen(users[0], 2, "U0"), seen(users[1], 2, "U0")])
        first, second, third = await store.merges(10)
        assert [first.number, second.number, third.number] == sorted(
            {first.number, second.number, third.number}
        )
        assert await store.merges(2) == [first, second]
        assert await store.merges(2, first.number) == [second, third]
        assert await store.merges(10, third.number) == []
        assert await store.merges(10, person=ids[2]) == [first]
        # By a former id as well.
        assert await store.merges(10, person=ids[3]) == [first]
        assert await store.merges(10, person="nobody") == []
        await store.settle([second.number, 999])
        await store.settle([])
        assert await store.merges(10, unsettled=True) == [first, third]
        assert await store.merges(1, first.number, unsettled=True) == [third]
        assert await store.merges(10, second.number - 1, person=second.person) == [
            second._replace(settled=True)
        ]

    play(home, scenario)


def test_whoever_is_not_listed_any_more_does_not_follow(home: Home) -> None:
    async def scenario(store: Identities) -> None:
        E, F = AppUser("wx1", "oE"), AppUser("wx1", "oF")  # noqa: N806  # like A to D
        await store.see(
            [
                *(seen(A, 1, subscribed=True), seen(D, 5, subscribed=True)),
                *(seen(E, 1, subscribed=False), seen(F, 1), seen(B, 1, subscribed=True)),
            ]
        )
        assert await store.unfollow("wx1", NOW + 5, NOW + 8) == 1
        assert await store.unfollow("wx1", NOW + 5, NOW + 8) == 0
        assert (await known(store, A))[3:5] == (False, NOW + 8)
        assert (await known(store, D))[3:5] == (True, NOW + 5)
        assert (await known(store, E))[3:5] == (False, NOW + 1)
        assert (await known(store, F))[3:5] == (None, 0.0)
        assert (await known(store, B))[3:5] == (True, NOW + 1)
        # What was seen of A meanwhile came late; that they follow again did not.
        await store.see([seen(A, 7, subscribed=True)])
        assert (await known(store, A)).subscribed is False
        await store.see([seen(A, 9, subscribed=True)])
        assert (await known(store, A)).subscribed is True
        assert await store.unfollow("wx2", NOW + 5, NOW) == 0

    play(home, scenario)


def test_a_profile_that_was_taken_back_comes_not_again_by_a_repetition(home: Home) -> None:
    profile = seen(A, 5, nickname="n", avatar="https://x/1")

    async def scenario(store: Identities) -> None:
        await store.see([profile, seen(B, 5, nickname="b")])
        await store.forget_profile([A, A, C])
        await store.see([profile, seen(A, 4, nickname="older")])
        assert (await known(store, A))[5:7] == (None, None)
        assert (await known(store, B)).nickname == "b"
        await store.forget_profile([A])
        await store.forget_profile([])
        await store.see([seen(A, 6, nickname="new")])
        assert (await known(store, A)).nickname == "new"

    play(home, scenario)


def test_several_processes_see_the_same_people_at_once(home: Home) -> None:
    users = [AppUser(f"wx{number % 3 + 1}", f"o{number:03}") for number in range(60)]
    batches = [
        [
            seen(
                users[(at * step) % 60],
                at,
                f"U{at * step % 13}" if at % 3 else None,
                active=at % 2 == 0,
            )
            for at in range(start, start + 40)
        ]
        for step in (1, 7, 59, 23)
        for start in range(0, 400, 40)
    ]
    consents = [
        Consent(user, "T1", accepted=n % 2 == 0, at=NOW + n) for n, user in enumerate(users)
    ]

    async def scenario(store: Identities) -> None:
        await store.see([seen(user) for user in users])
        stores = [store, *(home.opener.open() for _ in range(3))]
        queues = [batches[number::4] for number in range(4)]

        async def work(one: Identities, mine: list[list]) -> None:  # type: ignore[type-arg]
            for place, batch in enumerate(mine):
                await one.see(batch if place % 2 else batch[::-1])
                await one.answer(consents[place * 6 : place * 6 + 6])

        # Each by two at once.
        await asyncio.gather(
            *(work(one, mine) for one, mine in zip(stores, queues, strict=True)),
            *(work(one, mine[::-1]) for one, mine in zip(stores, queues, strict=True)),
        )
        people = await everybody(store, users)
        check(people)
        learned = [*(seen(user) for user in users), *(one for batch in batches for one in batch)]
        assert nameless(people) == expected(learned, consents)
        assert [*hanging(home)] == []
        numbers = [one.number for one in await store.merges(100_000)]
        assert numbers == sorted(set(numbers))
        assert numbers

    play(home, scenario)


def test_nothing_is_left_of_those_who_are_erased_while_others_write(home: Home) -> None:
    users = [AppUser("wx1", f"o{number:02}") for number in range(20)]

    async def scenario(store: Identities) -> None:
        ids = await store.see([seen(user, 0, f"U{n // 2}") for n, user in enumerate(users)])
        other = home.opener.open()

        async def write(one: Identities) -> None:
            for n, user in enumerate(users):
                await one.answer([Consent(user, "T1", True, NOW)])
                await one.tag(ids[n], ["x"], ["y"])
                await one.grant(ids[n], ["x"], ["y"])
                await one.see([seen(user, n, f"U{(n * 7) % 10}")])
                await one.forget_profile(users[n:])
                await one.unfollow("wx1", NOW + n, NOW + n)
                await one.settle(range(1, 50))

        async def erase(one: Identities, which: list[AppUser]) -> None:
            for user in which:
                person = await one.owner(user)
                await one.erase(person.id if person else "nobody")
                await one.erase_user(user)

        await asyncio.gather(
            *(write(one) for one in (store, other, store, other)),
            *(erase(one, users[::3]) for one in (store, other)),
        )
        assert [*hanging(home)] == []
        people = await everybody(store, users)
        check(people)
        for user in users:
            await store.erase_user(user)
        for table in ("identities", "people", "identity_tags", "identity_consents", "person_roles"):
            assert home.rows(table) == []
        assert home.rows("identity_merges") == []
        assert home.rows("former_people") == []

    play(home, scenario)


def test_a_postgres_that_hangs_is_down(postgres: Database) -> None:
    dsn = migrated(postgres.dsn)
    with TcpProxy(postgres.port) as proxy:
        through = with_password(Database(dsn).at(proxy.port).dsn)
        opener = Opener(lambda: PostgresIdentities(through, timeout=0.25, new_id=lambda: "p1"))

        async def scenario() -> None:
            store = opener.open()
            await store.see([seen(A)])
            proxy.stall()
            for call in (store.see([seen(A, 1)]), store.person("p1"), store.erase("p1")):
                with pytest.raises(StoreDown, match=r"^Postgres: no answer within 0\.25 s; "):
                    await call
            proxy.mend()
            assert await store.see([seen(A, 2)]) == ["p1"]

        opener.play(scenario)


def test_a_file_that_is_no_database_is_down(tmp_path: Path) -> None:
    (tmp_path / "g.db").write_text("not a database, but long enough to be looked at " * 30)
    opener = Opener(lambda: SqliteIdentities(tmp_path / "g.db", timeout=5, new_id=lambda: "p1"))

    async def scenario() -> None:
        store = opener.open()
        for call in (store.see([seen(A)]), store.person("p1")):
            with pytest.raises(StoreDown, match=r"^SQLite .*g\.db: file is not a database"):
                await call

    opener.play(scenario)


def test_a_batch_that_fails_leaves_nothing_behind(home: Home) -> None:
    async def scenario(store: Identities) -> None:
        (id_,) = await store.see([seen(A)])
        # An id that is there already is refused by the store.
        store._new_id = lambda: id_
        with pytest.raises(StoreDown):
            await store.see([seen(A, 5, "U1"), seen(B, 5, "U2")])
        assert (await known(store, A))[2:9] == (None, None, 0.0, None, None, NOW, NOW)
        assert await store.count() == (1, 1)

    play(home, scenario)
