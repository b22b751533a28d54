"""The callback endpoint: a request's parts in, an answer out; no framework in its way.

WeChat tells apart three kinds of answer (PROTOCOL 3): a 200 with a reply, ``success`` or the echo;
a refusal, here one and the same for every reason; and a failure, after which it tries again.
"""

import logging
import os
import re
import time
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import Final, NamedTuple

from gateway.errors import Reason, Refused, place_of
from gateway.http.patience import Patience, TooSlow
from gateway.http.refusals import Refusals
from gateway.inbound.attempts import Attempts
from gateway.inbound.context import Context
from gateway.inbound.ingest import HandlerFailed, Ingest
from gateway.inbound.replays import Replays
from gateway.protocol.account import Account, Mode
from gateway.protocol.callback import SUCCESS, Received, echo, receive, respond
from gateway.protocol.dedupe import dedupe_key
from gateway.protocol.query import Query, parse_query, required

_log = logging.getLogger("gateway.callback")

# https://www.w3.org/TR/trace-context/#traceparent-header; a trace id of zeros is invalid.
_TRACEPARENT = re.compile(r"[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}(-.*)?")


class Answer(NamedTuple):
    """What goes back: a status, the body's media type (empty where there is no body), the body."""

    status: int
    media_type: str
    body: bytes


BODY_SECONDS: Final = 5.0
"""How long a body may take to arrive: after 5 seconds WeChat cuts the connection (PROTOCOL 3)."""

REFUSED: Final = Answer(403, "", b"")
TOO_LARGE: Final = Answer(413, "", b"")
NOT_FOUND: Final = Answer(404, "", b"")
NOT_ALLOWED: Final = Answer(405, "", b"")
BROKEN: Final = Answer(500, "", b"")

_REFUSALS: Final = {Reason.ACCOUNT: NOT_FOUND, Reason.SIZE: TOO_LARGE}
"""The refusals that are not REFUSED: they tell nothing that a sender could not find out anyway."""

# Text, so that markup in an echostr stays inert (PROTOCOL 1.1).
_TEXT: Final = "text/plain; charset=utf-8"
_XML: Final = "text/xml; charset=utf-8"
_JSON: Final = "application/json"


class RandomBlocks:
    """Blocks of 16 random bytes, fetched from the system many at a time."""

    _BLOCKS: Final = 256

    def __init__(self, urandom: Callable[[int], bytes] = os.urandom) -> None:
        self._urandom = urandom
        self._pool = b""
        self._at = 0

    def __call__(self) -> bytes:
        """Return 16 bytes that were never returned before."""
        if self._at == len(self._pool):
            self._pool, self._at = self._urandom(16 * self._BLOCKS), 0
        self._at += 16
        return self._pool[self._at - 16 : self._at]


class CallbackEndpoint:
    """Answers the callbacks of all accounts."""

    def __init__(
        self,
        accounts: Mapping[str, Account],
        ingest: Ingest,
        refusals: Refusals,
        *,
        max_body: int,
        clock: Callable[[], float] = time.time,
        random: Callable[[], bytes] | None = None,
    ) -> None:
        self._max_body = max_body
        self._accounts = dict(accounts)
        if len(accounts) == 1:
            # The only account answers without its name too: /wechat is /wechat/NAME.
            self._accounts[""] = next(iter(accounts.values()))
        self._ingest = ingest
        self._refusals = refusals
        self._attempts = Attempts()
        self._replays = Replays()
        self._patience = Patience(BODY_SECONDS)
        self._clock = clock
        self._random = random or RandomBlocks()

    async def answer(
        self,
        method: str,
        name: str,
        raw_query: bytes,
        read: Callable[[int], Awaitable[bytes | None]],
        header: Callable[[str], str | None],
    ) -> Answer:
        """Answer a request for the account of this name, ``""`` where the path has none.

        ``read`` takes the most bytes a body may have, and returns the body, or None where it is
        longer; ``header`` looks a request header up.
        """
        account = self._accounts.get(name)
        try:
            return await self._take(account, method, raw_query, read, header)
        except Refused as refused:
            reason = refused.reason
        except TooSlow:
            reason = Reason.SLOW
        # What the sender calls an account that is none is not ours to repeat.
        self._refusals.count("-" if account is None else account.name, reason)
        return _REFUSALS.get(reason, REFUSED)

    async def _take(
        self,
        account: Account | None,
        method: str,
        raw_query: bytes,
        read: Callable[[int], Awaitable[bytes | None]],
        header: Callable[[str], str | None],
    ) -> Answer:
        if account is None:
            raise Refused(Reason.ACCOUNT)
        if method == "POST":
            body = await self._patience.wait(read(self._max_body))
            if body is None:
                raise Refused(Reason.SIZE)
            return await self._handle(account, raw_query, body, header)
        if method == "GET":
            return Answer(200, _TEXT, echo(account, parse_query(raw_query), self._clock()))
        return NOT_ALLOWED

    async def _handle(
        self,
        account: Account,
        raw_query: bytes,
        body: bytes,
        header: Callable[[str], str | None],
    ) -> Answer:
        """Answer a message or event; raise Refused where it is not WeChat's."""
        try:
            query = parse_query(raw_query)
            received = receive(account, query, body, self._clock())
            if account.mode is Mode.PLAIN and account.refuse_replays:
                self._refuse_replay(account, query, body)
            context = partial(self._context, account, raw_query, received, header)
            reply = await self._ingest.answer(received.message, context)
            answer = respond(account, received, reply, int(self._clock()), self._random())
        except Refused:
            raise
        except HandlerFailed:
            return BROKEN
        except Exception as error:
            _log.error(
                "callback failed error=%s at=%s account=%s trace=%s; WeChat will try again",
                type(error).__name__,
                place_of(error),
                account.name,
                self._trace_id(header("traceparent")),
            )
            return BROKEN
        if answer is SUCCESS:
            return Answer(200, _TEXT, answer)
        return Answer(200, _JSON if received.as_json else _XML, answer)

    def _refuse_replay(self, account: Account, query: Query, body: bytes) -> None:
        timestamp, nonce = required(query, b"timestamp"), required(query, b"nonce")
        if self._replays.is_changed(account.name, timestamp, nonce, body):
            raise Refused(Reason.REPLAY)

    def _context(
        self,
        account: Account,
        raw_query: bytes,
        received: Received,
        header: Callable[[str], str | None],
    ) -> Context:
        return Context(
            account,
            raw_query,
            trace_id=lambda: self._trace_id(header("traceparent")),
            # Counted whether or not the Context is asked for it.
            attempt=self._attempts.count(
                dedupe_key(account.app_id, received.message), self._clock()
            ),
        )

    def _trace_id(self, traceparent: str | None) -> str:
        match = _TRACEPARENT.fullmatch(traceparent or "")
        return match[1] if match is not None else self._random().hex()
