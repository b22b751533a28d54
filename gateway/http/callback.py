"""The callback endpoint: a request's parts in, an answer out; no framework in its way.

WeChat tells apart three kinds of answer (PROTOCOL 3): a 200 with a reply, ``success`` or the echo;
a refusal, here one and the same for every reason; and a failure, after which it tries again.
"""

import os
import time
from abc import abstractmethod
from collections.abc import Callable, Mapping
from functools import partial
from hashlib import blake2b
from typing import Final, NamedTuple

from msgspec import Struct

from gateway.errors import Reason, Refused, StoreDown, place_of
from gateway.http.patience import Patience, TooSlow
from gateway.http.refusals import Refusals
from gateway.inbound.deliveries import Deliveries, Delivery
from gateway.inbound.ingest import HandlerFailed
from gateway.kernels import Tally
from gateway.protocol.account import Account
from gateway.protocol.callback import SUCCESS, Received, echo, receive, respond
from gateway.protocol.dedupe import dedupe_key
from gateway.protocol.query import Query, parse_query, required
from gateway.protocol.replies import Reply
from gateway.telemetry.logs import get_logger
from gateway.telemetry.masking import open_id_hash
from gateway.telemetry.message_trace import MessageTrace
from gateway.telemetry.metrics import Metrics
from gateway.telemetry.spans import Attributes
from gateway.telemetry.tap import TAP, Happening
from gateway.telemetry.tracing import Tracing, caller_of

_log = get_logger("gateway.callback")


Headers = list[tuple[str, str]]


class Answer(Struct, frozen=True, gc=False):
    """What goes back: a status, the headers but the length, the body."""

    status: int
    headers: Headers
    """One list for all answers of a kind: not to be changed."""
    body: bytes


BODY_SECONDS: Final = 5.0
"""How long a body may take to arrive: after 5 seconds WeChat cuts the connection (PROTOCOL 3)."""

MAX_AGE: Final = 60
"""Seconds between a message and its last delivery that can be believed; there are about 10."""

REFUSED: Final = Answer(403, [], b"")
TOO_LARGE: Final = Answer(413, [], b"")
NOT_FOUND: Final = Answer(404, [], b"")
NOT_ALLOWED: Final = Answer(405, [("allow", "GET, POST")], b"")
BROKEN: Final = Answer(500, [], b"")

FAILED: Final = "failed"
LEFT: Final = "left"
"""Outcomes of callbacks that got a 500; the others are named where they are counted."""

_ROUTE: Final = "/wechat/{account}"
_SPAN: Final = f"POST {_ROUTE}"

_REFUSALS: Final = {Reason.ACCOUNT: NOT_FOUND, Reason.SIZE: TOO_LARGE}
"""The refusals that are not REFUSED: they tell nothing that a sender could not find out anyway."""

# Text, so that markup in an echostr stays inert (PROTOCOL 1.1).
_TEXT: Final[Headers] = [("content-type", "text/plain; charset=utf-8")]
_XML: Final[Headers] = [("content-type", "text/xml; charset=utf-8")]
_JSON: Final[Headers] = [("content-type", "application/json")]


class RandomBlocks:
    """Blocks of 16 random bytes, fetched from the system many at a time."""

    _BLOCKS: Final = 256

    def __init__(self, urandom: Callable[[int], bytes] = os.urandom) -> None:
        self._urandom = urandom
        self._blocks: list[bytes] = []

    def __call__(self) -> bytes:
        """Return 16 bytes that were never returned before."""
        if not self._blocks:
            pool = self._urandom(16 * self._BLOCKS)
            self._blocks = [pool[at : at + 16] for at in range(0, len(pool), 16)]
        return self._blocks.pop()


class Request:
    """A request as its server has it; answered once, by whoever is first."""

    __slots__ = ("answered", "arrived", "method", "name", "raw_query")

    def __init__(self, method: str, name: str, raw_query: bytes) -> None:
        """``name`` is the account's in the path, ``""`` where there is none."""
        self.method = method
        self.name = name
        self.raw_query = raw_query
        self.answered = False
        self.arrived = time.monotonic()

    def answer(self, answer: Answer) -> None:
        """Send the answer, unless one was sent."""
        if not self.answered:
            self.answered = True
            self.send(answer)

    @abstractmethod
    async def read(self, limit: int) -> bytes | None:
        """Return the whole body; None where it is longer than ``limit`` bytes."""

    @abstractmethod
    def header(self, name: str) -> str | None:
        """Return a header by its name in lower case."""

    @abstractmethod
    def send(self, answer: Answer) -> None:
        """Send the answer; it must not wait."""


class Seen(NamedTuple):
    """What is seen of callbacks from outside."""

    metrics: Metrics | None = None
    """None: nothing is counted."""
    tracing: Tracing | None = None
    """None: nothing is traced."""


class CallbackEndpoint:
    """Answers the callbacks of all accounts."""

    def __init__(
        self,
        accounts: Mapping[str, Account],
        deliveries: Deliveries,
        refusals: Refusals,
        *,
        max_body: int,
        clock: Callable[[], float] = time.time,
        random: Callable[[], bytes] | None = None,
        seen: Seen = Seen(),  # noqa: B008  # immutable
    ) -> None:
        self.max_body = max_body
        """Bytes of a body at most."""
        self._accounts = dict(accounts)
        if len(accounts) == 1:
            # The only account answers without its name too: /wechat is /wechat/NAME.
            self._accounts[""] = next(iter(accounts.values()))
        self._deliveries = deliveries
        self._refusals = refusals
        self._patience = Patience(BODY_SECONDS)
        self.clock = clock
        self.random = random or RandomBlocks()
        self._metrics, self._tracing = seen
        self._traced_below = b"" if self._tracing is None else self._tracing.sampling.limit
        self.counts: Mapping[str, Tally] | None = None
        """By an account's name; None: nothing is counted."""
        if self._metrics is not None:
            self.counts = {name: self._metrics.tally_of(name) for name in accounts}

    async def answer(self, request: Request) -> None:
        """Answer a request; return when nothing is left to be done for it.

        That may be long after it was answered: a handler goes on where its reply came too late.
        """
        account = self._accounts.get(request.name)
        if request.method == "POST" and account is not None:
            try:
                body = await self._patience.wait(request.read(self.max_body))
            except TooSlow:
                self.refuse(request, Reason.SLOW)
                return
            if body is None:
                self.refuse(request, Reason.SIZE)
            else:
                await self.handle(request, body)
        elif account is None:
            self.refuse(request, Reason.ACCOUNT)
        elif request.method == "GET":
            self._verify_url(account, request)
        else:
            request.answer(NOT_ALLOWED)

    async def handle(self, request: Request, body: bytes) -> None:
        """Answer a POST whose body was read; return as ``answer`` does."""
        account = self._accounts.get(request.name)
        if account is None:
            self.refuse(request, Reason.ACCOUNT)
            return
        outcome, delivery = FAILED, None
        try:
            now = self.clock()
            received = receive(account, request.raw_query, body, now)
            if account.is_plain and account.refuse_replays:
                await self._refuse_replay(account, parse_query(request.raw_query), body)
            delivery = self._delivery(account, request, received, now)
            await self._deliveries.answer(delivery)
            outcome = LEFT
        except Refused as refused:
            self.refuse(request, refused.reason)
        except HandlerFailed:
            pass
        except StoreDown as down:
            _log.error("callback not taken", account=request.name, error=str(down))
        except Exception as error:
            _log.error(
                "callback failed",
                error=type(error).__name__,
                at=place_of(error),
                account=request.name,
                trace_id=_callers_trace(request),
                hint="WeChat will try again",
            )
        if not request.answered:
            # WeChat tries again.
            request.answer(BROKEN)
            if delivery is None:
                self._count(account.name, outcome, request)
            else:
                delivery.end(BROKEN.status, outcome)

    def _delivery(
        self, account: Account, request: Request, received: Received, now: float
    ) -> "_Delivery":
        """Return the delivery of a message that was verified, its trace begun."""
        delivery = _Delivery(self, account, request, received, now)
        # Most callbacks are not sampled: nothing is made for them.
        if self._tracing is not None and delivery.key[8:] < self._traced_below:
            delivery.trace = _begin(self._tracing, delivery, request)
        return delivery

    def _verify_url(self, account: Account, request: Request) -> None:
        """Answer the console's URL verification."""
        try:
            echoed = echo(account, parse_query(request.raw_query), self.clock())
        except Refused as refused:
            self.refuse(request, refused.reason)
        else:
            request.answer(Answer(200, _TEXT, echoed))
            self._count(account.name, "echo", request)

    def refuse(self, request: Request, reason: Reason) -> None:
        """Refuse a request, and count why."""
        account = self._accounts.get(request.name)
        # What the sender calls an account that is none is not ours to repeat.
        name = "-" if account is None else account.name
        self._refusals.count(name, reason)
        request.answer(_REFUSALS.get(reason, REFUSED))
        if self._metrics is not None:
            self._metrics.refusals.add((name, reason.value))
        if TAP.is_open:
            TAP.tell(Happening("refused", name, outcome=reason.value))
        self._count(name, "refused", request)

    def _count(self, account: str, outcome: str, request: Request) -> None:
        if self._metrics is not None:
            self._metrics.callbacks.observe((account, outcome), time.monotonic() - request.arrived)

    async def _refuse_replay(self, account: Account, query: Query, body: bytes) -> None:
        """Raise Refused where these timestamp and nonce came before with another body.

        It is not documented whether WeChat's retries repeat them (PROTOCOL 1.3), so the same body
        must never be refused.
        """
        timestamp, nonce = required(query, b"timestamp"), required(query, b"nonce")
        request = _digest(b"%b\0%b\0%b" % (account.name.encode(), timestamp, nonce))
        if await self._deliveries.is_changed(request, _digest(body)):
            raise Refused(Reason.REPLAY)


class _Delivery(Delivery):
    """A received message, on its way to its answer."""

    __slots__ = ("_endpoint", "_received", "_request")

    def __init__(
        self,
        endpoint: CallbackEndpoint,
        account: Account,
        request: Request,
        received: Received,
        now: float,
    ) -> None:
        # As Context's own, for a call less: one is made for each callback.
        self.account = account
        self.raw_query = request.raw_query
        self.attempt = 1
        self.arrived_at = now
        self._trace_id = ""
        self.trace = None
        self._query = None
        self._endpoint = endpoint
        self._request = request
        self._received = received
        self.message = received.message
        self.key = dedupe_key(account.app_id, received.message)

    def find_trace_id(self) -> str:
        """Return the id of the caller's W3C trace, or the message's own, each delivery's the same.

        A dedupe key is as long as a trace id, and as random.
        """
        if self.trace is not None:
            return self.trace.trace_id
        return _callers_trace(self._request) or self.key.hex()

    def age(self) -> float:
        """Return how many seconds after its message this was sent, by WeChat's clock; 0 unknown.

        Each delivery is signed anew, as far as is known; with another clock's CreateTime, or one
        timestamp for all deliveries, nothing can be told.
        """
        timestamp = required(parse_query(self._request.raw_query), b"timestamp")
        age = int(timestamp) - self.message.create_time if timestamp.isdigit() else 0
        return float(age) if 0 < age < MAX_AGE else 0.0

    def seal(self, reply: Reply | None) -> bytes:
        """Return the body that answers with this reply."""
        if reply is None:
            return SUCCESS
        now, random = int(self._endpoint.clock()), self._endpoint.random()
        return respond(self.account, self._received, reply, now, random)

    def answer(self, body: bytes) -> None:
        """Answer, unless it is answered already."""
        request = self._request
        if request.answered:
            return
        outcome, headers = "reply", _XML
        if body == SUCCESS:
            outcome, headers = "success", _TEXT
        elif self._received.as_json:
            headers = _JSON
        request.answered = True
        request.send(Answer(200, headers, body))
        self.end(200, outcome)

    def end(self, status: int, outcome: str) -> None:
        """Let it be seen that it was answered so."""
        message, took = self.message, time.monotonic() - self._request.arrived
        if self.trace is not None:
            self.trace.end(status)
        counts = self._endpoint.counts
        if counts is not None:
            counts[self.account.name].count(message.__class__, outcome, took)
        if TAP.is_open:
            kind, user, id_ = type(message).__name__, message.from_user_name, self.key.hex()
            TAP.tell(Happening("callback", self.account.name, kind, user, id_, outcome, took))


def _callers_trace(request: Request) -> str | None:
    caller = caller_of(request.header("traceparent"))
    return None if caller is None else caller.trace_id


def _begin(tracing: Tracing, delivery: _Delivery, request: Request) -> MessageTrace | None:
    """Return the trace of a delivery that was verified; None where it is not sampled."""
    caller = caller_of(request.header("traceparent")) if tracing.sampling.follows else None
    now = time.time_ns()
    times = (now - int((time.monotonic() - request.arrived) * 1e9), now)
    message = delivery.message
    kind, user = type(message).__name__, message.from_user_name
    about = partial(_described, delivery.account.name, delivery.key, kind, user)
    return tracing.begin(_SPAN, delivery.key, caller, times, about)


def _described(account: str, key: bytes, kind: str, user: str) -> Attributes:
    return {
        "http.request.method": "POST",
        "http.route": _ROUTE,
        "gateway.account": account,
        "gateway.message.id": key.hex(),
        "gateway.message.type": kind,
        "gateway.user": open_id_hash(user),
    }


def _digest(data: bytes) -> bytes:
    return blake2b(data, digest_size=16).digest()
