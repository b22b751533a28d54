"""Who a callback is from: learned by events, looked up at WeChat, given to handlers."""

import asyncio
import time
from collections.abc import Callable, Iterator
from typing import Any

import aiohttp
import pytest

from gateway.cli.sending import fresh_callback
from gateway.simulator.documents import event
from gateway.simulator.platform import Outcome, Platform
from tests.e2e.signing_in import KEY, Place, place
from tests.services import wait_until
from tests.support import ACCOUNT_ID, APP_ID, fresh_text, make_sender


@pytest.fixture(scope="module", params=["sqlite", "servers"])
def gateway(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Place]:
    """A gateway over SQLite, and one over Redis and Postgres."""
    folder = tmp_path_factory.mktemp(request.param)
    servers = request.param == "servers"
    with place(folder, servers=servers, identity="cache_seconds = 0.0") as running:
        yield running


def user() -> str:
    """Return the open id of somebody new."""
    return f"oPeople{time.time_ns()}".ljust(28, "0")


def tell(gateway: Place, document: dict[str, Any], open_id: str) -> str:
    """Let WeChat bring something of a user's; return what the gateway answers."""
    own = {"CreateTime": int(time.time()), **document, "FromUserName": open_id}
    sender = make_sender()

    async def deliver() -> Outcome:
        async with aiohttp.ClientSession() as session:
            platform = Platform(session, sender, f"{gateway.url}/wechat/main")
            return await platform.deliver(lambda: fresh_callback(sender, own))

    outcome = asyncio.run(deliver())
    assert (outcome.status, outcome.complaint) == (200, "")
    return str((outcome.reply or {}).get("Content", ""))


def write(gateway: Place, content: str, open_id: str) -> str:
    """Let a user write; return what they are answered."""
    return tell(gateway, fresh_text(content), open_id)


def happen(gateway: Place, name: str, open_id: str, **own: str) -> None:
    """Let an event of a user's come."""
    document = event(name, None, to=ACCOUNT_ID, sender=open_id, now=int(time.time()))
    tell(gateway, {**document, **own}, document["FromUserName"])


def find(gateway: Place, open_id: str, account: str = "main") -> dict[str, Any] | None:
    """Return whose an open id is."""
    asked = {"account": account, "open_id": open_id}
    answer = gateway.api("POST", "/identities/find", asked, KEY)
    told: dict[str, Any] | None = answer.told if answer.status == 200 else None
    return told


def becomes(gateway: Place, open_id: str, told: Callable[[dict[str, Any]], bool]) -> None:
    """Wait until what is known of somebody is so."""
    wait_until(
        lambda: (found := find(gateway, open_id)) is not None and told(found), "what was learned"
    )


def test_a_follower_is_known_with_their_union_id(gateway: Place) -> None:
    open_id = user()
    happen(gateway, "subscribe", open_id)
    becomes(gateway, open_id, lambda found: found["union_id"] is not None)
    found = find(gateway, open_id)
    assert found is not None
    assert found["identities"][0]["subscribed"] is True
    # Later than the second in which WeChat was asked.
    happen(gateway, "unsubscribe", open_id, CreateTime=str(int(time.time()) + 2))
    becomes(gateway, open_id, lambda found: found["identities"][0]["subscribed"] is False)


def test_who_writes_is_known_and_when_they_did_last(gateway: Place) -> None:
    open_id = user()
    write(gateway, "你好", open_id)
    becomes(gateway, open_id, lambda found: found["last_active"] is not None)
    found = find(gateway, open_id)
    assert found is not None
    assert (found["union_id"], found["identities"][0]["subscribed"]) == (None, None)


def test_a_handler_is_given_who_wrote(gateway: Place) -> None:
    open_id = user()
    said = write(gateway, "who am i", open_id)
    found = find(gateway, open_id)
    assert found is not None
    assert f"you are {found['id']} of 1" in said
    gateway.api("POST", f"/identities/{found['id']}/tags", {"add": ["老客户"]})
    said = write(gateway, "who am i", open_id)
    assert f"you are {found['id']} of 1 老客户" in said


def test_a_background_handler_is_given_who_wrote(gateway: Place) -> None:
    open_id = user()
    write(gateway, "who was i", open_id)
    log = gateway.folder / "runs.log"

    def ran() -> bool:
        found = find(gateway, open_id)
        return found is not None and log.exists() and f"{found['id']}\n" in log.read_text()

    wait_until(ran, "the background handler")


def test_a_wechat_that_is_away_is_asked_later(gateway: Place) -> None:
    """The follower is known at once; their union id when somebody tells it."""
    open_id = user()
    gateway.control("faults", **{"reset-before": 1})
    happen(gateway, "subscribe", open_id)
    becomes(gateway, open_id, lambda found: found["identities"][0]["subscribed"] is True)
    told = "followers are asked about later account=main"
    wait_until(lambda: told in gateway.server.log, "a look-up that failed")
    gateway.control("faults", **{"reset-before": 0})
    found = find(gateway, open_id)
    assert found is not None
    assert found["union_id"] is None
    assert open_id not in gateway.server.log


def test_nothing_of_who_closed_their_account_is_kept(gateway: Place) -> None:
    person = f"注销{time.time_ns()}"
    browser = gateway.browser()
    browser.sign_in("snsapi_userinfo", person)
    session = browser.go(f"{gateway.url}/session").told
    login = gateway.app_login(person).told["session"]
    assert login["person"] == session["person"]
    cancelled = {"OpenID": session["open_id"], "AppID": APP_ID, "RevokeInfo": "301"}
    happen(gateway, "user_authorization_cancellation", "gh_system", **cancelled)
    wait_until(lambda: find(gateway, session["open_id"]) is None, "the end of an identity")
    assert browser.go(f"{gateway.url}/session").status == 401
    left = find(gateway, login["open_id"], "mini")
    assert left is not None
    assert [one["account"] for one in left["identities"]] == ["mini"]


def test_what_a_user_agreed_to_is_kept(gateway: Place) -> None:
    open_id = user()
    item = {"TemplateId": "T1", "SubscribeStatusString": "accept", "PopupScene": "1"}
    own: Any = {"SubscribeMsgPopupEvent": {"List": [item]}}
    happen(gateway, "subscribe_msg_popup_event", open_id, **own)
    becomes(gateway, open_id, lambda found: bool(found["consents"]))
    found = find(gateway, open_id)
    assert found is not None
    assert [(one["template_id"], one["accepted"]) for one in found["consents"]] == [("T1", True)]
