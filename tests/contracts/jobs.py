"""What the suites of the queue of jobs and of their records share."""

import time
from itertools import count
from typing import Final

from gateway.outbound.jobs import (
    Ask,
    Attempt,
    Channel,
    Held,
    Job,
    Receipt,
    Settled,
    State,
    job_id,
)
from gateway.outbound.ports import JobQueue

LONG: Final = 60.0
BODY: Final = '{"touser":"o1","data":{"thing1":{"value":"巧克力\\u0000"}}}'.encode()
FIRST: Final = Ask("main", Channel.TEMPLATE, 100, 0)
ALL: Final = FIRST._replace(retries=100)
_numbers = count(1)


def job(**given: object) -> Job:
    """Return a job that may be sent now."""
    number = next(_numbers)
    made = Job(
        id=job_id(time.time() + number, number.to_bytes(10)),
        account="main",
        channel=Channel.TEMPLATE,
        open_id="oUser",
        template="order-shipped",
        template_id="T1",
        path="/cgi-bin/message/template/send",
        body=BODY,
        created_at=time.time(),
    )
    return made._replace(**given)  # type: ignore[arg-type]  # its own fields


def settled(held: Held, state: State, **given: object) -> Settled:
    """Return what became of a job after one more attempt."""
    attempts = (*held.attempts, Attempt(1_790_000_000.5, 0.25, state, "busy: -1 later"))
    one = Settled(held.id, state, time.time(), "busy: -1", held.tries + 1, None, attempts)
    return one._replace(**given)  # type: ignore[arg-type]  # its own fields


def receipt(message_id: str, **given: object) -> Receipt:
    """Return a receipt that a message was delivered."""
    one = Receipt(
        "main", Channel.TEMPLATE, "oUser", message_id, "", State.DELIVERED, "", time.time()
    )
    return one._replace(**given)  # type: ignore[arg-type]  # its own fields


async def claim(queue: JobQueue, worker: str, *asks: Ask, limit: int = 100) -> list[Held]:
    """Claim as a worker that lives."""
    await queue.beat(worker, LONG)
    return await queue.claim(worker, asks or (FIRST,), limit)
