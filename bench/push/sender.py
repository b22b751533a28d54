"""`python -m bench.push.sender CLIENT`: a client in a process of its own, told by lines of JSON.

It reads an order, sends the warm-up, says ``ready``, waits for a line, sends all messages, says
how many failed and in which way, and waits for the end of its input.
"""

import asyncio
import sys
import warnings
from collections import Counter
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor

import msgspec
import uvloop

from bench.push.clients import ASYNC, THREADS, Send
from bench.push.order import Order
from gateway.app import settle_memory


def main(arguments: list[str]) -> int:
    """Be the client of this name."""
    (name,) = arguments
    order = msgspec.json.decode(sys.stdin.readline(), type=Order)
    if name in THREADS:
        errors = _by_threads(THREADS[name](order), order)
    else:
        errors = uvloop.run(_by_tasks(name, order))
    _say(msgspec.json.encode(errors).decode())
    sys.stdin.read()
    return 0


def _warm_up(order: Order) -> Iterable[int]:
    return range(order.count, order.count + order.warm_up)


async def _by_tasks(name: str, order: Order) -> Counter[str]:
    async with ASYNC[name](order) as send:
        await _send(send, _warm_up(order), order.in_flight)
        _wait_for_word()
        return await _send(send, range(order.count), order.in_flight)


async def _send(send: Send, numbers: Iterable[int], in_flight: int) -> Counter[str]:
    errors: Counter[str] = Counter()
    left = iter(numbers)

    async def lane() -> None:
        for number in left:
            try:
                await send(number)
            except Exception as error:
                errors[type(error).__name__] += 1

    await asyncio.gather(*(lane() for _ in range(in_flight)))
    return errors


def _by_threads(send: Callable[[int], None], order: Order) -> Counter[str]:
    # wechatpy warns, at each message, of a name of its own.
    warnings.simplefilter("ignore", DeprecationWarning)
    errors: Counter[str] = Counter()

    def one(number: int) -> None:
        try:
            send(number)
        except Exception as error:
            errors[type(error).__name__] += 1

    with ThreadPoolExecutor(order.in_flight) as pool:
        list(pool.map(one, _warm_up(order)))
        errors.clear()
        _wait_for_word()
        list(pool.map(one, range(order.count)))
    return errors


def _wait_for_word() -> None:
    # For all clients alike: a collection goes through whatever is in flight.
    settle_memory()
    _say("ready")
    sys.stdin.readline()


def _say(line: str) -> None:
    print(line, flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
