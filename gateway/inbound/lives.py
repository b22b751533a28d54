"""One message's life, put together from what the stores hold of it: no collector is needed.

The claim knows when a message came and was answered; the lanes, what of it is still to be done; the
dead letters, what could not be; the archive, who sent it; the jobs, what was pushed for it, each
attempt and the receipt. What was done and left no mark in a store is not known here.
"""

import re
from collections.abc import Iterator
from typing import Final, NamedTuple

from gateway.inbound.claims import Record as Claimed
from gateway.inbound.ports import Archive, Callback, DeadLetter, DeadLetters, Store, Waiting
from gateway.inbound.ports import Wanted as WantedLetters
from gateway.outbound.jobs import HAVE_RECEIPTS, Record, State, Wanted
from gateway.outbound.ports import JobRecords
from gateway.protocol.callback import SUCCESS
from gateway.telemetry.masking import open_id_hash

MAX_LOOKED_AT: Final = 10_000
"""Entries of a lane among which the message's are looked for, the oldest first."""

MAX_FOUND: Final = 100
"""Jobs and dead letters of a message that are shown."""

_TRACE: Final = re.compile(r"[0-9a-f]{32}")


class Kept(NamedTuple):
    """Where a message may have left marks."""

    store: Store
    dead_letters: DeadLetters
    archive: Archive | None
    """None where callbacks are not archived."""
    jobs: JobRecords | None
    """None where nothing can be pushed."""


class Life(NamedTuple):
    """What is known of a message, and of what was pushed for it."""

    trace_id: str
    """Empty for a job that was queued in no trace."""
    claim: Claimed | None = None
    callback: Callback | None = None
    waiting: tuple[Waiting, ...] = ()
    dead_letters: tuple[DeadLetter, ...] = ()
    jobs: tuple[Record, ...] = ()

    @property
    def is_known(self) -> bool:
        """Tell whether anything is known."""
        return any(self[1:])


class Event(NamedTuple):
    """Something that became of a message, with what followed from it."""

    what: str
    at: float | None = None
    """Unix seconds; None where only that it is so is known."""
    detail: str = ""
    then: tuple["Event", ...] = ()


async def look_up(id_: str, kept: Kept) -> Life:
    """Return what is known of an id: a message's or trace's, 32 hex digits, or a job's.

    A job is shown with the message that it was queued for. Raises StoreDown.
    """
    if _TRACE.fullmatch(id_):
        return await _of_trace(id_, kept)
    found = [] if kept.jobs is None else await kept.jobs.find(Wanted(ids=(id_,)), 1)
    if not found or not found[0].trace_id:
        return Life("", jobs=tuple(found))
    life = await _of_trace(found[0].trace_id, kept)
    is_there = any(job.id == id_ for job in life.jobs)
    return life if is_there else life._replace(jobs=(*life.jobs, *found))


async def _of_trace(trace_id: str, kept: Kept) -> Life:
    key = bytes.fromhex(trace_id)
    jobs: list[Record] = []
    if kept.jobs is not None:
        jobs = await kept.jobs.find(Wanted(trace=trace_id), MAX_FOUND)
    return Life(
        trace_id,
        await kept.store.recall(key),
        None if kept.archive is None else await kept.archive.find(trace_id),
        tuple(await _waiting(key, kept.store)),
        tuple(await _dead(key, kept.dead_letters)),
        tuple(sorted(jobs, key=lambda job: job.created_at)),
    )


async def _waiting(key: bytes, store: Store) -> list[Waiting]:
    found: list[Waiting] = []
    for lane in await store.lanes():
        found += await store.mentioning(lane.lane, _forms(key), MAX_LOOKED_AT)
    return sorted(found, key=lambda one: one.stored_at)


async def _dead(key: bytes, letters: DeadLetters) -> list[DeadLetter]:
    found: dict[str, DeadLetter] = {}
    for form in _forms(key):
        for one in await letters.find(WantedLetters(mentions=form), MAX_FOUND):
            found[one.id] = one
    return sorted(found.values(), key=lambda one: one.buried_at)


def _forms(key: bytes) -> tuple[bytes, bytes]:
    """Return how a body may have the key of its message: as it is, or in hex."""
    return key, key.hex().encode()


def events_of(life: Life) -> list[Event]:
    """Return what became of a message, as a tree in the order of time; no text, no open id."""
    pushed = [_pushed(job) for job in life.jobs]
    if life.claim is not None:
        received = life.claim.first
    elif life.callback is not None:
        received = life.callback.received_at
    else:
        return [*_entries(life), *pushed]
    return [Event("received", received, _who(life), (*_claimed(life), *_entries(life), *pushed))]


def _who(life: Life) -> str:
    if life.callback is not None:
        one = life.callback
        return f"{one.account} {one.kind} {open_id_hash(one.open_id)}"
    for entry in (*(one.entry for one in life.waiting), *(one.entry for one in life.dead_letters)):
        return f"{entry.account} {entry.kind}"
    for job in life.jobs:
        return job.account
    return ""


def _claimed(life: Life) -> Iterator[Event]:
    """Yield what the claim says: that it was verified, how often it came, what was answered."""
    claim = life.claim
    if claim is None:
        return
    times = f"{claim.attempts} {'delivery' if claim.attempts == 1 else 'deliveries'}"
    yield Event("verified and claimed", claim.first, times)
    answer = "success" if claim.reply == SUCCESS else f"a reply of {len(claim.reply):,} bytes"
    if not claim.reply:
        yield Event("is being handled" if claim.owner else "was not answered: its handler failed")
    elif claim.given_up:
        yield Event("answered before it was handled", None, answer)
    else:
        yield Event("replied", claim.lease, answer)


def _entries(life: Life) -> Iterator[Event]:
    """Yield what is to be done, and what could not be done."""
    for one in life.waiting:
        tries = f"taken {one.deliveries} times" if one.deliveries else "not taken yet"
        state = (
            "is in hand" if one.is_held else "waits" if one.due is None else "waits for its time"
        )
        yield Event(f"{state} in lane {one.entry.lane}", one.stored_at, tries)
    for letter in life.dead_letters:
        told = f"{letter.id}, taken {letter.deliveries} times: {letter.reason}"
        buried = Event("given up", letter.buried_at, told)
        yield Event(f"stored in lane {letter.entry.lane}", letter.stored_at, "", (buried,))


def _pushed(job: Record) -> Event:
    named = job.template or job.channel
    user = f" to {open_id_hash(job.to)}" if job.to else ""
    detail = f"{job.id} {named}{user}: {job.state}{f' ({job.reason})' if job.reason else ''}"
    return Event("queued", job.created_at, detail, tuple(_sent(job)))


def _sent(job: Record) -> Iterator[Event]:
    for number, one in enumerate(job.attempts, 1):
        reason = f": {one.reason}" if one.reason else ""
        yield Event(
            f"attempt {number}", one.at, f"{one.outcome}{reason}, in {one.seconds * 1000:,.0f} ms"
        )
    if job.receipt_at is not None:
        yield Event("receipt", job.receipt_at, f"{job.state}")
    elif job.state is State.SENT and job.channel in HAVE_RECEIPTS:
        yield Event("no receipt yet")
