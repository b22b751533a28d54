"""What a test or a person sets the platform by, below /simulator.

What names no account is set for all of them. A body that is not understood changes nothing, and is
answered 400 with what is wrong.
"""

from collections.abc import Mapping
from typing import Annotated, Any, Final

import msgspec

from gateway.simulator.api.commands import Handle, Handles, Wrong, read
from gateway.simulator.api.faults import ApiFault, Faults
from gateway.simulator.api.personal import PersonalControls
from gateway.simulator.api.quotas import Quota
from gateway.simulator.api.wire import Asked, response
from gateway.simulator.api.world import Account, Template, User, World

PREFIX: Final = "/simulator/"

CUSTOM_MESSAGES = 5
"""What a user who writes may be answered (PROTOCOL 7.3)."""

Share = Annotated[float, msgspec.Meta(ge=0, le=1)]


class _Latency(msgspec.Struct):
    latency: Annotated[float, msgspec.Meta(ge=0, le=60)] = 0.0


class _User(msgspec.Struct, forbid_unknown_fields=True):
    subscribed: bool | None = None
    blocks: bool | None = None
    system_fails: bool | None = None
    wrote: bool = False
    consents: dict[str, int] = {}


class _Template(msgspec.Struct, forbid_unknown_fields=True):
    id: str
    title: str = "模板"
    content: str = ""


class _Quota(msgspec.Struct, forbid_unknown_fields=True):
    daily: Annotated[int, msgspec.Meta(ge=0)]
    per_minute: Annotated[int, msgspec.Meta(ge=0)] | None = None


class Controls:
    """What a platform is set by."""

    def __init__(self, world: World, faults: Faults, calls: Mapping[str, int]) -> None:
        """``calls`` tells how often each endpoint was called."""
        self._world = world
        self._faults = faults
        self._calls = calls
        self._handles: Handles = {
            "ledger": ("GET", self._show_ledger),
            "summary": ("GET", self._show_summary),
            "faults": ("POST", self._set_faults),
            "users/": ("POST", self._set_user),
            "templates": ("POST", self._add_template),
            "quotas": ("POST", self._set_quotas),
            "tokens/kill": ("POST", self._kill_tokens),
            **PersonalControls(world).handles,
        }

    def answer(self, asked: Asked) -> bytes:
        """Return the response to a request for a path below ``PREFIX``."""
        try:
            found, status = self._handle_of(asked)(asked), 200
        except Wrong as wrong:
            found, status = {"error": str(wrong)}, wrong.status
        return response(msgspec.json.encode(found), status, "application/json")

    def _handle_of(self, asked: Asked) -> Handle:
        name, _, rest = asked.path.removeprefix(PREFIX).partition("/")
        found = self._handles.get(f"{name}/" if rest else name)
        if rest and found is None:
            found = self._handles.get(f"{name}/{rest}")
        if found is None:
            raise Wrong(f"no such path; there are: {', '.join(self._handles)}", 404)
        method, handle = found
        if asked.method != method:
            raise Wrong(f"{asked.method} is not allowed; {method} is", 405)
        return handle

    def _show_ledger(self, asked: Asked) -> Any:
        """Tell what users received: of ``?openid=``, or of all."""
        wanted = asked.query.get("openid")
        return {
            "received": [
                one.shown()
                for account in self._world.accounts()
                for one in account.ledger.received
                if wanted in (None, one.open_id)
            ]
        }

    def _show_summary(self, _asked: Asked) -> Any:
        """Tell how much there is of everything: of a million messages as soon as of one."""
        accounts = {
            account.app_id: {
                **msgspec.structs.asdict(account.ledger.summary()),
                "tokens_made": account.tokens.made,
            }
            for account in self._world.accounts()
        }
        return {"accounts": accounts, "calls": self._calls}

    def _set_faults(self, asked: Asked) -> Any:
        """Set the rates, ``{"busy": 0.1, "latency": 0.05}``; what is not named is none."""
        body = asked.body
        latency = read(body, _Latency).latency
        given = read(body, dict[str, Any])
        given.pop("latency", None)
        unknown = sorted({*given} - {*ApiFault})
        if unknown:
            raise Wrong(f"no such fault: {', '.join(unknown)}; there are: {', '.join(ApiFault)}")
        rates = read(msgspec.json.encode(given), dict[ApiFault, Share])
        self._faults.latency, self._faults.rates = latency, rates
        return {}

    def _set_user(self, asked: Asked) -> Any:
        """Change a user: subscribed, blocks, system_fails, wrote, consents by template."""
        given = read(asked.body, _User)
        for account in self._world.accounts():
            _change(
                _user(account, asked.path.removeprefix(f"{PREFIX}users/")),
                given,
                self._world.clock(),
            )
        return {}

    def _add_template(self, asked: Asked) -> Any:
        """Make a template with an id of one's own: id, title, content."""
        given = read(asked.body, _Template)
        for account in self._world.accounts():
            account.templates[given.id] = Template(given.id, given.title, given.content)
        return {}

    def _set_quotas(self, asked: Asked) -> Any:
        """Set how often endpoints may be called, ``{"/cgi-bin/…": {"daily": 1000000}}``.

        For the account of ``?appid=``, or for all.
        """
        given = read(asked.body, dict[str, _Quota])
        wanted = asked.query.get("appid")
        for account in self._world.accounts():
            if wanted in (None, account.app_id):
                for path, quota in given.items():
                    account.quotas.limits[path] = Quota(quota.daily, quota.per_minute)
        return {}

    def _kill_tokens(self, _asked: Asked) -> Any:
        """End all tokens at once."""
        for account in self._world.accounts():
            account.tokens.kill()
        return {}


def _user(account: Account, open_id: str) -> User:
    user = account.user(open_id)
    if user is None:
        raise Wrong("no open id: it begins with o and has 21 to 32 characters")
    return user


def _change(user: User, given: _User, now: float) -> None:
    for name in ("subscribed", "blocks", "system_fails"):
        if (value := getattr(given, name)) is not None:
            setattr(user, name, value)
    if given.wrote:
        user.wrote_at, user.answers_left = now, CUSTOM_MESSAGES
    user.consents.update(given.consents)
