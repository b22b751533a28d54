"""The steps whose instructions are counted.

The whole pure path, its halves, a callback that is counted, a store, a router, a session that is
verified.

Random bytes, keys and times are the same in every process, so that what is counted is, too.
"""

from array import array
from collections.abc import Callable, Coroutine, Iterator
from typing import Any, Final, NamedTuple

from bench.gates.verifying import verifying
from bench.micro.samples import BODY, ECHO, QUERY, RANDOM, TEXT_MESSAGE
from bench.micro.sides import WHOLE_PATH, Side
from bench.micro.whole import whole_path
from gateway import Bot, Text
from gateway.adapters.memory import MemoryStore
from gateway.inbound.claims import Claim, Finish
from gateway.inbound.router import Router
from gateway.protocol.callback import receive, respond
from gateway.protocol.replies import TextReply
from gateway.telemetry.instruments import CALLBACKS
from tests.support import NOW, Kernels, make_account

ROUTES: Final = 100
"""Exact routes of the router; the last of them is asked for."""


class Step(NamedTuple):
    """One step: what it is, whose code does it, and a call of it."""

    row: str
    side: Side
    call: Callable[[], object]


def steps(kernels: Kernels) -> Iterator[Step]:
    """Return the steps over these kernels; with the compiled ones those too that use none."""
    side = Side(kernels.name)
    account = make_account(kernels, timestamp_window=600)
    received = receive(account, QUERY, BODY, NOW)
    padded = kernels.pad(TEXT_MESSAGE)
    yield Step(WHOLE_PATH, side, whole_path(kernels))
    yield Step("receive", side, lambda: receive(account, QUERY, BODY, NOW))
    yield Step("respond", side, lambda: respond(account, received, TextReply(ECHO), NOW, RANDOM))
    # Too short to be timed.
    yield Step("pad", side, lambda: kernels.pad(TEXT_MESSAGE))
    yield Step("unpad", side, lambda: kernels.unpad(padded))
    yield Step("count a callback", side, _count(kernels))
    if side is Side.COMPILED:
        yield Step("claim and finish, memory", Side.SHARED, _claim_and_finish())
        yield Step(f"find one of {ROUTES} routes", Side.SHARED, _find())
        yield Step("verify a session", Side.SHARED, _verify())


def _count(kernels: Kernels) -> Callable[[], object]:
    bounds = array("d", CALLBACKS.bounds)
    tally = kernels.Tally(
        array("d", bytes(8 * (len(bounds) + 3))), bounds, lambda _kind: 0, lambda _outcome: 1
    )
    return lambda: tally.count(Text, "reply", 0.0011)


def _claim_and_finish() -> Callable[[], object]:
    store = MemoryStore(keep=60.0, clock=lambda: float(NOW))
    numbers = iter(range(1 << 40))

    def step() -> None:
        key = b"%016d" % next(numbers)
        _run(store.commit([Claim(key, b"owner")]))
        _run(store.commit([Finish(key, b"owner", b"success")]))

    return step


def _find() -> Callable[[], object]:
    async def handler() -> None:
        """Take the message."""

    bot = Bot()
    for number in range(ROUTES):
        bot.on(Text, content=f"number {number}")(handler)
    router, message = Router(bot), Text(content=f"number {ROUTES - 1}")
    return lambda: router.find(message)


def _verify() -> Callable[[], object]:
    call = verifying()
    return lambda: _run(call())


def _run(coroutine: Coroutine[Any, Any, object]) -> None:
    """Run what never waits, without the loop that would only be counted with it."""
    try:
        coroutine.send(None)
    except StopIteration:
        return
    raise AssertionError("what never waits has waited")
