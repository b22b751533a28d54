"""Jobs as rows of any database: what their columns become, and what is looked for in them."""

from typing import Any, Final

import msgspec

from gateway.outbound.jobs import (
    Attempt,
    Channel,
    Held,
    Lane,
    Priority,
    Record,
    State,
    Wanted,
    first_id_at,
)
from gateway.telemetry.tracing import trace_id_of

PRUNED_AT_ONCE: Final = 1000
"""Jobs removed by one statement, so that it is done soon."""

_attempts = msgspec.json.Decoder(tuple[Attempt, ...])


def held_of(row: tuple[Any, ...]) -> Held:
    """Return the job of a row in the order of Held's fields, its attempts as JSON."""
    id_, account, channel, path, body, created, expires, lane, *others = row
    tries, maybe, attempts, not_before, trace = others
    return Held(
        id_,
        account,
        Channel(channel),
        path,
        body,
        created,
        expires,
        Lane(lane),
        tries,
        maybe,
        _read(attempts),
        not_before,
        trace,
    )


def record_of(row: tuple[Any, ...]) -> Record:
    """Return the job of a row in the order of Record's fields, its attempts as JSON."""
    id_, account, channel, template, open_id, state, reason, priority, *others = row
    created, not_before, expires, batch, key, tries, attempts, number, *times = others
    ended, receipt, trace = times
    return Record(
        id_,
        account,
        Channel(channel),
        template,
        open_id,
        State(state),
        reason,
        Priority(priority),
        created,
        not_before,
        expires,
        batch,
        key,
        tries,
        _read(attempts),
        number,
        ended,
        receipt,
        trace_id_of(trace),
    )


def named(wanted: Wanted, after: str | None = None) -> dict[str, Any]:
    """Return what is looked for, by name; times as the ids of jobs created then."""
    given = {name: value for name, value in wanted._asdict().items() if value is not None}
    if after is not None:
        given["after"] = after
    return given | {name: first_id_at(given[name]) for name in ("since", "before") if name in given}


def _read(attempts: str) -> tuple[Attempt, ...]:
    return () if attempts == "[]" else _attempts.decode(attempts)
