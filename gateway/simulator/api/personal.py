"""What people do and are is set by: codes without a browser, followers, what expires."""

from typing import Annotated, Any

import msgspec

from gateway.simulator.api.commands import Handles, Wrong, read
from gateway.simulator.api.grants import Kind, Perishable
from gateway.simulator.api.people import POPULATION, Person
from gateway.simulator.api.sns import SCOPES
from gateway.simulator.api.wire import Asked
from gateway.simulator.api.world import Account, World

MOST_FOLLOWERS = 5_000_000


class _Code(msgspec.Struct, forbid_unknown_fields=True):
    appid: str
    person: Annotated[str, msgspec.Meta(min_length=1)] = POPULATION[0]
    """A name, or an open id of the app."""


class _OAuthCode(_Code, forbid_unknown_fields=True):
    scope: str = ""


class _Followers(msgspec.Struct, forbid_unknown_fields=True):
    appid: str
    count: Annotated[int, msgspec.Meta(ge=0, le=MOST_FOLLOWERS)]


class _Expire(msgspec.Struct, forbid_unknown_fields=True):
    what: Perishable


class _Person(msgspec.Struct, forbid_unknown_fields=True):
    snapshot: bool | None = None


class _Host(msgspec.Struct, forbid_unknown_fields=True):
    appid: str
    host: str


class PersonalControls:
    """What a world's people are set by."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.handles: Handles = {
            "people": ("GET", self._show_people),
            "people/": ("POST", self._set_person),
            "followers": ("POST", self._add_followers),
            "code": ("POST", self._make_code),
            "js_code": ("POST", self._make_js_code),
            "phone_code": ("POST", self._make_phone_code),
            "expire": ("POST", self._expire),
            "redirect_host": ("POST", self._set_redirect_host),
        }

    def _show_people(self, _asked: Asked) -> Any:
        """Tell who there is, and the ids that each app knows them by."""
        return {"people": [self._shown(one) for one in self._world.people.named()]}

    def _set_person(self, asked: Asked) -> Any:
        """Change who has the name in the path, or the open id: snapshot; tell who it is."""
        given = read(asked.body, _Person)
        person = self._world.people.get(asked.path.partition("/people/")[2])
        if given.snapshot is not None:
            person.is_snapshot = given.snapshot
        return self._shown(person)

    def _add_followers(self, asked: Asked) -> Any:
        """Let so many more people follow an account; tell how many there are now."""
        given = read(asked.body, _Followers)
        account = self._account(given.appid)
        account.add_followers(given.count)
        return {"followers": sum(user.subscribed for user in account.users.values())}

    def _make_code(self, asked: Asked) -> Any:
        """Make a code as if somebody had agreed; the scope is the app's widest by default."""
        given = read(asked.body, _OAuthCode)
        account = self._account(given.appid)
        scopes = SCOPES[account.platform]
        if not scopes or given.scope not in ("", *scopes):
            known = ", ".join(scopes) or "none"
            raise Wrong(f"the scopes of a {account.platform} are: {known}")
        return self._code(Kind.OAUTH, account, given.person, given.scope or scopes[0])

    def _make_js_code(self, asked: Asked) -> Any:
        """Make what wx.login gives a mini program."""
        return self._mini_program_code(Kind.JS, asked)

    def _make_phone_code(self, asked: Asked) -> Any:
        """Make what a mini program's button for the phone number gives."""
        return self._mini_program_code(Kind.PHONE, asked)

    def _mini_program_code(self, kind: Kind, asked: Asked) -> Any:
        given = read(asked.body, _Code)
        account = self._account(given.appid)
        if account.platform != "mini_program":
            raise Wrong(f"the account's platform is {account.platform}, not mini_program")
        return self._code(kind, account, given.person)

    def _expire(self, asked: Asked) -> Any:
        """Let all codes, users' tokens or refresh tokens that there are end now."""
        self._world.grants.expire(read(asked.body, _Expire).what)
        return {}

    def _set_redirect_host(self, asked: Asked) -> Any:
        """Set the only host that an account's codes may be brought to; empty for any."""
        given = read(asked.body, _Host)
        self._account(given.appid).redirect_host = given.host
        return {}

    def _code(self, kind: Kind, account: Account, name: str, scope: str = "") -> Any:
        person = self._world.people.get(name)
        return {"code": self._world.grants.code(kind, account.app_id, person, scope)}

    def _account(self, app_id: str) -> Account:
        account = self._world.account(app_id)
        if account is None:
            known = ", ".join(one.app_id for one in self._world.accounts())
            raise Wrong(f"no such appid; there are: {known}")
        return account

    def _shown(self, person: Person) -> Any:
        return {
            "name": person.name,
            "avatar": person.avatar,
            "unionid": person.union_id,
            "phone": person.phone,
            "snapshot": person.is_snapshot,
            "openids": {
                one.app_id: self._world.open_id(one, person) for one in self._world.accounts()
            },
        }
