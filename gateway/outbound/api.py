"""WeChat's API for one account: one way to call, whatever the endpoint.

A call gets the account's token, and another one where WeChat refuses that, once. What WeChat did
not do is tried again, after random pauses: calls that did not reach it, and those it was too busy
for. What it may have done is tried again only where that does no harm.
"""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final, NamedTuple, Protocol

import msgspec

from gateway.backoff import full_jitter
from gateway.errors import ApiError, Busy, NotSent, Rejected, Throttled, TokenRejected, Unanswered
from gateway.outbound.counted import Calls
from gateway.outbound.failures import rejection
from gateway.outbound.multipart import File, encode
from gateway.outbound.ports import ApiRequest, ApiResponse, StoredToken, Transport
from gateway.protocol.errcodes import ErrorClass, errcode
from gateway.telemetry.tracing import CLIENT, span

Answer = dict[str, Any]

_SERVER_ERRORS: Final = 500


class Retries(NamedTuple):
    """How often a call is tried, and how long it waits in between."""

    tries: int = 3
    base: float = 0.25
    """Seconds; the pause before the n-th retry is random, up to this times 2 to the n-1."""
    cap: float = 4.0

    def pause(self, tried: int, draw: float) -> float:
        """Return the seconds to wait after so many tries; ``draw`` is in [0, 1)."""
        return full_jitter(tried, self.base, self.cap, draw)


class TokenKeeper(Protocol):
    """Where a call gets its token from."""

    async def get(self) -> StoredToken:
        """Return one that holds."""

    async def replace(self, dead: StoredToken) -> StoredToken:
        """Return another one than this, which WeChat refused."""


class Limits(Protocol):
    """What a call waits for: its account's CallLimits."""

    async def wait(self, path: str) -> None:
        """Return when a call may begin; raise Limited where that takes too long."""

    async def learn(self, path: str, error: Throttled) -> None:
        """Let nobody call it before the limit's reset."""


class Call(NamedTuple):
    """A call that may be sent several times, each time with the token of then."""

    method: str
    path: str
    query: Mapping[str, str]
    body: bytes
    content_type: str
    repeatable: bool

    def request(self, token: StoredToken | None) -> ApiRequest:
        """Return what is sent with a token."""
        query = self.query if token is None else {"access_token": token.value, **self.query}
        return ApiRequest(self.method, self.path, query, self.body, self.content_type)


class WeChatApi:
    """The API of one account."""

    def __init__(
        self,
        transport: Transport,
        tokens: TokenKeeper | None,
        retries: Retries = Retries(),  # noqa: B008  # immutable
        *,
        limits: Limits | None = None,
        calls: Calls | None = None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        draw: Callable[[], float] = random.random,
    ) -> None:
        """Without ``tokens`` no call has one; ``draw`` gives numbers in [0, 1)."""
        self._calls = calls
        self._transport = transport
        self._tokens = tokens
        self._retries = retries
        self._limits = limits
        self._sleep = sleep
        self._draw = draw

    async def call(
        self,
        method: str,
        path: str,
        *,
        json: Any = None,
        query: Mapping[str, str] | None = None,
        file: File | None = None,
        repeatable: bool | None = None,
        retries: Retries | None = None,
    ) -> Answer:
        """Call an endpoint, and return the JSON object that it answers with.

        ``repeatable`` says that doing it twice does no harm; for GET that is so unless said
        otherwise. Raises the ApiError that tells what can be done, such as Throttled or
        UserRejected; Unanswered where nobody knows whether it was done.
        """
        call = _make(method, path, json, query, file, repeatable)
        answer: Answer = await self._limited(
            call, retries or self._retries, lambda response: answer_of(path, response)
        )
        return answer

    async def post(
        self,
        path: str,
        body: bytes,
        *,
        repeatable: bool = False,
        retries: Retries | None = None,
    ) -> Answer:
        """Call an endpoint with a body that is JSON already; else as ``call``.

        Whoever sends many keeps their limits: none is waited for here.
        """
        call = Call("POST", path, {}, body, "application/json", repeatable)
        answer: Answer = await self._tried(
            call, retries or self._retries, lambda response: answer_of(path, response)
        )
        return answer

    async def download(
        self, method: str, path: str, *, json: Any = None, query: Mapping[str, str] | None = None
    ) -> ApiResponse:
        """Call an endpoint that answers with a file; an answer in JSON that is an error raises."""
        call = _make(method, path, json, query, None, repeatable=True)
        found: ApiResponse = await self._limited(
            call, self._retries, lambda response: _file_of(path, response)
        )
        return found

    async def _limited(
        self, call: Call, retries: Retries, read: Callable[[ApiResponse], Any]
    ) -> Any:
        """Send a call when its account's limits let it."""
        if self._limits is None:
            return await self._tried(call, retries, read)
        await self._limits.wait(call.path)
        try:
            return await self._tried(call, retries, read)
        except Throttled as error:
            await self._limits.learn(call.path, error)
            raise

    async def _tried(self, call: Call, retries: Retries, read: Callable[[ApiResponse], Any]) -> Any:
        """Send a call until it is answered, as often as it may be; return what ``read`` reads."""
        tokens = self._tokens
        token = None if tokens is None else await tokens.get()
        tried, renewed = 0, False
        while True:
            tried += 1
            try:
                return await self._sent(call, token, read)
            except TokenRejected:
                if tokens is None or token is None or renewed:
                    raise
                # No try of its own: WeChat did nothing.
                renewed, tried = True, tried - 1
                token = await tokens.replace(token)
            except (NotSent, Busy, Unanswered) as failed:
                if tried >= retries.tries or not _may_repeat(call, failed):
                    raise
                await self._sleep(retries.pause(tried, self._draw()))

    async def _sent(
        self, call: Call, token: StoredToken | None, read: Callable[[ApiResponse], Any]
    ) -> Any:
        """Send a call once, and count it."""
        began = time.monotonic()
        failure: ApiError | None = None
        # https://opentelemetry.io/docs/specs/semconv/http/http-spans/; no query: it has the token.
        attributes = {"http.request.method": call.method, "url.path": call.path}
        try:
            with span(f"{call.method} {call.path}", CLIENT, attributes) as made:
                try:
                    return read(await self._transport.send(call.request(token)))
                except Rejected as error:
                    made.set_attribute("wechat.errcode", error.code)
                    raise
        except ApiError as error:
            failure = error
            raise
        finally:
            if self._calls is not None:
                self._calls.ended(call.path, time.monotonic() - began, failure)
            # It holds this frame, which would make a cycle.
            del failure


def answer_of(path: str, response: ApiResponse) -> Answer:
    """Return the JSON object of an answer; raise the ApiError that it is."""
    if response.status >= _SERVER_ERRORS:
        # Something on the way, perhaps behind what did it (PROTOCOL 8).
        raise Unanswered(f"{path}: status {response.status}; WeChat, or a proxy, is in trouble")
    try:
        answer = msgspec.json.decode(response.body)
    except (ValueError, RecursionError):
        answer = None
    if not isinstance(answer, dict):
        raise Unanswered(
            f"{path}: status {response.status} and no JSON object; is the base URL WeChat's?"
        )
    code = answer.get("errcode", 0)
    if not isinstance(code, int):
        raise Unanswered(f"{path}: an errcode that is no number")
    if code != 0 and not _is_success(code):
        raise rejection(path, code, str(answer.get("errmsg", "")))
    return answer


def _file_of(path: str, response: ApiResponse) -> ApiResponse:
    # Errors come as JSON; with which content type, one cannot rely on (PROTOCOL 7).
    if response.status >= 400 or response.body[:1] == b"{":
        answer_of(path, response)
    return response


def _is_success(code: int) -> bool:
    known = errcode(code)
    return known is not None and known.error_class is ErrorClass.SUCCESS


def _may_repeat(call: Call, failed: ApiError) -> bool:
    return call.repeatable or not isinstance(failed, Unanswered)


def _make(
    method: str,
    path: str,
    json: Any,
    query: Mapping[str, str] | None,
    file: File | None,
    repeatable: bool | None,
) -> Call:
    body, content_type = b"", "application/json"
    if file is not None:
        body, content_type = encode(file)
    elif json is not None:
        # Raw UTF-8: older endpoints show \uXXXX as it is (PROTOCOL 7).
        body = msgspec.json.encode(json)
    if repeatable is None:
        repeatable = method == "GET"
    return Call(method, path, query or {}, body, content_type, repeatable)
