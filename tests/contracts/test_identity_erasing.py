"""Of those who are erased nothing is left: looked for in all tables, and in the files' bytes."""

from pathlib import Path
from random import Random
from typing import Any, Final

import pytest

from gateway.adapters import sqlite_wiping
from gateway.identity.people import AppUser, Consent, Sighting
from gateway.identity.ports import Secret
from tests.contracts.identities import (
    NOW,
    TABLES,
    A,
    B,
    C,
    Home,
    Identities,
    check,
    everybody,
    hanging,
    postgres_home,
    seen,
    sqlite_home,
)

GONE: Final = [AppUser(f"wx{app}", f"oErased{app}") for app in (1, 2, 3)]
TRACES: Final = (
    "oErased",
    "uErased",
    "名字Erased",
    "https://erased",
    "sealed-erased",
    "tag-erased",
)


@pytest.fixture(params=["sqlite", "postgres"])
def home(request: pytest.FixtureRequest, tmp_path: Path) -> Home:
    """A home of each kind, with nobody in it."""
    if request.param == "sqlite":
        return sqlite_home(tmp_path)
    return postgres_home(request.getfixturevalue("postgres"))


async def live(store: Identities) -> None:
    """Let some live who are to be erased, among many others, as life goes: all changes often."""
    random = Random(11)  # noqa: S311  # any life will do
    others = [AppUser(f"wx{n % 3 + 1}", f"oOther{n:04}") for n in range(600)]
    for round_ in range(30):
        sightings: list[Sighting] = []
        for user in [*random.sample(others, 80), *GONE]:
            name = "".join(random.choices("abcdefgh", k=random.randint(1, 80)))
            is_gone = user in GONE
            union_id = f"uErased{round_ % 5}" if is_gone else f"uOther{random.randrange(300)}"
            sightings.append(
                seen(
                    user,
                    round_,
                    union_id if round_ % 3 else None,
                    subscribed=random.random() < 0.5,
                    nickname=f"名字Erased{name}" if is_gone else name,
                    avatar=f"https://erased/{name}" if is_gone else None,
                )
            )
        random.shuffle(sightings)
        await store.see(sightings[:40])
        await store.see(sightings[40:])
        user = random.choice(GONE)
        await store.answer([Consent(one, f"T{round_}", True, NOW) for one in (user, others[0])])
        await store.keep_secret(
            Secret(user, f"k{round_ % 4}", b"sealed-erased" * random.randint(1, 900), NOW)
        )
        owner = await store.owner(user)
        assert owner is not None
        await store.tag(owner.id, [f"tag-erased{round_}"], [f"tag-erased{round_ - 2}"])
        await store.grant(owner.id, [f"role{round_}"], [])


def traces(home: Home) -> list[tuple[str, Any]]:
    """Return the rows that hold anything of those who are gone."""
    return [
        (table, row)
        for table in TABLES
        for row in home.rows(table)
        if any(trace in str(row) for trace in TRACES)
    ]


@pytest.mark.parametrize("one_by_one", [False, True])
def test_nothing_is_left_of_whoever_is_erased(
    home: Home, tmp_path: Path, *, one_by_one: bool
) -> None:
    async def scenario() -> None:
        # Others have the same file open, as the processes of a gateway do, and read it.
        store, other = home.opener.open(), home.opener.open()
        await live(store)
        assert traces(home)
        ids: set[str] = set()
        merges = await store.merges(10_000)
        for user in GONE:
            person = await other.owner(user)
            if person is not None:
                ids |= {person.id, *person.former_ids}
                if one_by_one:
                    assert await store.erase_user(user) == person
                else:
                    assert await store.erase(person.id) == person
        assert traces(home) == []
        left = await store.merges(10_000)
        assert left
        assert left == [
            one for one in merges if one.user not in GONE and not {one.former, one.person} & ids
        ]
        for id_ in ids:
            assert await store.person(id_) is None
            assert await store.erase(id_) is None
            assert str(id_) not in str([home.rows(table) for table in TABLES])
        assert [*hanging(home)] == []
        for path in tmp_path.glob("*.db*"):
            content = path.read_bytes()
            for trace in TRACES:
                assert trace.encode() not in content, (path.name, trace)

    home.opener.play(scenario)


def test_in_a_file_too_large_to_be_written_anew_nothing_is_left_of_whoever_lived_quietly(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite_wiping, "WRITTEN_ANEW", 0)
    home = sqlite_home(tmp_path)

    async def scenario() -> None:
        store = home.opener.open()
        many = [AppUser("wx1", f"oOther{n:04}") for n in range(400)]
        await store.see([seen(one, 0, f"uOther{n // 2}") for n, one in enumerate(many)])
        await store.see([seen(user, 0, "uErased", nickname="名字Erased") for user in GONE])
        await store.see([seen(user, 1) for user in (*many, *GONE)])
        await store.answer([Consent(GONE[0], "T1", True, NOW)])
        await store.keep_secret(Secret(GONE[0], "k", b"sealed-erased" * 900, NOW))
        person = await store.owner(GONE[1])
        assert person is not None
        await store.tag(person.id, ["tag-erased"], [])
        await store.erase(person.id)
        content = b"".join(path.read_bytes() for path in tmp_path.glob("*.db*"))
        assert b"oOther" in content
        assert [trace for trace in TRACES if trace.encode() in content] == []

    home.opener.play(scenario)


def test_of_several_open_ids_one_is_erased_and_the_others_stay(home: Home) -> None:
    async def scenario() -> None:
        store = home.opener.open()
        (id_, _) = await store.see([seen(A, 0, "U1"), seen(B, 1, "U1")])
        await store.tag(id_, ["of A"], [])
        await store.grant(id_, ["admin"], [])
        answers = [Consent(user, "T1", True, NOW) for user in (A, B)]
        await store.answer(answers)
        before = await store.person(id_)
        assert before is not None
        assert await store.erase_user(A) == before
        after = await store.person(id_)
        assert after is not None
        assert after.identities == before.identities[1:]
        assert (after.tags, after.roles, after.consents) == ((), ("admin",), (answers[1],))
        assert after.created_at == NOW + 1
        assert await store.owner(A) is None
        assert await store.erase_user(A) is None
        assert await store.erase_user(B) == after
        assert await store.count() == (0, 0)
        assert await store.bearer("U1") is None

    home.opener.play(scenario)


def test_who_is_seen_again_after_that_is_somebody_new(home: Home) -> None:
    async def scenario() -> None:
        store = home.opener.open()
        former, id_ = await store.see([seen(A, 0), seen(B, 0, "U1")])
        await store.tag(former, ["vip"], [])
        await store.see([seen(A, 1, "U1"), seen(C, 1)])
        await store.erase(former)
        (again,) = await store.see([seen(A, 2, "U1")])
        assert again not in (former, id_)
        person = await store.person(again)
        assert person is not None
        assert (person.tags, person.former_ids, person.created_at) == ((), (), NOW + 2)
        assert await store.merges(10) == []
        check(await everybody(store, [A, B, C]))

    home.opener.play(scenario)


def test_a_merge_number_is_not_given_again(home: Home) -> None:
    async def scenario() -> None:
        store = home.opener.open()
        await store.see([seen(A), seen(B, 0, "U1")])
        (id_,) = await store.see([seen(A, 1, "U1")])
        (merge,) = await store.merges(10)
        await store.erase(id_)
        await store.see([seen(A), seen(B, 0, "U1")])
        await store.see([seen(A, 1, "U1")])
        assert [one.number > merge.number for one in await store.merges(10)] == [True]

    home.opener.play(scenario)
