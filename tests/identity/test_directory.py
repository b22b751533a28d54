"""The directory: who was active, and sessions that follow when two turn out to be one."""

import asyncio
from pathlib import Path

from gateway.identity.directory import SETTLE_SECONDS
from gateway.identity.people import AppUser, Platform, Sighting
from gateway.identity.sessions import Opened
from tests.identity.office import OFFICIAL, Office, visit
from tests.identity.test_app_sign_in import js_code

USER = AppUser(OFFICIAL, "oSomebody0000000000000000001")
PLATFORM = Platform.OFFICIAL_ACCOUNT


def test_who_was_active_is_stored_together(tmp_path: Path) -> None:
    async def scenario(office: Office) -> None:
        for at in (10.0, 30.0, 20.0):
            office.directory.note(USER, PLATFORM, at)
        assert await office.store.owner(USER) is None
        await office.directory.flush()
        person = await office.store.owner(USER)
        assert person is not None
        assert person.last_active == 30.0
        await office.directory.flush()

    visit(tmp_path, scenario)


def test_a_user_who_was_never_seen_is_somebody_from_then_on(tmp_path: Path) -> None:
    async def scenario(office: Office) -> None:
        person = await office.directory.whoever(Sighting(USER, PLATFORM, 10.0))
        assert person is not None
        assert await office.directory.whoever(Sighting(USER, PLATFORM, 20.0)) == person
        assert await office.store.count() == (1, 1)

    visit(tmp_path, scenario)


def test_who_was_erased_is_not_somebody_again_by_what_they_did_before(tmp_path: Path) -> None:
    async def scenario(office: Office) -> None:
        now = office.apps.clock()
        await office.forgotten.note([USER])
        assert await office.directory.whoever(Sighting(USER, PLATFORM, now - 1)) is None
        assert await office.store.count() == (0, 0)
        assert await office.directory.whoever(Sighting(USER, PLATFORM, now + 60)) is not None

    visit(tmp_path, scenario)


async def _merged(office: Office) -> Opened:
    """Return a session of somebody who turned out to be somebody else."""
    page = (await office.sign_in(office.web())).opened
    mini = (await office.by_code().sign_in(await js_code(office))).session
    assert page.session.person != mini.person
    await office.directory.grant(mini.person, ["staff"], [])
    full = (await office.sign_in(office.web(), "snsapi_userinfo")).opened
    assert full.session.person == mini.person
    return page


def test_sessions_follow_a_merge(tmp_path: Path) -> None:
    async def scenario(office: Office) -> None:
        before = await _merged(office)
        found = (await office.sessions.find(before.token)).session
        assert found.person == before.session.person
        await office.directory.settle()
        found = (await office.sessions.find(before.token)).session
        person = await office.store.person(before.session.person)
        assert person is not None
        assert found.person == person.id != before.session.person
        assert (found.union_id, found.roles) == (person.union_id, ("staff",))
        assert len(await office.sessions.of([person.id])) == 3

    visit(tmp_path, scenario)


def test_a_sign_in_that_was_under_way_follows_too(tmp_path: Path) -> None:
    """Its session is stored when the merge was looked at already."""

    async def scenario(office: Office) -> None:
        before = await _merged(office)
        await office.directory.settle()
        late = before.session
        await office.sessions.end([late.id])
        await office.session_store.put(late)
        office.apps.clock.offset += SETTLE_SECONDS
        await office.directory.settle()
        (found,) = [one for one in await office.session_store.get([late.id]) if one is not None]
        assert found.person != late.person
        assert await office.store.merges(10, unsettled=True) == []
        assert len(await office.store.merges(10)) == 1

    visit(tmp_path, scenario)


def test_another_process_goes_on_where_one_died(tmp_path: Path) -> None:
    async def scenario(one: Office, other: Office) -> None:
        before = await _merged(one)
        await other.directory.settle()
        (found,) = [s for s in await one.session_store.get([before.session.id]) if s is not None]
        assert found.person != before.session.person
        one.apps.clock.offset += SETTLE_SECONDS
        await other.directory.settle()
        assert await one.store.merges(10, unsettled=True) == []

    visit(tmp_path, scenario, 2)


def test_many_are_seen_in_one_batch(tmp_path: Path) -> None:
    async def scenario(office: Office) -> None:
        users = [AppUser(OFFICIAL, f"oUser{number:023}") for number in range(50)]
        ids = await asyncio.gather(
            *(office.directory.see(Sighting(user, PLATFORM, 1.0)) for user in users)
        )
        assert len(set(ids)) == 50
        for user, id_ in zip(users, ids, strict=True):
            person = await office.store.owner(user)
            assert person is not None
            assert person.id == id_

    visit(tmp_path, scenario)
