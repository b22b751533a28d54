"""Signing in, sessions and people over HTTP, put together."""

import time

from litestar import Router
from litestar.types import ASGIApp, ControllerRouterHandler

from gateway.app.api_keys import make_keys
from gateway.app.identity import Identities
from gateway.http.api.operations import Operation
from gateway.http.identity.authentication import Authentication, SessionMiddleware
from gateway.http.identity.cookies import Cookies
from gateway.http.identity.operations import BY_CODE, PEOPLE, SESSIONS
from gateway.http.identity.people import People
from gateway.http.identity.routes import Parts, identity_routes
from gateway.inbound.bot import Bot
from gateway.settings import Settings


def make_authentication(settings: Settings, identities: Identities) -> Authentication:
    """Return what tells whose a request is."""
    given = settings.identity
    cookies = Cookies(given.cookie, given.cookie_domain, given.secure_cookies, given.same_site)
    return Authentication(
        identities.sessions, identities.directory, cookies, time.time, identities.metrics
    )


def web_routes(
    settings: Settings, identities: Identities, authentication: Authentication
) -> list[ControllerRouterHandler]:
    """Return the routes of identity."""
    people = People(identities.directory, identities.sessions, identities.apps, identities.refresh)
    return identity_routes(
        Parts(
            authentication,
            identities.web,
            identities.by_code,
            people,
            settings.identity.public_url or "",
            settings.identity.session_seconds,
            make_keys(settings) if settings.api_keys else None,
        )
    )


def operations_of(identities: Identities, settings: Settings) -> tuple[Operation, ...]:
    """Return what may be done with the routes of identity, for their document."""
    return (
        *SESSIONS,
        *(BY_CODE if identities.by_code else ()),
        *(PEOPLE if settings.api_keys else ()),
    )


def own_routes(bot: Bot, authentication: Authentication | None) -> list[ControllerRouterHandler]:
    """Return the bot's own routes, in which ``request.user`` is who calls; None for nobody."""
    handlers = bot.web_handlers()
    if not handlers:
        return []

    def middleware(app: ASGIApp) -> ASGIApp:
        # A function: what DefineMiddleware holds is copied with each handler, stores and all.
        return SessionMiddleware(app, authentication)

    return [Router("/", route_handlers=handlers, middleware=[middleware])]
