"""What happens at the same time: sign-ins, renewals, grants, merges, erasures."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from gateway.errors import StoreDown
from gateway.identity.erasing import Elsewhere, Eraser
from gateway.identity.failures import SignInFailed, SignInProblem
from gateway.identity.gathering import Gathering
from gateway.identity.people import AppUser, Platform, Sighting
from gateway.identity.places import Places
from gateway.identity.session import Session
from gateway.identity.session_tokens import TokenRefused
from gateway.identity.user_tokens import SignInAgain
from tests.identity.office import LIFETIMES, OFFICIAL, Office, visit
from tests.identity.test_app_sign_in import js_code
from tests.identity.test_erasing import Kept
from tests.identity.test_sessions import is_ended


def eraser(office: Office) -> Eraser:
    """Return what erases the office's people."""
    elsewhere = Elsewhere(Kept(), Kept(), Kept())
    return Eraser(office.store, office.sessions, elsewhere, Places({}), office.forgotten)


def meanwhile(office: Office, method: str, do: Any) -> None:
    """Let something happen once, right before a session is written in that way."""
    write = getattr(office.session_store, method)

    async def interrupted(session: Session) -> Any:
        setattr(office.session_store, method, write)
        await do(session)
        return await write(session)

    setattr(office.session_store, method, interrupted)


def test_a_role_that_is_taken_while_somebody_signs_in_is_taken(tmp_path: Path) -> None:
    async def scenario(office: Office, other: Office) -> None:
        person = (await office.sign_in(office.web())).opened.session.person
        await office.directory.grant(person, ["admin"], [])

        async def take(_session: Session) -> None:
            await other.directory.grant(person, [], ["admin"])

        meanwhile(office, "put", take)
        opened = (await office.sign_in(office.web())).opened
        for one in (office, other):
            session = (await one.sessions.find(opened.token)).session
            assert (session.roles, session.permissions) == ((), ())

    visit(tmp_path, scenario, 2)


def test_a_role_that_is_taken_while_a_session_is_renewed_is_taken(tmp_path: Path) -> None:
    async def scenario(office: Office, other: Office) -> None:
        opened = (await office.sign_in(office.web())).opened
        person = opened.session.person
        await office.directory.grant(person, ["admin"], [])
        office.apps.clock.offset += LIFETIMES.session / 2 + 1

        async def take(_session: Session) -> None:
            await other.directory.grant(person, [], ["admin"])

        seen = await office.sessions.find(opened.token)
        meanwhile(office, "change", take)
        renewed = await office.sessions.renew(seen, office.directory)
        assert renewed is not None
        assert renewed.session.roles == ()
        assert (await other.sessions.find(renewed.token)).session.roles == ()

    visit(tmp_path, scenario, 2)


def test_of_two_grants_at_once_both_are_in_the_sessions(tmp_path: Path) -> None:
    async def scenario(office: Office, other: Office) -> None:
        opened = (await office.sign_in(office.web())).opened
        person = opened.session.person

        async def grant(_session: Session) -> None:
            await other.directory.grant(person, ["staff"], ["admin"])

        meanwhile(office, "change", grant)
        await office.directory.grant(person, ["admin"], [])
        office.apps.clock.offset += LIFETIMES.cache
        found = (await other.sessions.find(opened.token)).session
        kept = await office.store.person(person)
        assert kept is not None
        assert found.roles == kept.roles == ("staff",)

    visit(tmp_path, scenario, 2)


def test_who_is_erased_while_they_sign_in_is_not_signed_in(tmp_path: Path) -> None:
    async def scenario(office: Office, other: Office) -> None:
        async def erase(session: Session) -> None:
            await eraser(other).erase(session.person)

        meanwhile(office, "put", erase)
        with pytest.raises(SignInFailed) as caught:
            await office.sign_in(office.web())
        assert caught.value.problem is SignInProblem.CODE
        assert await office.store.count() == (0, 0)

    visit(tmp_path, scenario, 2)


def test_who_is_erased_is_not_renewed_and_gives_no_phone_number(tmp_path: Path) -> None:
    async def scenario(office: Office, other: Office) -> None:
        sign_in = office.by_code()
        opened = await sign_in.sign_in(await js_code(office))
        assert await eraser(other).erase(opened.session.person)
        got = await office.apps.post("/simulator/phone_code", {"appid": sign_in.app.app_id})
        with pytest.raises(SignInFailed):
            await sign_in.phone(opened.session, str(got.told["code"]))
        user = AppUser(opened.session.app_id, opened.session.open_id)
        assert await office.store.secrets([user]) == []
        # A session that was left all the same ends where it would be renewed.
        await office.session_store.put(opened.session)
        office.apps.clock.offset += LIFETIMES.session / 2 + 1
        seen = await office.sessions.find(opened.token)
        assert await office.sessions.renew(seen, office.directory) is None
        assert await is_ended(other, opened.token)

    visit(tmp_path, scenario, 2)


def test_what_was_on_its_way_does_not_bring_back_who_was_erased(tmp_path: Path) -> None:
    async def scenario(office: Office, other: Office) -> None:
        user = AppUser(OFFICIAL, "oSomebody0000000000000000001")
        seen = Sighting(user, Platform.OFFICIAL_ACCOUNT, office.apps.clock())
        person = await office.directory.whoever(seen)
        assert person is not None
        office.directory.note(user, Platform.OFFICIAL_ACCOUNT, office.apps.clock())
        office.apps.clock.offset += 1
        await eraser(other).erase(person.id)
        await office.directory.flush()
        late = Sighting(user, Platform.OFFICIAL_ACCOUNT, office.apps.clock() - 5, "oUnion1")
        await office.directory.take([late])
        # Nor does a handler that still asks who it was.
        assert await office.directory.whoever(seen) is None
        assert await office.store.owner(user) is None
        assert user.open_id.encode() not in (tmp_path / "g.db").read_bytes()
        # Whoever comes back is somebody new.
        office.apps.clock.offset += 1
        await office.directory.take([late._replace(at=office.apps.clock())])
        found = await office.store.owner(user)
        assert found is not None
        assert found.id != person.id

    visit(tmp_path, scenario, 2)


def test_an_open_id_that_is_erased_leaves_the_persons_others(tmp_path: Path) -> None:
    async def scenario(office: Office) -> None:
        mini = (await office.by_code().sign_in(await js_code(office))).session
        page = (await office.sign_in(office.web(), "snsapi_userinfo")).opened
        user = AppUser(OFFICIAL, page.session.open_id)
        await eraser(office).erase_user(user)
        assert await is_ended(office, page.token)
        person = await office.store.person(mini.person)
        assert person is not None
        assert [one.user.app_id for one in person.identities] == [mini.app_id]
        assert len(await office.sessions.of([mini.person])) == 1

    visit(tmp_path, scenario)


def test_a_read_that_is_under_way_does_not_bring_back_what_was_ended(tmp_path: Path) -> None:
    async def scenario(office: Office, other: Office) -> None:
        opened = (await office.sign_in(office.web())).opened
        get = other.session_store.get

        async def slow(ids: Any) -> Any:
            found = await get(ids)
            await other.sessions.end([opened.session.id])
            return found

        other.session_store.get = slow  # type: ignore[method-assign]  # ends it meanwhile
        with pytest.raises(TokenRefused):
            await other.sessions.find(opened.token)
        other.session_store.get = get  # type: ignore[method-assign]  # as it was
        assert await is_ended(other, opened.token)

    visit(tmp_path, scenario, 2)


def test_who_takes_back_their_name_loses_it_in_sessions_too(tmp_path: Path) -> None:
    async def scenario(office: Office) -> None:
        opened = (await office.sign_in(office.web(), "snsapi_userinfo")).opened
        user = AppUser(OFFICIAL, opened.session.open_id)
        assert opened.session.nickname == "小明🎈"
        await office.directory.hide([user])
        await office.user_tokens.drop([user])
        assert (await office.sessions.find(opened.token)).session.nickname is None
        with pytest.raises(SignInAgain):
            await office.user_tokens.profile(office.authorization(), user)

    visit(tmp_path, scenario)


def test_a_store_that_fails_behind_the_exchange_is_told_as_a_used_code(tmp_path: Path) -> None:
    """A reload could not succeed: to begin anew does."""

    async def scenario(office: Office) -> None:
        async def fail(_session: Session) -> None:
            raise StoreDown("SQLite /srv/gateway.db: disk full; free some")

        sign_in = office.web()
        leave = sign_in.begin("", "https://shop.example/page")
        code = await office.apps.code()
        meanwhile(office, "put", fail)
        for _ in range(2):
            with pytest.raises(SignInFailed) as caught:
                await sign_in.finish(code, *leave.state)
            assert caught.value.problem is SignInProblem.CODE
        assert await office.sign_in(sign_in)

    visit(tmp_path, scenario)


def test_whoever_asks_in_a_batch_is_answered_whatever_it_raises() -> None:
    class Odd(Exception):
        def __init__(self, one: int, two: int) -> None:
            super().__init__(f"{one} {two}")

    async def scenario() -> None:
        async def ask(_keys: Any) -> Any:
            raise Odd(1, 2)

        gathering = Gathering[int, int](ask)
        async with asyncio.timeout(5):
            for _ in range(2):
                results = await asyncio.gather(
                    *(gathering.get(key) for key in range(3)), return_exceptions=True
                )
                assert all(isinstance(one, Exception) for one in results)

    asyncio.run(scenario())
