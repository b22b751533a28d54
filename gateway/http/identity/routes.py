"""All routes of identity, and what they are made of."""

from collections.abc import Mapping
from typing import Final, NamedTuple

from litestar import Router
from litestar.types import ControllerRouterHandler

from gateway.http.api.asking import Bodies, asker
from gateway.http.api.keys import Keys
from gateway.http.api.problems import HANDLERS
from gateway.http.identity.authentication import Authentication
from gateway.http.identity.by_code import SignInsByCode, by_code_routes
from gateway.http.identity.oauth import oauth_routes
from gateway.http.identity.people import (
    People,
    PeopleDesk,
    changing_routes,
    finding_routes,
)
from gateway.http.identity.session import OwnSessions, session_routes
from gateway.http.identity.verify import verify_route
from gateway.identity.app_sign_in import AppSignIn
from gateway.identity.web_sign_in import WebSignIn

MAX_BODY: Final = 1 << 16
"""Bytes of a body; anybody may send one."""


class Parts(NamedTuple):
    """What the routes are made of."""

    authentication: Authentication
    web: Mapping[str, WebSignIn]
    by_code: Mapping[str, AppSignIn]
    people: People
    public_url: str
    session_seconds: float
    keys: Keys | None
    """None where nobody has an API key."""


def identity_routes(parts: Parts) -> list[ControllerRouterHandler]:
    """Return the routes."""
    authentication = parts.authentication
    api = [
        *session_routes(OwnSessions(authentication)),
        verify_route(authentication, parts.web.keys(), parts.public_url),
        *by_code_routes(SignInsByCode(parts.by_code, authentication)),
    ]
    if parts.keys is not None:
        ask, desk, bodies = asker(parts.keys), PeopleDesk(parts.people), Bodies()
        api += [*finding_routes(ask, desk, bodies), *changing_routes(ask, desk, bodies)]
    return [
        *oauth_routes(parts.web, authentication.cookies, parts.session_seconds),
        Router(
            "/",
            route_handlers=api,
            exception_handlers=HANDLERS,
            request_max_body_size=MAX_BODY,
        ),
    ]
