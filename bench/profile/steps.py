"""The steps of a callback, each timed by itself in this process, and the whole that they make up.

The whole is CallbackEndpoint.handle, put together as a server has it, over the store in memory; its
parts are the functions that it comes down to. What they leave of it is the way from one to another.
"""

import asyncio
import gc
import time
from collections.abc import Callable, Coroutine, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final, NamedTuple, TypeVar

import uvloop

from bench.load.account import APP_ID, ENCODING_AES_KEY, TOKEN
from bench.load.bots import answer as handler
from bench.load.bots import echo
from bench.load.callbacks import CallbackSet, echo_check
from gateway.adapters.memory import MemoryStore
from gateway.app import create_app
from gateway.app.accounts import make_accounts
from gateway.http.callback import Answer, CallbackEndpoint, RandomBlocks, Request
from gateway.http.eager import Eager
from gateway.inbound.claims import Claim, Finish
from gateway.inbound.router import Router
from gateway.protocol.callback import Received, receive, respond
from gateway.protocol.dedupe import dedupe_key
from gateway.protocol.messages import Text
from gateway.protocol.replies import TextReply
from gateway.settings import Settings

ACCOUNT: Final = "main"
WHOLE: Final = "handle, whole"
REST: Final = "rest of it"
BEGUN: Final = "begun without a task"

_OWNER: Final = b"bench001"
_HEADERS: Final = [("content-type", "text/xml; charset=utf-8")]

_T = TypeVar("_T")


class WrongReply(Exception):
    """The measured path answered what it must not."""


class StepTime(NamedTuple):
    """A step, and what the quickest of its repeats took of each callback."""

    step: str
    us: float


class Call(NamedTuple):
    """A callback as it came."""

    query: bytes
    body: bytes


class SentRequest(Request):
    """A request that keeps its answer."""

    __slots__ = ("sent",)

    def __init__(self, call: Call) -> None:
        super().__init__("POST", ACCOUNT, call.query)
        self.sent: Answer | None = None

    async def read(self, limit: int) -> bytes | None:
        """Nobody asks: handle() is given the body."""
        raise NotImplementedError

    def header(self, name: str) -> str | None:  # noqa: ARG002  # there is none by any name
        """Return no header."""
        return None

    def send(self, answer: Answer) -> None:
        """Keep the answer."""
        self.sent = answer


def measure(messages: int, repeats: int) -> list[StepTime]:
    """Return what each step takes; raise WrongReply where an answer is not the echo.

    Each repeat takes each step on all of the messages, which are distinct ones, one after the
    other: none of them is in the processor's nearest caches when its turn comes, as in life.
    """
    with TemporaryDirectory(prefix="gateway-bench-") as name:
        callbacks = CallbackSet(Path(name) / "callbacks", messages, int(time.time()))
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner, _without_collections():
            return runner.run(_measure(callbacks, repeats))


async def _measure(callbacks: CallbackSet, repeats: int) -> list[StepTime]:
    calls = list(_calls(callbacks))
    settings = _settings()
    best: dict[str, float] = {}
    for _ in range(repeats):
        taken = _parts(calls, settings)
        for begins in (False, True):
            taken[BEGUN if begins else WHOLE] = await _whole(callbacks, calls, settings, begins)
        for step, seconds in taken.items():
            best[step] = min(seconds, best.get(step, seconds))
    return order({step: 1e6 * seconds / len(calls) for step, seconds in best.items()})


def order(us: dict[str, float]) -> list[StepTime]:
    """Return parts, rest, whole and what its start adds, from the microseconds of all but rest."""
    parts = {step: time for step, time in us.items() if step not in {WHOLE, BEGUN}}
    rest = us[WHOLE] - sum(parts.values())
    return [
        *(StepTime(step, time) for step, time in parts.items()),
        StepTime(REST, rest),
        StepTime(WHOLE, us[WHOLE]),
        StepTime(BEGUN, us[BEGUN] - us[WHOLE]),
    ]


def _calls(callbacks: CallbackSet) -> Iterator[Call]:
    requests = callbacks.requests()
    for _ in range(len(callbacks)):
        _, request = next(requests)
        head, _, body = request.partition(b"\r\n\r\n")
        target = head.split(maxsplit=2)[1]
        yield Call(target.partition(b"?")[2], body)


def _settings() -> Settings:
    account = {
        "app_id": APP_ID,
        "token": TOKEN,
        "encoding_aes_key": ENCODING_AES_KEY,
        "mode": "safe",
        "timestamp_window": 600,
    }
    given: dict[str, Any] = {"accounts": {ACCOUNT: account}, "store": {"url": "memory://"}}
    return Settings(**given)


def _parts(calls: Sequence[Call], settings: Settings) -> dict[str, float]:
    """Return the seconds that each part takes for all calls, in the order in which they come."""
    account = make_accounts(settings)[ACCOUNT]
    router, store, random = Router(echo), MemoryStore(60.0), RandomBlocks()
    now = time.time()
    taken: dict[str, float] = {}

    def part(step: str, call: Callable[..., _T], inputs: Sequence[tuple[Any, ...]]) -> list[_T]:
        results, taken[step] = _timed(call, inputs)
        return results

    received: list[Received] = part(
        "receive: verify, open, decode", receive, [(account, *call, now) for call in calls]
    )
    messages = [_text(one) for one in received]
    keys = part("dedupe key", dedupe_key, [(APP_ID, message) for message in messages])
    part("find the route", router.find, [(message,) for message in messages])
    part("claim", lambda key: store.take_step(Claim(key, _OWNER)), [(key,) for key in keys])
    texts = part("handler", _handled, [(message,) for message in messages])
    bodies = part(
        "seal the reply",
        lambda one, text: respond(account, one, TextReply(text), int(now), random()),
        list(zip(received, texts, strict=True)),
    )
    pairs = list(zip(keys, bodies, strict=True))
    requests = [SentRequest(call) for call in calls]
    part(
        "answer",
        lambda request, body: request.answer(Answer(200, _HEADERS, body)),
        list(zip(requests, bodies, strict=True)),
    )
    part("finish", lambda key, body: store.take_step(Finish(key, _OWNER, body)), pairs)
    return taken


async def _whole(
    callbacks: CallbackSet, calls: Sequence[Call], settings: Settings, begins: bool
) -> float:
    """Return the seconds that all calls take, as an app answers that knows none of them."""
    # An app has its endpoint for itself: servers ask the app.
    endpoint: CallbackEndpoint = create_app(settings, echo)._endpoint  # noqa: SLF001
    requests = [SentRequest(call) for call in calls]
    inputs = [(request, call.body) for request, call in zip(requests, calls, strict=True)]
    loop = asyncio.get_running_loop()
    eager = Eager(loop)
    # The first one makes the spare task that the others share.
    loop.call_soon(eager.begin, asyncio.sleep(0))
    await asyncio.sleep(0.01)

    def begun(request: Request, body: bytes) -> None:
        eager.begin(endpoint.handle(request, body))

    def handled(request: Request, body: bytes) -> None:
        _drive(endpoint.handle(request, body))

    _, seconds = await _as_callback(lambda: _timed(begun if begins else handled, inputs))
    eager.close()
    _check(callbacks, requests)
    return seconds


async def _as_callback(call: Callable[[], _T]) -> _T:
    """Call in the loop, in no task, as a server does."""
    loop = asyncio.get_running_loop()
    done: asyncio.Future[_T] = loop.create_future()

    def run() -> None:
        try:
            done.set_result(call())
        except Exception as error:
            done.set_exception(error)

    loop.call_soon(run)
    return await done


def _timed(call: Callable[..., _T], inputs: Sequence[tuple[Any, ...]]) -> tuple[list[_T], float]:
    """Return what calls give, and the seconds they take together."""
    results: list[_T] = [None] * len(inputs)  # type: ignore[list-item]  # each is set below
    began = time.perf_counter()
    for number, given in enumerate(inputs):
        results[number] = call(*given)
    return results, time.perf_counter() - began


def _handled(message: Text) -> str:
    """Return what the bot answers."""
    return _drive(handler(message))


def _drive(coroutine: Coroutine[Any, Any, _T]) -> _T:
    """Run what never waits."""
    try:
        coroutine.send(None)
    except StopIteration as ended:
        result: _T = ended.value
        return result
    raise WrongReply("a step waited for something, though all is in memory")


def _text(received: Received) -> Text:
    message = received.message
    assert isinstance(message, Text)
    return message


def _check(callbacks: CallbackSet, requests: Sequence[SentRequest]) -> None:
    check = echo_check(callbacks)
    for number, request in enumerate(requests):
        if request.sent is None or request.sent.status != 200:
            raise WrongReply(f"callback {number} was answered {request.sent}")
        if fault := check(request.sent.body, number):
            raise WrongReply(f"callback {number}: {fault.why}")


@contextmanager
def _without_collections() -> Iterator[None]:
    """Run the block without garbage collections; there is next to nothing for them in life."""
    collects = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collects:
            gc.enable()
