"""Users' own tokens: sealed, never lost, refreshed when that is needed."""

from pathlib import Path

import pytest

from gateway.errors import AccountRejected, Busy
from gateway.identity.people import AppUser
from gateway.identity.user_tokens import REFRESH_SECONDS, USER_TOKEN, SignInAgain
from gateway.outbound.endpoints.web import REFRESH_TOKEN, USER_INFO
from gateway.simulator.api.faults import ApiFault
from tests.identity.office import OFFICIAL, Office, visit


async def user(office: Office, scope: str = "snsapi_userinfo") -> AppUser:
    """Return somebody who signed in."""
    signed_in = await office.sign_in(office.web(), scope)
    return AppUser(OFFICIAL, signed_in.opened.session.open_id)


def test_a_token_is_sealed_where_it_is_kept(tmp_path: Path) -> None:
    async def scenario(office: Office) -> None:
        somebody = await user(office)
        kept = await office.store.secret(somebody, USER_TOKEN)
        assert kept is not None
        plain = office.vault.open(kept.sealed, f"user_token/{OFFICIAL}/{somebody.open_id}")
        assert b"refresh_token" in plain
        stored = (tmp_path / "g.db").read_bytes() + (tmp_path / "g.db-wal").read_bytes()
        assert b"refresh_token" not in stored

    visit(tmp_path, scenario)


def test_a_token_that_is_over_is_refreshed(tmp_path: Path) -> None:
    async def scenario(office: Office) -> None:
        somebody = await user(office)
        office.apps.clock.offset += 7200
        for _ in range(2):
            profile = await office.user_tokens.profile(office.authorization(), somebody)
            assert profile.nickname == "小明🎈"
        assert office.calls(REFRESH_TOKEN) == 1

    visit(tmp_path, scenario)


def test_a_token_that_died_early_is_refreshed_once(tmp_path: Path) -> None:
    async def scenario(office: Office) -> None:
        somebody = await user(office)
        await office.apps.post("/simulator/expire", {"what": "user_tokens"})
        profile = await office.user_tokens.profile(office.authorization(), somebody)
        assert profile.nickname == "小明🎈"
        assert office.calls(REFRESH_TOKEN) == 1

    visit(tmp_path, scenario)


@pytest.mark.parametrize("how", ["expired", "by the clock", "nobody", "another secret"])
def test_without_a_refresh_token_they_have_to_sign_in_again(tmp_path: Path, how: str) -> None:
    async def scenario(office: Office) -> None:
        somebody = await user(office)
        if how == "expired":
            await office.apps.post("/simulator/expire", {"what": "user_tokens"})
            await office.apps.post("/simulator/expire", {"what": "refresh_tokens"})
        elif how == "by the clock":
            office.apps.clock.offset += REFRESH_SECONDS
        elif how == "nobody":
            somebody = AppUser(OFFICIAL, "oNobody000000000000000000001")
        else:
            kept = await office.store.secret(somebody, USER_TOKEN)
            assert kept is not None
            moved = kept._replace(user=AppUser(OFFICIAL, "oOther0000000000000000000001"))
            await office.store.keep_secret(moved)
            somebody = moved.user
        with pytest.raises(SignInAgain):
            await office.user_tokens.profile(office.authorization(), somebody)

    visit(tmp_path, scenario)


def test_who_granted_less_shows_nothing(tmp_path: Path) -> None:
    async def scenario(office: Office) -> None:
        somebody = await user(office, "snsapi_base")
        with pytest.raises(AccountRejected) as caught:
            await office.user_tokens.profile(office.authorization(), somebody)
        assert caught.value.code == 48001

    visit(tmp_path, scenario)


def test_a_wechat_that_is_busy_loses_no_token(tmp_path: Path) -> None:
    async def scenario(office: Office) -> None:
        somebody = await user(office)
        before = await office.store.secret(somebody, USER_TOKEN)
        office.apps.clock.offset += 7200
        office.apps.faults.rates = {ApiFault.BUSY: 1.0}
        with pytest.raises(Busy):
            await office.user_tokens.profile(office.authorization(), somebody)
        assert await office.store.secret(somebody, USER_TOKEN) == before
        office.apps.faults.rates = {}
        profile = await office.user_tokens.profile(office.authorization(), somebody)
        assert profile.nickname == "小明🎈"
        assert office.calls(USER_INFO) == 2

    visit(tmp_path, scenario)
