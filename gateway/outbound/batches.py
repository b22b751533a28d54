"""Batches of any length: a line at a time becomes a job, or is refused with its number."""

import csv
from collections.abc import AsyncIterable, AsyncIterator, Iterator, Mapping, Sequence
from enum import StrEnum
from typing import Any, Final, NamedTuple, Protocol

import msgspec

from gateway.errors import PushRefused
from gateway.outbound.jobs import Added, Job
from gateway.outbound.requests import PushRequest

MAX_LINE: Final = 65_536
"""Bytes of a line; a longer one is refused, and its rest passed over."""

STORED_AT_ONCE: Final = 1000

_OWN: Final = frozenset(
    (
        *("account", "to", "template", "language", "idempotency_key", "priority"),
        *("not_before", "expires_at"),
    )
)
"""Columns of a CSV that are not the template's variables."""
_NUMBERS: Final = frozenset(("not_before", "expires_at"))


class Form(StrEnum):
    """How a batch is written."""

    NDJSON = "ndjson"
    """A PushRequest a line, as JSON."""
    CSV = "csv"
    """A header, and a message a line; columns that are no field of a PushRequest are variables of
    the template. As RFC 4180 has it, in UTF-8."""


class Line(NamedTuple):
    """A line of a batch."""

    number: int
    """From 1, the header's of a CSV included."""
    text: bytes
    is_cut: bool = False
    """Whether it was longer than MAX_LINE."""


class Refusal(NamedTuple):
    """A line that is not queued."""

    line: int
    errors: tuple[str, ...]


class Progress(NamedTuple):
    """How far a batch is."""

    queued: int
    known: int
    """Lines that were queued before: a batch may be sent again."""
    refused: tuple[Refusal, ...]
    """The lines refused since the last progress."""
    bytes_read: int


class Pushes(Protocol):
    """Makes jobs and stores them: a Push."""

    def make(self, request: PushRequest, *, batch: str | None = None) -> Job:
        """Return the job of a request; raise PushRefused."""

    async def store(self, jobs: Sequence[Job]) -> list[Added]:
        """Store jobs; raise StoreDown."""


class Lines:
    """Cuts what comes into lines, with no more of it in memory than a line's worth."""

    def __init__(self) -> None:
        self._number = 0
        self._rest = bytearray()
        self._is_cut = False

    def feed(self, chunk: bytes) -> Iterator[Line]:
        """Yield the lines that are whole with this."""
        *whole, rest = chunk.split(b"\n")
        for part in whole:
            self._keep(part)
            yield self._line()
        self._keep(rest)

    def end(self) -> Iterator[Line]:
        """Yield the last line, where no line feed ends it."""
        if self._rest or self._is_cut:
            yield self._line()

    def _keep(self, part: bytes) -> None:
        room = MAX_LINE - len(self._rest)
        self._rest += part[:room]
        self._is_cut |= len(part) > room

    def _line(self) -> Line:
        self._number += 1
        line = Line(self._number, bytes(self._rest).removesuffix(b"\r"), self._is_cut)
        self._rest.clear()
        self._is_cut = False
        return line


class Reader:
    """Reads lines as requests."""

    def __init__(self, form: Form, defaults: Mapping[str, Any]) -> None:
        """``defaults`` are fields of PushRequest, for lines that do not have them."""
        self._form = form
        self._defaults = dict(defaults)
        self._header: list[str] | None = None
        self._quoted = bytearray()
        """The lines so far of a row that has a quoted line feed in it."""

    def read(self, line: Line) -> PushRequest | None:
        """Return the request of a line; None for one that has none; raise PushRefused."""
        if line.is_cut:
            self._quoted.clear()
            raise PushRefused(f"the line is longer than {MAX_LINE:,} bytes")
        text = line.text.removeprefix(b"\xef\xbb\xbf") if line.number == 1 else line.text
        if self._form is Form.NDJSON:
            return self._json(text) if text.strip() else None
        return self._row(text)

    def end(self) -> None:
        """Raise PushRefused where the last row is not whole."""
        if self._quoted:
            raise PushRefused("a quote that is opened here or before is not closed")

    def _json(self, text: bytes) -> PushRequest:
        try:
            fields = msgspec.json.decode(text, type=dict[str, Any])
        except UnicodeDecodeError:
            raise PushRefused(_NOT_UTF8) from None
        except (msgspec.DecodeError, RecursionError) as wrong:
            raise PushRefused(f"no JSON object: {wrong}") from None
        return self._request(fields)

    def _row(self, text: bytes) -> PushRequest | None:
        self._quoted += text
        if self._quoted.count(b'"') % 2 and len(self._quoted) <= MAX_LINE:
            self._quoted += b"\n"
            return None
        row = bytes(self._quoted)
        self._quoted.clear()
        if not row.strip():
            return None
        values = _values(row)
        if self._header is None:
            self._header = _header(values)
            return None
        if len(values) != len(self._header):
            raise PushRefused(f"{len(values)} columns, and the header has {len(self._header)}")
        return self._request(_fields(dict(zip(self._header, values, strict=True))))

    def _request(self, fields: dict[str, Any]) -> PushRequest:
        try:
            return msgspec.convert({**self._defaults, **fields}, PushRequest)
        except msgspec.ValidationError as wrong:
            raise PushRefused(str(wrong)) from None


_NOT_UTF8: Final = "not UTF-8; save the file as UTF-8 (in a spreadsheet: CSV UTF-8)"


def _values(row: bytes) -> list[str]:
    try:
        return next(csv.reader([row.decode()], strict=True))
    except UnicodeDecodeError:
        raise PushRefused(_NOT_UTF8) from None
    except csv.Error as wrong:
        raise PushRefused(f"no CSV: {wrong}") from None


def _header(values: list[str]) -> list[str]:
    names = [value.strip() for value in values]
    if "to" not in names:
        raise HeaderWrong("the header has no column called to, which holds the open ids")
    if len(set(names)) < len(names) or "" in names:
        raise HeaderWrong("the header has a column without a name, or two of the same name")
    return names


class HeaderWrong(PushRefused):
    """The header of a CSV is wrong, so that none of its lines can be read."""


def _fields(columns: dict[str, str]) -> dict[str, Any]:
    """Return the fields of a row's request: an empty one is none."""
    own: dict[str, Any] = {n: v for n, v in columns.items() if n in _OWN and v != ""}
    for name in _NUMBERS & own.keys():
        try:
            own[name] = float(own[name])
        except ValueError:
            raise PushRefused(f"{name}: no number; give Unix seconds") from None
    return own | {"data": {n: v for n, v in columns.items() if n not in _OWN}}


async def take_batch(
    push: Pushes,
    batch: str,
    form: Form,
    defaults: Mapping[str, Any],
    chunks: AsyncIterable[bytes],
) -> AsyncIterator[Progress]:
    """Queue the lines of a batch, some at a time; yield how far it is after each time.

    A line that has no idempotency key gets one of the batch's name and its number: a batch that
    broke off is sent again as it was, and what was queued is not queued twice. Raises HeaderWrong
    before anything is queued, and StoreDown where what is left cannot be stored.
    """
    intake = _Intake(push, batch, Reader(form, defaults))
    lines, read = Lines(), 0
    async for chunk in chunks:
        read += len(chunk)
        for line in lines.feed(chunk):
            intake.add(line)
            if intake.is_full():
                yield await intake.store(read)
    for line in lines.end():
        intake.add(line)
    intake.end()
    yield await intake.store(read)


class _Intake:
    """Gathers the jobs of lines until they are stored."""

    def __init__(self, push: Pushes, batch: str, reader: Reader) -> None:
        self._push = push
        self._batch = batch
        self._reader = reader
        self._jobs: list[tuple[int, Job]] = []
        self._refused: list[Refusal] = []
        self._last = 0

    def end(self) -> None:
        """Note what is missing at the end."""
        try:
            self._reader.end()
        except PushRefused as refused:
            self._refused.append(Refusal(self._last, refused.args))

    def add(self, line: Line) -> None:
        """Make the job of a line, or note why there is none."""
        self._last = line.number
        try:
            request = self._reader.read(line)
            if request is None:
                return
            if request.idempotency_key is None:
                key = f"{self._batch}/{line.number}"
                request = msgspec.structs.replace(request, idempotency_key=key)
            self._jobs.append((line.number, self._push.make(request, batch=self._batch)))
        except HeaderWrong:
            raise
        except PushRefused as refused:
            self._refused.append(Refusal(line.number, refused.args))

    def is_full(self) -> bool:
        """Tell whether it is time to store."""
        return len(self._jobs) >= STORED_AT_ONCE or len(self._refused) >= STORED_AT_ONCE

    async def store(self, read: int) -> Progress:
        """Store what there is; return how far that is."""
        jobs, self._jobs = self._jobs, []
        refused, self._refused = self._refused, []
        added = await self._push.store([job for _, job in jobs]) if jobs else []
        for (number, _), one in zip(jobs, added, strict=True):
            if not one.is_same:
                said = f"idempotency_key: message {one.id} has it and says something else"
                refused.append(Refusal(number, (said,)))
        return Progress(
            sum(one.is_new for one in added),
            sum(not one.is_new and one.is_same for one in added),
            tuple(sorted(refused)),
            read,
        )
