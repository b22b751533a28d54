"""Messages as they are shown to an operator: the open id too, but never what they say."""

from collections.abc import Sequence
from typing import Any, Final

import msgspec
import rich_click as click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from gateway.cli.times import shown_time
from gateway.outbound.jobs import HAVE_RECEIPTS, Record, State

WAITING: Final = (State.QUEUED, State.SENDING)
UNFORTUNATE: Final = (State.FAILED, State.EXPIRED, State.DEAD, State.AMBIGUOUS)
"""How a message ends that its user did not get, or perhaps not."""

_TIMES: Final = ("created_at", "not_before", "expires_at", "ended_at", "receipt_at")
_LISTED: Final = ("id", "account", "message", "to", "state", "tries", "created", "reason")

_WIDE: Final = 1000


def has_ended(record: Record) -> bool:
    """Tell whether nothing more is to come, no receipt either."""
    if record.state is State.SENT:
        return record.channel not in HAVE_RECEIPTS
    return record.state not in WAITING


def as_json(record: Record) -> dict[str, Any]:
    """Return a message for JSON, its times as ISO 8601."""
    told: dict[str, Any] = msgspec.to_builtins(record)
    told["priority"] = record.priority.name.lower()
    for name in _TIMES:
        told[name] = told[name] and shown_time(told[name])
    told["attempts"] = [
        {"at": shown_time(one.at), "seconds": one.seconds, "outcome": one.outcome}
        | ({"reason": one.reason} if one.reason else {})
        for one in record.attempts
    ]
    return told


def print_record(record: Record) -> None:
    """Print all that is known of a message, its attempts and its receipt."""
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in as_json(record).items():
        if name not in ("attempts", "receipt_at") and value not in (None, ""):
            table.add_row(name, Text(str(value)))
    table.add_row("receipt", _receipt(record))
    Console().print(table)
    if not record.attempts:
        return
    attempts = Table("attempt", "took", "outcome", "reason", box=None, pad_edge=False)
    for one in record.attempts:
        took = f"{one.seconds * 1000:,.0f} ms"
        attempts.add_row(shown_time(one.at), took, one.outcome, Text(one.reason))
    Console().print(attempts)


def _receipt(record: Record) -> str:
    if record.receipt_at is not None:
        return shown_time(record.receipt_at)
    if record.channel not in HAVE_RECEIPTS:
        return "there is none on this channel"
    return "none, for it was not sent" if has_ended(record) else "none yet"


def print_records(found: Sequence[Record], every: int, *, json: bool) -> None:
    """Print messages, a line each; ``every`` is how many there are with those not shown."""
    if json:
        for record in found:
            click.echo(msgspec.json.encode(as_json(record)))
        return
    table = Table(*_LISTED, box=None, pad_edge=False)
    for record in found:
        row = (record.id, record.account, record.template or record.channel, record.to)
        told = (record.state, str(record.tries), shown_time(record.created_at), record.reason)
        table.add_row(*(Text(cell) for cell in (*row, *told)))
    if found:
        print_table(table)
    click.echo(f"{len(found):,} of {every:,}")


def print_table(table: Table) -> None:
    """Print a row a line, however narrow the terminal: what is copied is not broken in two."""
    Console(width=_WIDE).print(table)
