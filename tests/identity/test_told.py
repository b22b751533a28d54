"""What callbacks tell of their users, event by event."""

from typing import Any, Final

import pytest

from gateway.identity.apps import App
from gateway.identity.people import AppUser, Consent, Platform, Sighting
from gateway.identity.told import TELLING, Told, doer, seen_by, together, told_by, user_of
from gateway.protocol.decode import EVENTS, decode

APP: Final = App("main", "wx1", Platform.OFFICIAL_ACCOUNT, "main")
MINI: Final = App("mini", "wx2", Platform.MINI_PROGRAM, "mini")
USER: Final = AppUser("wx1", "oUser")
SEEN: Final = Sighting(USER, Platform.OFFICIAL_ACCOUNT, 1_790_000_000.0)


def event(name: str, **given: Any) -> Any:
    """Return an event of the user's."""
    common = {"ToUserName": "gh_1", "FromUserName": "oUser", "CreateTime": "1790000000"}
    return decode({**common, "MsgType": "event", "Event": name, **given})


def text(**given: Any) -> Any:
    """Return a message of the user's."""
    return decode(
        {
            "ToUserName": "gh_1",
            "FromUserName": "oUser",
            "CreateTime": "1790000000",
            "MsgType": "text",
            "Content": "好",
            "MsgId": "1",
            **given,
        }
    )


def test_who_follows_and_who_leaves() -> None:
    assert told_by(APP, event("subscribe")) == Told((SEEN._replace(subscribed=True),))
    # Personal data must go, that they left is kept.
    left = told_by(APP, event("unsubscribe"))
    assert left == Told((SEEN._replace(subscribed=False),), hidden=(USER,))


@pytest.mark.parametrize(
    ("name", "element"),
    [
        ("subscribe_msg_popup_event", "SubscribeMsgPopupEvent"),
        ("subscribe_msg_change_event", "SubscribeMsgChangeEvent"),
    ],
)
def test_what_they_agreed_to(name: str, element: str) -> None:
    items = [
        {"TemplateId": "T1", "SubscribeStatusString": "accept"},
        {"TemplateId": "T2", "SubscribeStatusString": "reject"},
    ]
    told = told_by(APP, event(name, **{element: {"List": items}}))
    assert told.sightings == (SEEN,)
    assert told.consents == (
        Consent(USER, "T1", accepted=True, at=1_790_000_000.0),
        Consent(USER, "T2", accepted=False, at=1_790_000_000.0),
    )


@pytest.mark.parametrize(
    ("app", "codes", "hidden"),
    [
        (APP, "205", True),
        (APP, "201,205", True),
        (APP, "201", False),
        (APP, "301", True),
        (APP, "6", False),
        (MINI, "6", True),
        (MINI, "20", True),
        (MINI, "8", False),
        (MINI, "205", False),
        (MINI, "", False),
    ],
)
def test_who_takes_back_the_right_to_name_and_picture(app: App, codes: str, hidden: bool) -> None:
    given = {"FromUserName": "system", "OpenID": "oUser", "AppID": app.app_id}
    message = event("user_authorization_revoke", RevokeInfo=codes, **given)
    told = told_by(app, message)
    assert told == Told(hidden=(AppUser(app.app_id, "oUser"),) if hidden else ())
    assert (user_of(message), doer(message)) == ("oUser", "")


def test_who_closed_their_account_is_gone() -> None:
    given = {"FromUserName": "system", "OpenID": "oUser", "AppID": "wx1", "RevokeInfo": "301"}
    assert told_by(APP, event("user_authorization_cancellation", **given)) == Told(gone=(USER,))
    # Of nobody, nothing is told.
    nobody = event("user_authorization_cancellation", **{**given, "OpenID": ""})
    assert told_by(APP, nobody) == Told()


def test_everything_else_tells_that_somebody_did_something_or_nothing() -> None:
    assert told_by(APP, text()) == Told()
    assert (seen_by(APP, text()), doer(text())) == (SEEN, "oUser")
    for name in ("CLICK", "VIEW", "SCAN", "LOCATION", "scancode_waitmsg"):
        assert doer(event(name)) == "oUser"
    for name in ("TEMPLATESENDJOBFINISH", "MASSSENDJOBFINISH", "subscribe_msg_sent_event"):
        assert doer(event(name)) == ""
    for name, kind in EVENTS.items():
        if kind not in TELLING:
            assert told_by(APP, event(name)) == Told()


def test_several_tell_together() -> None:
    told = [told_by(APP, event("subscribe")), Told(), told_by(APP, event("unsubscribe"))]
    assert together(told) == Told(
        (SEEN._replace(subscribed=True), SEEN._replace(subscribed=False)), hidden=(USER,)
    )
    assert together([]) == Told()
