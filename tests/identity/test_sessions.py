"""Sessions: found by a token, renewed while they are used, ended at once, and what is cached."""

import asyncio
from pathlib import Path
from typing import Final

import pytest
from msgspec.structs import replace

from gateway.errors import StoreDown
from gateway.identity.people import AppUser, Sighting
from gateway.identity.session import Session
from gateway.identity.session_tokens import TokenRefused
from gateway.identity.sessions import Lifetimes, Opened, Seen
from tests.identity.office import LIFETIMES, Office, visit

NO_CACHE: Final = LIFETIMES._replace(cache=0.0)
HALF: Final = LIFETIMES.session / 2


async def signed_in(office: Office) -> Opened:
    """Return the session of somebody."""
    return (await office.sign_in(office.web())).opened


async def is_ended(office: Office, token: str) -> bool:
    """Tell whether a token is refused."""
    try:
        await office.sessions.find(token)
    except TokenRefused:
        return True
    return False


def test_a_session_is_ended_at_once_here_and_within_the_cache_elsewhere(tmp_path: Path) -> None:
    async def scenario(one: Office, other: Office) -> None:
        opened = await signed_in(one)
        for office in (one, other):
            assert not await is_ended(office, opened.token)
        assert await one.sessions.end([opened.session.id]) == 1
        assert await is_ended(one, opened.token)
        assert not await is_ended(other, opened.token)
        one.apps.clock.offset += LIFETIMES.cache
        assert await is_ended(other, opened.token)

    visit(tmp_path, scenario, 2)


def test_without_a_cache_each_request_asks_the_store(tmp_path: Path) -> None:
    async def scenario(one: Office, other: Office) -> None:
        opened = await signed_in(one)
        assert not await is_ended(other, opened.token)
        await one.sessions.end([opened.session.id])
        assert await is_ended(other, opened.token)

    visit(tmp_path, scenario, 2, NO_CACHE)


def test_many_requests_at_once_are_one_question_to_the_store(tmp_path: Path) -> None:
    async def scenario(office: Office, other: Office) -> None:
        opened = [await signed_in(office) for _ in range(5)]
        asked: list[int] = []
        get = other.session_store.get

        async def counted(ids: list[str]) -> list[Session | None]:
            asked.append(len(ids))
            return await get(ids)

        other.sessions._reads._ask = counted  # type: ignore[assignment]  # counts, and asks on
        found = await asyncio.gather(*(other.sessions.find(one.token) for one in opened * 10))
        assert [one.session.id for one in found] == [one.session.id for one in opened * 10]
        assert len(asked) == 1
        assert not await is_ended(other, opened[0].token)
        assert len(asked) == 1

    visit(tmp_path, scenario, 2)


def test_a_store_that_is_down_is_not_nobody(tmp_path: Path) -> None:
    async def scenario(office: Office, other: Office) -> None:
        opened = await signed_in(office)

        async def fail(_ids: list[str]) -> list[Session | None]:
            raise StoreDown("SQLite: disk full")

        other.sessions._reads._ask = fail  # type: ignore[assignment]  # fails instead
        for _ in range(2):
            with pytest.raises(StoreDown):
                await other.sessions.find(opened.token)

    visit(tmp_path, scenario, 2)


def test_a_session_that_is_used_goes_on_and_one_that_is_not_ends(tmp_path: Path) -> None:
    async def scenario(office: Office) -> None:
        opened = await signed_in(office)
        seen = await office.sessions.find(opened.token)
        assert await office.sessions.renew(seen, office.directory) is None
        office.apps.clock.offset += HALF + 1
        seen = await office.sessions.find(opened.token)
        renewed = await office.sessions.renew(seen, office.directory)
        assert renewed is not None
        assert renewed.session.id == opened.session.id
        assert renewed.token != opened.token
        office.apps.clock.offset += HALF
        assert await is_ended(office, opened.token)
        assert not await is_ended(office, renewed.token)
        office.apps.clock.offset += HALF + 2
        assert await is_ended(office, renewed.token)

    visit(tmp_path, scenario)


def test_who_comes_with_the_old_token_is_renewed_without_a_write(tmp_path: Path) -> None:
    async def scenario(office: Office) -> None:
        opened = await signed_in(office)
        office.apps.clock.offset += HALF + 1
        seen = await office.sessions.find(opened.token)
        first = await office.sessions.renew(seen, office.directory)
        assert first is not None
        second = await office.sessions.renew(
            await office.sessions.find(opened.token), office.directory
        )
        assert second is not None
        assert second.session == first.session

    visit(tmp_path, scenario)


def test_a_session_has_an_end_that_no_renewal_moves(tmp_path: Path) -> None:
    async def scenario(office: Office) -> None:
        opened = await signed_in(office)
        assert opened.session.ends_at - opened.session.began_at == 9000.0
        office.apps.clock.offset += HALF + 1
        renewed = await office.sessions.renew(
            await office.sessions.find(opened.token), office.directory
        )
        assert renewed is not None
        assert renewed.session.expires_at == renewed.session.ends_at
        office.apps.clock.offset += HALF + 1
        seen = await office.sessions.find(renewed.token)
        assert await office.sessions.renew(seen, office.directory, now=True) is None
        office.apps.clock.offset += 9000.0 - 2 * HALF
        assert await is_ended(office, renewed.token)

    visit(tmp_path, scenario, lifetimes=Lifetimes(7200, 9000, 1.0))


def test_a_session_that_was_ended_is_not_renewed(tmp_path: Path) -> None:
    async def scenario(office: Office, other: Office) -> None:
        opened = await signed_in(office)
        office.apps.clock.offset += HALF + 1
        seen = await other.sessions.find(opened.token)
        await office.sessions.end([opened.session.id])
        assert await other.sessions.renew(seen, other.directory) is None
        assert await is_ended(other, opened.token)

    visit(tmp_path, scenario, 2)


def test_a_renewal_brings_what_its_person_has_by_now(tmp_path: Path) -> None:
    async def scenario(office: Office) -> None:
        opened = await signed_in(office)
        assert opened.session.union_id is None
        user = AppUser(opened.session.app_id, opened.session.open_id)
        seen = Sighting(user, office.web().app.platform, office.apps.clock(), "oUnion1")
        await office.store.see([seen])
        office.apps.clock.offset += 2
        seen_now = await office.sessions.find(opened.token)
        renewed = await office.sessions.renew(seen_now, office.directory, now=True)
        assert renewed is not None
        assert renewed.session.union_id == "oUnion1"

    visit(tmp_path, scenario)


def test_roles_that_are_granted_are_in_all_sessions_at_once(tmp_path: Path) -> None:
    async def scenario(office: Office) -> None:
        opened = [await signed_in(office) for _ in range(2)]
        person = opened[0].session.person
        assert await office.directory.grant(person, ["staff"], [])
        for one in opened:
            session = (await office.sessions.find(one.token)).session
            assert (session.roles, session.permissions) == (("staff",), ("orders:read",))
        fresh = (await signed_in(office)).session
        assert fresh.permissions == ("orders:read",)
        assert await office.directory.grant(person, ["admin"], ["staff"])
        session = (await office.sessions.find(opened[0].token)).session
        assert session.permissions == ("orders:read", "orders:write")
        assert await office.directory.grant("nobody", ["admin"], []) is None

    visit(tmp_path, scenario)


def test_a_role_that_is_not_in_the_settings_any_more_permits_nothing(tmp_path: Path) -> None:
    async def scenario(office: Office) -> None:
        person = (await signed_in(office)).session.person
        await office.store.grant(person, ["removed"], [])
        session = (await signed_in(office)).session
        assert (session.roles, session.permissions) == (("removed",), ())

    visit(tmp_path, scenario)


def test_all_of_somebodys_sessions_can_be_ended(tmp_path: Path) -> None:
    async def scenario(office: Office) -> None:
        opened = [await signed_in(office) for _ in range(3)]
        other = (await office.sign_in(office.web(), person="韩梅梅")).opened
        assert await office.sessions.end_all([opened[0].session.person]) == 3
        assert [await is_ended(office, one.token) for one in opened] == [True] * 3
        assert not await is_ended(office, other.token)

    visit(tmp_path, scenario)


def test_a_token_is_of_its_sessions_account(tmp_path: Path) -> None:
    async def scenario(office: Office) -> None:
        session = (await signed_in(office)).session
        elsewhere = office.tokens.sign(replace(session, account="other"))
        assert await is_ended(office, elsewhere)
        assert isinstance(await office.sessions.find(office.tokens.sign(session)), Seen)

    visit(tmp_path, scenario)
