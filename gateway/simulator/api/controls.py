"""What a test or a person sets the platform by, below /simulator.

Whatever is set is set for all accounts. A body that is not understood changes nothing, and is
answered 400 with what is wrong.
"""

from collections.abc import Awaitable, Callable, Mapping
from functools import wraps
from typing import Annotated, Any, TypeVar

import msgspec
from aiohttp import web

from gateway.simulator.api.faults import ApiFault, Faults
from gateway.simulator.api.world import Account, Template, User, World

Handle = Callable[[web.Request], Awaitable[Any]]
_T = TypeVar("_T")

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


class _Wrong(Exception):
    """A request that is not understood; its argument says why."""


class Controls:
    """What a platform is set by."""

    def __init__(self, world: World, faults: Faults, calls: Mapping[str, int]) -> None:
        """``calls`` tells how often each endpoint was called."""
        self._world = world
        self._faults = faults
        self._calls = calls

    def routes(self) -> list[web.RouteDef]:
        """Return the routes."""
        return [
            web.get("/simulator/ledger", _answered(self._show_ledger)),
            web.get("/simulator/summary", _answered(self._show_summary)),
            web.post("/simulator/faults", _answered(self._set_faults)),
            web.post("/simulator/users/{open_id}", _answered(self._set_user)),
            web.post("/simulator/templates", _answered(self._add_template)),
            web.post("/simulator/tokens/kill", _answered(self._kill_tokens)),
        ]

    async def _show_ledger(self, request: web.Request) -> Any:
        """Tell what users received: of ``?openid=``, or of all."""
        wanted = request.query.get("openid")
        return {
            "received": [
                one._asdict()
                for account in self._world.accounts()
                for one in account.ledger.received
                if wanted in (None, one.open_id)
            ]
        }

    async def _show_summary(self, _request: web.Request) -> Any:
        """Tell how much there is of everything."""
        accounts = {
            account.app_id: {
                "received": len(account.ledger.received),
                "tokens_made": account.tokens.made,
            }
            for account in self._world.accounts()
        }
        return {"accounts": accounts, "calls": self._calls}

    async def _set_faults(self, request: web.Request) -> Any:
        """Set the rates, ``{"busy": 0.1, "latency": 0.05}``; what is not named is none."""
        body = await request.read()
        latency = _read(body, _Latency).latency
        given = _read(body, dict[str, Any])
        given.pop("latency", None)
        unknown = sorted({*given} - {*ApiFault})
        if unknown:
            raise _Wrong(f"no such fault: {', '.join(unknown)}; there are: {', '.join(ApiFault)}")
        rates = _read(msgspec.json.encode(given), dict[ApiFault, Share])
        self._faults.latency, self._faults.rates = latency, rates
        return {}

    async def _set_user(self, request: web.Request) -> Any:
        """Change a user: subscribed, blocks, system_fails, wrote, consents by template."""
        given = _read(await request.read(), _User)
        for account in self._world.accounts():
            _change(_user(account, request.match_info["open_id"]), given, self._world.clock())
        return {}

    async def _add_template(self, request: web.Request) -> Any:
        """Make a template with an id of one's own: id, title, content."""
        given = _read(await request.read(), _Template)
        for account in self._world.accounts():
            account.templates[given.id] = Template(given.id, given.title, given.content)
        return {}

    async def _kill_tokens(self, _request: web.Request) -> Any:
        """End all tokens at once."""
        for account in self._world.accounts():
            account.tokens.kill()
        return {}


def _answered(handle: Handle) -> Callable[[web.Request], Awaitable[web.Response]]:
    @wraps(handle)
    async def answered(request: web.Request) -> web.Response:
        try:
            found, status = await handle(request), 200
        except _Wrong as wrong:
            found, status = {"error": str(wrong)}, 400
        body = msgspec.json.encode(found)
        return web.Response(body=body, status=status, content_type="application/json")

    return answered


def _read(body: bytes, kind: type[_T]) -> _T:
    try:
        return msgspec.json.decode(body, type=kind)
    except msgspec.DecodeError as wrong:
        raise _Wrong(str(wrong)) from None


def _user(account: Account, open_id: str) -> User:
    user = account.user(open_id)
    if user is None:
        raise _Wrong("no open id: it begins with o and has 21 to 32 characters")
    return user


def _change(user: User, given: _User, now: float) -> None:
    for name in ("subscribed", "blocks", "system_fails"):
        if (value := getattr(given, name)) is not None:
            setattr(user, name, value)
    if given.wrote:
        user.wrote_at, user.answers_left = now, CUSTOM_MESSAGES
    user.consents.update(given.consents)
