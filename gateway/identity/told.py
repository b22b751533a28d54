"""What callbacks tell of who users are (PROTOCOL 6.1, 6.3, 6.4)."""

from collections.abc import Iterable
from typing import Final, NamedTuple

from gateway.identity.apps import App
from gateway.identity.people import AppUser, Consent, Platform, Sighting
from gateway.protocol.events.base import Event
from gateway.protocol.events.follow import Enter, LocationEvent, Scan, Subscribe, Unsubscribe
from gateway.protocol.events.menu import MenuEvent
from gateway.protocol.events.service import (
    AuthorizationChange,
    UserAuthorizationCancellation,
    UserAuthorizationRevoke,
    UserEnterTempsession,
)
from gateway.protocol.events.subscription import SubscribeMsgChange, SubscribeMsgPopup
from gateway.protocol.messages import Message

TELLING: Final = (
    *(Subscribe, Unsubscribe, SubscribeMsgPopup, SubscribeMsgChange),
    *(UserAuthorizationRevoke, UserAuthorizationCancellation),
)
"""The events that tell more than that somebody did something."""

_DOINGS: Final = (Scan, LocationEvent, Enter, MenuEvent, UserEnterTempsession)
"""Events that are something a user does; others are what became of what somebody else did."""

_PROFILE: Final = {
    Platform.OFFICIAL_ACCOUNT: frozenset(("205", "301")),
    Platform.MINI_PROGRAM: frozenset(("6", "20", "301")),
}
"""What name and picture are in ``RevokeInfo``; 301 is everything."""


class Told(NamedTuple):
    """What callbacks tell."""

    sightings: tuple[Sighting, ...] = ()
    consents: tuple[Consent, ...] = ()
    hidden: tuple[AppUser, ...] = ()
    """Their names and pictures may not be kept."""
    gone: tuple[AppUser, ...] = ()
    """They closed their WeChat account: nothing of theirs may be kept."""


def told_by(app: App, message: Message) -> Told:
    """Return what a message to an app tells; nothing where it is none of TELLING."""
    if not user_of(message) or not isinstance(message, TELLING):
        return Told()
    seen = seen_by(app, message)
    user = seen.user
    if isinstance(message, AuthorizationChange):
        return _taken_back(app, user, message)
    match message:
        case Subscribe():
            return Told((seen._replace(subscribed=True),))
        case Unsubscribe():
            # Personal data must go then (PROTOCOL 3); that they left is kept, for whoever sends.
            return Told((seen._replace(subscribed=False),), hidden=(user,))
        case SubscribeMsgPopup() | SubscribeMsgChange():
            return Told((seen,), tuple(_consents(user, message, seen.at)))
    return Told()


def _taken_back(app: App, user: AppUser, message: AuthorizationChange) -> Told:
    if isinstance(message, UserAuthorizationCancellation):
        return Told(gone=(user,))
    codes = set(message.revoke_info.replace(",", " ").split())
    is_profile = not codes.isdisjoint(_PROFILE.get(app.platform, {"301"}))
    return Told(hidden=(user,) if is_profile else ())


def user_of(message: Message) -> str:
    """Return the open id of whom a message is from or about; empty where that is nobody."""
    return message.open_id if isinstance(message, AuthorizationChange) else message.from_user_name


def seen_by(app: App, message: Message) -> Sighting:
    """Return that whom a message to an app is from or about was seen when it was sent."""
    user = AppUser(app.app_id, user_of(message))
    return Sighting(user, app.platform, float(message.create_time))


def doer(message: Message) -> str:
    """Return the open id of who did something by a message; empty where nobody did."""
    is_doing = not isinstance(message, Event) or isinstance(message, _DOINGS)
    return message.from_user_name if is_doing else ""


def together(told: Iterable[Told]) -> Told:
    """Return what several callbacks tell."""
    every = list(told)
    return Told(
        tuple(one for each in every for one in each.sightings),
        tuple(one for each in every for one in each.consents),
        tuple(one for each in every for one in each.hidden),
        tuple(one for each in every for one in each.gone),
    )


def _consents(
    user: AppUser, message: SubscribeMsgPopup | SubscribeMsgChange, at: float
) -> Iterable[Consent]:
    for item in message.items:
        accepted = item.subscribe_status_string == "accept"
        yield Consent(user, item.template_id, accepted=accepted, at=at)
