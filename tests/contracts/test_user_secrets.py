"""One suite over every SecretStore and all Checkpoints: SQLite, Postgres."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from gateway.identity.people import AppUser
from gateway.identity.ports import Secret
from tests.contracts.identities import (
    NOW,
    A,
    B,
    C,
    Home,
    Identities,
    postgres_home,
    seen,
    sqlite_home,
)


@pytest.fixture(params=["sqlite", "postgres"])
def home(request: pytest.FixtureRequest, tmp_path: Path) -> Home:
    """A home of each kind, with nobody in it."""
    if request.param == "sqlite":
        return sqlite_home(tmp_path)
    return postgres_home(request.getfixturevalue("postgres"))


def play(home: Home, scenario: Callable[[Identities], Awaitable[None]]) -> None:
    """Run a scenario with a store."""
    home.opener.play(lambda: scenario(home.opener.open()))


def secret(user: AppUser, kind: str = "user_token", sealed: bytes = b"\0\xff") -> Secret:
    """Return a secret that is good for a minute."""
    return Secret(user, kind, sealed, NOW + 60)


def test_a_user_has_one_secret_of_each_kind(home: Home) -> None:
    async def scenario(store: Identities) -> None:
        assert await store.secret(A, "user_token") is None
        kept = [secret(A), secret(A, "session_key"), secret(B), secret(B, "odd\0␀", b"")]
        for one in [secret(A, sealed=b"old"), *kept]:
            await store.keep_secret(one)
        other = home.opener.open()
        for one in kept:
            assert await other.secret(one.user, one.kind) == one
        assert await other.secret(B, "session_key") is None
        assert await other.secret(C, "user_token") is None
        assert sorted(await other.secrets([A, C, A])) == sorted(kept[:2])
        assert sorted(await other.secrets([A, B])) == sorted(kept)
        assert await other.secrets([]) == []

    play(home, scenario)


def test_what_is_kept_again_is_good_for_as_long_as_was_said_last(home: Home) -> None:
    async def scenario(store: Identities) -> None:
        await store.keep_secret(secret(A))
        await store.keep_secret(secret(A)._replace(until=NOW + 0.125))
        found = await store.secret(A, "user_token")
        assert found is not None
        assert found.until == NOW + 0.125

    play(home, scenario)


def test_what_is_good_for_nothing_any_more_is_pruned(home: Home) -> None:
    async def scenario(store: Identities) -> None:
        for number in range(5):
            await store.keep_secret(secret(A, f"k{number}")._replace(until=NOW + number))
        assert await store.prune_secrets(NOW) == 0
        # Though its time is over, it is there until then.
        assert len(await store.secrets([A])) == 5
        assert await store.prune_secrets(NOW + 3) == 3
        assert await store.prune_secrets(NOW + 3) == 0
        assert sorted(one.kind for one in await store.secrets([A])) == ["k3", "k4"]

    play(home, scenario)


def test_secrets_go_with_the_person_and_with_the_open_id(home: Home) -> None:
    async def scenario(store: Identities) -> None:
        await store.see([seen(A, 0, "U1"), seen(B, 0, "U1"), seen(C)])
        for user in (A, B, C):
            await store.keep_secret(secret(user))
            await store.keep_secret(secret(user, "session_key"))
        await store.erase_user(A)
        assert {one.user for one in await store.secrets([A, B, C])} == {B, C}
        person = await store.owner(B)
        assert person is not None
        await store.erase(person.id)
        assert {one.user for one in await store.secrets([A, B, C])} == {C}

    play(home, scenario)


def test_secrets_of_one_who_was_never_seen_can_be_erased(home: Home) -> None:
    async def scenario(store: Identities) -> None:
        await store.keep_secret(secret(A))
        assert await store.erase_user(A) is None
        assert await store.secrets([A]) == []

    play(home, scenario)


def test_several_keep_the_same_at_once(home: Home) -> None:
    async def scenario(store: Identities) -> None:
        stores = [store, home.opener.open()]
        every = [secret(user, f"k{n % 3}", b"%d" % n) for n in range(30) for user in (A, B)]
        await asyncio.gather(
            *(stores[n % 2].keep_secret(one) for n, one in enumerate(every)),
            *(stores[n % 2].prune_secrets(NOW) for n in range(5)),
        )
        assert len(await store.secrets([A, B])) == 6

    play(home, scenario)


def test_a_checkpoint_is_what_was_noted_last_until_the_work_is_done(home: Home) -> None:
    async def scenario(store: Identities) -> None:
        other = home.opener.open()
        assert await store.checkpoint("followers") is None
        await store.note_checkpoint("followers", b"\0\xff")
        await store.note_checkpoint("other\0", b"")
        await store.note_checkpoint("followers", b"2")
        assert await other.checkpoint("followers") == b"2"
        assert await other.checkpoint("other\0") == b""
        await other.note_checkpoint("followers", None)
        await other.note_checkpoint("followers", None)
        assert await store.checkpoint("followers") is None
        assert await store.checkpoint("other\0") == b""

    play(home, scenario)
