"""The platform's API over HTTP, and beside it what a test or a person sets it by."""

import asyncio
import re
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from secrets import token_hex
from typing import Any, Final

import msgspec

from gateway.simulator.api import authorisation
from gateway.simulator.api.authorisation import PAGES
from gateway.simulator.api.controls import PREFIX, Controls
from gateway.simulator.api.faults import ERRCODES, ApiFault, Faults
from gateway.simulator.api.managing import MANAGING
from gateway.simulator.api.sending import SENDING, Answer, Failed
from gateway.simulator.api.sns import PHONES, SNS
from gateway.simulator.api.wire import Answered, Asked, Wire, response
from gateway.simulator.api.world import Account, World

_ENDPOINTS: Final = {**SENDING, **MANAGING, **PHONES}

_BESIDE: Final = (PREFIX, PAGES)
"""What is no part of the API: neither faults nor delays meet it."""

_SAID: Final = {
    -1: "system error",
    40001: "invalid credential, access_token is invalid or not latest",
    41001: "access_token missing",
    42001: "access_token expired",
    45009: "reach max api daily quota limit",
    45011: "api minute-quota reach limit  mustslower  retry next minute",
}
"""WeChat's own words (vectors/api.json)."""

_ENCODE: Final = msgspec.json.Encoder().encode
_DECODE: Final = msgspec.json.Decoder().decode

_ESCAPED: Final = re.compile(rb"(?<!\\)(?:\\\\)*\\u(?!00[0-7])")
"""A character that JSON need not write as an escape, written as one."""


class ApiServer:
    """Serves a world."""

    def __init__(self, world: World, faults: Faults) -> None:
        self._world = world
        self._faults = faults
        self.calls: dict[str, int] = {}
        """How often each endpoint was called."""
        self._controls = Controls(world, faults, self.calls)
        self._without_token: Mapping[str, Callable[[Asked], Answer]] = {
            "/cgi-bin/token": self._token,
            "/cgi-bin/stable_token": self._stable_token,
            "/cgi-bin/clear_quota/v2": self._clear_quota,
            **dict.fromkeys(SNS, self._sign_in),
        }
        """The endpoints that take no token of an account."""

    @asynccontextmanager
    async def serving(self, host: str, port: int) -> AsyncIterator[int]:
        """Serve for the block's time, at a free port where it is 0; give the port."""
        wires = set[Wire]()

        def connect() -> Wire:
            wire = Wire(self.answer, self._delay, wires.discard)
            wires.add(wire)
            return wire

        server = await asyncio.get_running_loop().create_server(connect, host, port, backlog=1024)
        try:
            yield server.sockets[0].getsockname()[1]
        finally:
            server.close()
            for wire in list(wires):
                wire.close()
            # What was closed tells of it in the next turn.
            await asyncio.sleep(0)

    def _delay(self, asked: Asked) -> float:
        return 0.0 if asked.path.startswith(_BESIDE) else self._faults.latency

    def answer(self, asked: Asked) -> Answered:
        """Do what a request asks for, unless a fault comes in between."""
        path = asked.path
        if path.startswith(_BESIDE):
            return Answered(self._beside(asked))
        self.calls[path] = self.calls.get(path, 0) + 1
        fault = self._faults.draw()
        if fault is None:
            return Answered(response(_ENCODE(self._judged(asked))))
        return self._failing(fault, asked)

    def _beside(self, asked: Asked) -> bytes:
        if asked.path.startswith(PREFIX):
            return self._controls.answer(asked)
        self.calls[asked.path] = self.calls.get(asked.path, 0) + 1
        return authorisation.answer(self._world, asked)

    def _failing(self, fault: ApiFault, asked: Asked) -> Answered:
        if (code := ERRCODES.get(fault)) is not None:
            return Answered(response(_ENCODE(_error(code))))
        if fault is ApiFault.STATUS:
            return Answered(response(b"<html>502 Bad Gateway</html>", 502, "text/html"))
        body = b"" if fault is ApiFault.RESET_BEFORE else _ENCODE(self._judged(asked))
        if fault is ApiFault.HALF:
            return Answered(response(body)[: -(len(body) // 2)], ends=True)
        return Answered(b"")

    def _judged(self, asked: Asked) -> Answer:
        try:
            return self._answer(asked)
        except Failed as failed:
            return _error(failed.code, failed.said)

    def _answer(self, asked: Asked) -> Answer:
        if (without := self._without_token.get(asked.path)) is not None:
            return without(asked)
        account, code = self._world.account_of(asked.query.get("access_token", ""))
        if account is None:
            return _error(code)
        if code := account.quotas.take(asked.path):
            return _error(code)
        if asked.path == "/cgi-bin/media/upload":
            return _keep_media(self._world, account, asked)
        endpoint = _ENDPOINTS.get(asked.path)
        if endpoint is None:
            return _error(40066, "invalid url")
        is_get = asked.method == "GET"
        return endpoint(self._world, account, dict(asked.query) if is_get else _object(asked.body))

    def _sign_in(self, asked: Asked) -> Answer:
        return SNS[asked.path](self._world, asked.query)

    def _clear_quota(self, asked: Asked) -> Answer:
        body = _object(asked.body)
        self._account(body.get("appid"), body.get("appsecret")).quotas.clear()
        return {"errcode": 0, "errmsg": "ok"}

    def _token(self, asked: Asked) -> Answer:
        query = asked.query
        if query.get("grant_type") != "client_credential":
            return _error(40002, "invalid grant_type")
        account = self._account(query.get("appid"), query.get("secret"))
        if code := account.quotas.take("/cgi-bin/token"):
            return _error(code)
        value, seconds = account.tokens.plain()
        return {"access_token": value, "expires_in": seconds}

    def _stable_token(self, asked: Asked) -> Answer:
        body = _object(asked.body)
        if body.get("grant_type") != "client_credential":
            return _error(40002, "invalid grant_type")
        account = self._account(body.get("appid"), body.get("secret"))
        if code := account.quotas.take("/cgi-bin/stable_token"):
            return _error(code)
        given = account.tokens.stable(force=bool(body.get("force_refresh")))
        if isinstance(given, int):
            return _error(given)
        return {"access_token": given[0], "expires_in": given[1]}

    def _account(self, app_id: object, secret: object) -> Account:
        account = self._world.account(str(app_id))
        if account is None:
            raise Failed(40013, "invalid appid")
        if secret != account.secret:
            raise Failed(40125, "invalid appsecret")
        return account


def _object(raw: bytes) -> dict[str, Any]:
    if b"\\u" in raw and _ESCAPED.search(raw):
        # Older endpoints refuse or show such escapes (PROTOCOL 7): so does this one, so that a
        # client that sends them is found out.
        raise Failed(40033, "invalid charset. please check your request, if include \\uxxxx")
    try:
        body = _DECODE(raw)
    except (ValueError, RecursionError):
        raise Failed(47001, "data format error") from None
    if not isinstance(body, dict):
        raise Failed(47001, "data format error")
    return body


def _error(code: int, said: str = "") -> Answer:
    rid = f"{token_hex(4)}-{token_hex(4)}-{token_hex(4)}"
    return {"errcode": code, "errmsg": f"{said or _SAID.get(code, 'error')} rid: {rid}"}


def _keep_media(world: World, account: Account, asked: Asked) -> Answer:
    kind = asked.query.get("type", "")
    if kind not in ("image", "voice", "video", "thumb"):
        raise Failed(40004, "invalid media type")
    head, found, rest = asked.body.partition(b"\r\n\r\n")
    if not found or b'name="media"' not in head:
        raise Failed(41005, "media data missing")
    boundary = head.split(b"\r\n", 1)[0]
    content = rest.split(b"\r\n" + boundary, 1)[0]
    media_id = f"SIMULATED_{world.next_id()}"
    account.media[media_id] = (kind, content)
    name = "thumb_media_id" if kind == "thumb" else "media_id"
    return {"type": kind, name: media_id, "created_at": int(world.clock())}
