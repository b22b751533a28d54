"""/identities: who somebody is, for services that have an API key.

Open ids and union ids stand in bodies only: URLs end up in logs.
"""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final, NamedTuple

from litestar import Request, Response, delete, get, post
from litestar.handlers import HTTPRouteHandler
from litestar.status_codes import HTTP_200_OK

from gateway.errors import ApiError, PushRefused
from gateway.http.api.asking import Ask, Bodies
from gateway.http.api.keys import ApiKey, Forbidden, Scope
from gateway.http.api.problems import RETRY_AFTER, Problem
from gateway.http.identity.responses import NO_STORE
from gateway.http.identity.views import (
    MergeView,
    PersonView,
    SessionEntry,
    merge_view,
    person_view,
    session_entry,
)
from gateway.identity.apps import App
from gateway.identity.directory import Directory, ids_of
from gateway.identity.people import AppUser, Person
from gateway.identity.sessions import Sessions
from gateway.identity.user_tokens import SignInAgain

Asked = Request[Any, Any, Any]
Body = dict[str, Any]

MOST: Final = 1000
"""Merges in one answer."""


class People(NamedTuple):
    """What is known of people, and who tells more."""

    directory: Directory
    sessions: Sessions
    apps: Mapping[str, App]
    """By the accounts' names."""
    refresh: Callable[[str, AppUser], Awaitable[None]]
    """Asks WeChat for the name and picture of an account's user; raises SignInAgain, ApiError."""


class PeopleDesk:
    """Shows people to keys, and changes them for those that may."""

    def __init__(self, people: People) -> None:
        self._directory, self._sessions, self._apps, self._ask_wechat = people
        self._store = self._directory.store

    def view(self, person: Person | None, key: ApiKey) -> Response[PersonView]:
        """Return what a key sees of a person; raise Problem where that is nobody."""
        # Of accounts with one app id, one that the key is good for.
        names = {app.app_id: app.name for app in self._apps.values() if key.sees(app.name)}
        return Response(person_view(self._seen_by(person, key), names), headers=NO_STORE)

    async def one(self, id_: str, key: ApiKey) -> Person:
        """Return the person of an id."""
        return self._seen_by(await self._store.person(id_), key)

    async def find(self, body: Body, key: ApiKey) -> Person:
        """Return whose an open id is, or a union id."""
        union_id, open_id = body.get("union_id"), body.get("open_id")
        if isinstance(union_id, str) and open_id is None:
            return self._seen_by(await self._store.bearer(union_id), key)
        if isinstance(open_id, str) and union_id is None:
            app = self._app(body, key)
            return self._seen_by(await self._store.owner(AppUser(app.app_id, open_id)), key)
        raise PushRefused("open_id: give it with its account, or a union_id alone")

    async def merges(self, query: Mapping[str, str]) -> list[MergeView]:
        """Return merges, oldest first."""
        after = _number(query.get("after", "0"), "after", 1 << 62)
        limit = _number(query.get("limit", "100"), "limit", MOST)
        found = await self._store.merges(limit, after, person=query.get("person"))
        return [merge_view(one) for one in found]

    async def grant(self, person: Person, body: Body) -> Person | None:
        """Change a person's roles; their sessions follow."""
        add, remove = _changes(body)
        roles = self._directory.roles
        for role in add:
            if role not in roles:
                known = ", ".join(roles.names) or "none in identity.roles"
                raise PushRefused(f"add: no such role; there are: {known}")
        return await self._directory.grant(person.id, add, remove)

    async def tag(self, person: Person, body: Body) -> Person | None:
        """Change a person's tags."""
        await self._store.tag(person.id, *_changes(body))
        return await self._store.person(person.id)

    async def refresh(self, person: Person, body: Body, key: ApiKey) -> Person | None:
        """Ask WeChat for a person's name and picture in one account."""
        app = self._app(body, key)
        users = [one.user for one in person.identities if one.user.app_id == app.app_id]
        try:
            for user in users:
                await self._ask_wechat(app.name, user)
        except SignInAgain:
            raise Problem(409, "no token of theirs holds; they have to sign in again") from None
        except ApiError as error:
            raise Problem(503, f"WeChat did not tell: {error}", RETRY_AFTER) from None
        return await self._store.person(person.id)

    async def sessions(self, person: Person, key: ApiKey) -> list[SessionEntry]:
        """Return a person's sessions in the accounts that a key is good for."""
        found = await self._sessions.of(ids_of(person))
        return [session_entry(one) for one in found if key.sees(one.account)]

    async def end_sessions(self, person: Person, key: ApiKey) -> int:
        """End them; return how many."""
        found = await self._sessions.of(ids_of(person))
        return await self._sessions.end([one.id for one in found if key.sees(one.account)])

    def _seen_by(self, person: Person | None, key: ApiKey) -> Person:
        """Return what a person is to a key's accounts; raise Problem where they are nobody."""
        app_ids = {app.app_id for app in self._apps.values() if key.sees(app.name)}

        def sees(user: AppUser) -> bool:
            return not key.accounts or user.app_id in app_ids

        if person is None or not any(sees(one.user) for one in person.identities):
            raise Problem(404, "nobody is known by this")
        return person._replace(
            identities=tuple(one for one in person.identities if sees(one.user)),
            consents=tuple(one for one in person.consents if sees(one.user)),
            # These are the whole person's.
            tags=() if key.accounts else person.tags,
            roles=() if key.accounts else person.roles,
        )

    def _app(self, body: Body, key: ApiKey) -> App:
        """Return the account that is meant; raise PushRefused."""
        given = body.get("account")
        name = key.account(given if isinstance(given, str) else None)
        if name is None and len(self._apps) == 1:
            name = next(iter(self._apps))
        if name is None or name not in self._apps:
            known = ", ".join(one for one in self._apps if key.sees(one))
            raise PushRefused(f"account: give one of: {known}")
        return self._apps[name]


def finding_routes(ask: Ask, desk: PeopleDesk, bodies: Bodies) -> list[HTTPRouteHandler]:
    """Return the routes that tell of people."""

    @get("/identities/{id_:str}")
    async def show(request: Asked) -> Response[PersonView]:
        """Show a person by their id, or one that was theirs before a merge."""
        key = ask(request, Scope.READ_PEOPLE)
        return desk.view(await desk.one(request.path_params["id_"], key), key)

    @post("/identities/find", status_code=HTTP_200_OK)
    async def find(request: Asked) -> Response[PersonView]:
        """Find whose an open id is, or a union id."""
        key = ask(request, Scope.READ_PEOPLE)
        return desk.view(await desk.find(await bodies.read(request), key), key)

    @get("/identities/merges")
    async def merges(request: Asked) -> Response[list[MergeView]]:
        """List which open ids turned out to be another person's, oldest first."""
        if ask(request, Scope.READ_PEOPLE).accounts:
            raise Forbidden("accounts: this key is for some; merges are told to those for all")
        return Response(await desk.merges(request.query_params), headers=NO_STORE)

    @get("/identities/{id_:str}/sessions")
    async def sessions(request: Asked) -> Response[list[SessionEntry]]:
        """List a person's sessions."""
        key = ask(request, Scope.READ_PEOPLE)
        person = await desk.one(request.path_params["id_"], key)
        return Response(await desk.sessions(person, key), headers=NO_STORE)

    return [show, find, merges, sessions]


def changing_routes(ask: Ask, desk: PeopleDesk, bodies: Bodies) -> list[HTTPRouteHandler]:
    """Return the routes that change them."""

    async def asked(request: Asked, *, whole: bool = False) -> tuple[ApiKey, Person]:
        """Return who asks, and about whom; ``whole`` where it is about them in all accounts."""
        key = ask(request, Scope.MANAGE_PEOPLE)
        if whole and key.accounts:
            raise Forbidden("accounts: this key is for some; roles and tags are for all")
        return key, await desk.one(request.path_params["id_"], key)

    @post("/identities/{id_:str}/roles", status_code=HTTP_200_OK)
    async def roles(request: Asked) -> Response[PersonView]:
        """Grant roles, and take them back; sessions follow at once."""
        key, person = await asked(request, whole=True)
        return desk.view(await desk.grant(person, await bodies.read(request)), key)

    @post("/identities/{id_:str}/tags", status_code=HTTP_200_OK)
    async def tags(request: Asked) -> Response[PersonView]:
        """Add tags and remove some."""
        key, person = await asked(request, whole=True)
        return desk.view(await desk.tag(person, await bodies.read(request)), key)

    @post("/identities/{id_:str}/profile", status_code=HTTP_200_OK)
    async def profile(request: Asked) -> Response[PersonView]:
        """Ask WeChat for their name and picture anew, with the token that their sign-in left."""
        key, person = await asked(request)
        return desk.view(await desk.refresh(person, await bodies.read(request), key), key)

    @delete("/identities/{id_:str}/sessions", status_code=HTTP_200_OK)
    async def end_sessions(request: Asked) -> Response[dict[str, int]]:
        """End a person's sessions."""
        key, person = await asked(request)
        return Response({"ended": await desk.end_sessions(person, key)}, headers=NO_STORE)

    return [roles, tags, profile, end_sessions]


def _changes(body: Body) -> tuple[list[str], list[str]]:
    """Return what is to be added and removed; raise PushRefused."""
    if unknown := set(body) - {"add", "remove"}:
        raise PushRefused(f"{min(unknown)[:64]}: unknown; there are: add, remove")
    for name in ("add", "remove"):
        given = body.get(name, [])
        if not isinstance(given, list) or not all(
            isinstance(one, str) and 0 < len(one) <= 64 and one.isprintable() for one in given
        ):
            raise PushRefused(f"{name}: must be a list of texts of 1 to 64 characters")
    return body.get("add", []), body.get("remove", [])


def _number(given: str, name: str, most: int) -> int:
    if not given.isascii() or not given.isdecimal() or len(given) > 19 or int(given) > most:
        raise PushRefused(f"{name}: must be a number up to {most}")
    return int(given)
