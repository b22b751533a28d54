"""The platform's API over HTTP, and beside it what a test or a person sets it by."""

import asyncio
import re
from secrets import token_hex
from typing import Any, Final

import msgspec
from aiohttp import web

from gateway.simulator.api.controls import Controls
from gateway.simulator.api.faults import ERRCODES, ApiFault, Faults
from gateway.simulator.api.managing import MANAGING
from gateway.simulator.api.sending import SENDING, Answer, Failed
from gateway.simulator.api.world import Account, World

_ENDPOINTS: Final = {**SENDING, **MANAGING}

_SAID: Final = {
    -1: "system error",
    40001: "invalid credential, access_token is invalid or not latest",
    41001: "access_token missing",
    42001: "access_token expired",
    45009: "reach max api daily quota limit",
    45011: "api minute-quota reach limit  mustslower  retry next minute",
}
"""WeChat's own words (vectors/api.json)."""

MAX_BODY: Final = 12 << 20

_ESCAPED: Final = re.compile(rb"(?<!\\)(?:\\\\)*\\u(?!00[0-7])")
"""A character that JSON need not write as an escape, written as one."""


class ApiServer:
    """Serves a world."""

    def __init__(self, world: World, faults: Faults) -> None:
        self._world = world
        self._faults = faults
        self.calls: dict[str, int] = {}
        """How often each endpoint was called."""

    def app(self) -> web.Application:
        """Return what aiohttp serves."""
        app = web.Application(client_max_size=MAX_BODY)
        app.add_routes(Controls(self._world, self._faults, self.calls).routes())
        app.router.add_route("*", "/{path:.*}", self._call)
        return app

    async def _call(self, request: web.Request) -> web.StreamResponse:
        path = request.path
        self.calls[path] = self.calls.get(path, 0) + 1
        raw = await request.read()
        if self._faults.latency:
            await asyncio.sleep(self._faults.latency)
        fault = self._faults.draw()
        if fault is ApiFault.RESET_BEFORE:
            return _reset(request)
        if fault is ApiFault.STATUS:
            return web.Response(status=502, text="<html>502 Bad Gateway</html>")
        code = None if fault is None else ERRCODES.get(fault)
        answer = self._judged(path, request, raw) if code is None else _error(code)
        if fault is ApiFault.RESET_AFTER:
            return _reset(request)
        if fault is ApiFault.HALF:
            return await _half(request, msgspec.json.encode(answer))
        return _json(answer)

    def _judged(self, path: str, request: web.Request, raw: bytes) -> Answer:
        try:
            return self._answer(path, request, raw)
        except Failed as failed:
            return _error(failed.code, failed.said)

    def _answer(self, path: str, request: web.Request, raw: bytes) -> Answer:
        if path == "/cgi-bin/token":
            return self._token(dict(request.query))
        if path == "/cgi-bin/stable_token":
            return self._stable_token(_object(raw))
        if path == "/cgi-bin/clear_quota/v2":
            return self._clear_quota(_object(raw))
        account, code = self._world.account_of(request.query.get("access_token", ""))
        if account is None:
            return _error(code)
        if code := account.quotas.take(path):
            return _error(code)
        return self._served(path, account, request, raw)

    def _served(self, path: str, account: Account, request: web.Request, raw: bytes) -> Answer:
        if path == "/cgi-bin/media/upload":
            return _keep_media(self._world, account, request, raw)
        endpoint = _ENDPOINTS.get(path)
        if endpoint is None:
            return _error(40066, "invalid url")
        body: dict[str, Any] = dict(request.query) if request.method == "GET" else _object(raw)
        return endpoint(self._world, account, body)

    def _clear_quota(self, body: dict[str, Any]) -> Answer:
        self._account(body.get("appid"), body.get("appsecret")).quotas.clear()
        return {"errcode": 0, "errmsg": "ok"}

    def _token(self, query: dict[str, str]) -> Answer:
        if query.get("grant_type") != "client_credential":
            return _error(40002, "invalid grant_type")
        account = self._account(query.get("appid"), query.get("secret"))
        if code := account.quotas.take("/cgi-bin/token"):
            return _error(code)
        value, seconds = account.tokens.plain()
        return {"access_token": value, "expires_in": seconds}

    def _stable_token(self, body: dict[str, Any]) -> Answer:
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
    if _ESCAPED.search(raw):
        # Older endpoints refuse or show such escapes (PROTOCOL 7): so does this one, so that a
        # client that sends them is found out.
        raise Failed(40033, "invalid charset. please check your request, if include \\uxxxx")
    try:
        body = msgspec.json.decode(raw)
    except (ValueError, RecursionError):
        raise Failed(47001, "data format error") from None
    if not isinstance(body, dict):
        raise Failed(47001, "data format error")
    return body


def _error(code: int, said: str = "") -> Answer:
    rid = f"{token_hex(4)}-{token_hex(4)}-{token_hex(4)}"
    return {"errcode": code, "errmsg": f"{said or _SAID.get(code, 'error')} rid: {rid}"}


def _json(answer: Answer) -> web.Response:
    # As text, as the platform's often is (PROTOCOL 7).
    return web.Response(body=msgspec.json.encode(answer), content_type="text/plain")


def _reset(request: web.Request) -> web.Response:
    if request.transport is not None:
        request.transport.abort()
    return web.Response()


async def _half(request: web.Request, body: bytes) -> web.StreamResponse:
    response = web.StreamResponse(headers={"content-length": str(len(body))})
    await response.prepare(request)
    await response.write(body[: len(body) // 2])
    if request.transport is not None:
        request.transport.abort()
    return response


def _keep_media(world: World, account: Account, request: web.Request, raw: bytes) -> Answer:
    kind = request.query.get("type", "")
    if kind not in ("image", "voice", "video", "thumb"):
        raise Failed(40004, "invalid media type")
    head, found, rest = raw.partition(b"\r\n\r\n")
    if not found or b'name="media"' not in head:
        raise Failed(41005, "media data missing")
    boundary = head.split(b"\r\n", 1)[0]
    content = rest.split(b"\r\n" + boundary, 1)[0]
    media_id = f"SIMULATED_{world.next_id()}"
    account.media[media_id] = (kind, content)
    name = "thumb_media_id" if kind == "thumb" else "media_id"
    return {"type": kind, name: media_id, "created_at": int(world.clock())}
