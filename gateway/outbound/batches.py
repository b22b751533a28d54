"""Batches of any length: a line at a time becomes a job, or is refused with its number."""

import asyncio
import csv
import math
import re
from collections.abc import AsyncGenerator, AsyncIterable, Iterator, Mapping, Sequence
from enum import StrEnum
from typing import Any, Final, NamedTuple, Protocol

import msgspec

from gateway.errors import PushRefused
from gateway.outbound.jobs import Added, Job
from gateway.outbound.requests import PushRequest

MAX_LINE: Final = 65_536
"""Bytes of a line, or of a row of a CSV; a longer one is refused, and its rest passed over."""

STORED_AT_ONCE: Final = 1000

MAX_SAID: Final = 300
"""Characters of what is said of a line: some of it may be the line's own."""

BREATH: Final = 32
"""Lines that are read before others get a turn of the event loop: callbacks have to be answered."""

_OWN: Final = frozenset(
    (
        *("account", "to", "template", "language", "idempotency_key", "priority"),
        *("not_before", "expires_at"),
    )
)
"""Columns of a CSV that are not the template's variables."""
_NUMBERS: Final = frozenset(("not_before", "expires_at"))
_QUOTED: Final = re.compile(rb'[^"]*(?:""[^"]*)*')
"""What may stand within the quotes of a CSV."""


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
    quotes_cut: int = 0
    """Double quotes in what was cut off."""


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
        self._kept = bytearray()
        self._is_cut = False
        self._quotes_cut = 0

    def feed(self, chunk: bytes) -> Iterator[Line]:
        """Yield the lines that are whole with this."""
        *whole, rest = chunk.split(b"\n")
        for part in whole:
            self._keep(part)
            yield self._line()
        self._keep(rest)

    def end(self) -> Iterator[Line]:
        """Yield the last line, where no line feed ends it."""
        if self._kept or self._is_cut:
            yield self._line()

    def _keep(self, part: bytes) -> None:
        room = MAX_LINE - len(self._kept)
        self._kept += part[:room]
        if len(part) > room:
            self._is_cut = True
            self._quotes_cut += part.count(b'"', room)

    def _line(self) -> Line:
        self._number += 1
        text = bytes(self._kept).removesuffix(b"\r")
        line = Line(self._number, text, self._is_cut, self._quotes_cut)
        self._kept.clear()
        self._is_cut, self._quotes_cut = False, 0
        return line


class Reader:
    """Reads lines as requests."""

    def __init__(self, form: Form, defaults: Mapping[str, Any]) -> None:
        """``defaults`` are fields of PushRequest, for lines that do not have them."""
        self._form = form
        self._defaults = dict(defaults)
        self._header: list[str] | None = None
        self._row = bytearray()
        """The lines so far of a row that has a line feed within quotes."""
        self._is_open = False
        """Whether the row goes on with the next line."""
        self._is_long = False
        self.began = 0
        """The number of the line that what was read last began with: a row may have several."""

    def read(self, line: Line) -> PushRequest | None:
        """Return the request of a line; None for one that has none; raise PushRefused."""
        if not self._is_open:
            self.began = line.number
        text = line.text.removeprefix(b"\xef\xbb\xbf") if line.number == 1 else line.text
        if self._form is Form.CSV:
            return self._from_csv(line, text)
        if line.is_cut:
            raise PushRefused(_TOO_LONG)
        return self._from_json(text) if text.strip() else None

    def end(self) -> None:
        """Raise PushRefused where the last row is not whole."""
        if self._is_open:
            raise (HeaderWrong if self._header is None else PushRefused)(
                "a quote that is opened here is not closed; nothing behind it was read"
            )

    def _from_json(self, text: bytes) -> PushRequest:
        try:
            fields = msgspec.json.decode(text, type=dict[str, Any])
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as wrong:
            said = f"no JSON object: {wrong}" if _is_utf8(text) else _NOT_UTF8
            raise PushRefused(said) from None
        return self._request(fields)

    def _from_csv(self, line: Line, text: bytes) -> PushRequest | None:
        row = self._whole_row(line, text)
        if row is None or not row.strip():
            return None
        if self._header is None:
            try:
                self._header = _header(_values(row))
            except PushRefused as wrong:
                raise HeaderWrong(f"the header: {wrong}") from None
            return None
        values = _values(row)
        if len(values) != len(self._header):
            raise PushRefused(f"{len(values)} columns, and the header has {len(self._header)}")
        return self._request(_fields(dict(zip(self._header, values, strict=True))))

    def _whole_row(self, line: Line, text: bytes) -> bytes | None:
        """Return the row that ends with this line; None where it goes on; raise PushRefused."""
        # Of what was cut off only its quotes are known: an odd number of them changes sides.
        self._is_open = _ends_quoted(text, self._is_open) ^ bool(line.quotes_cut % 2)
        self._is_long |= line.is_cut or len(self._row) + len(text) > MAX_LINE
        if not self._is_long:
            self._row += text
        if self._is_open:
            self._row += b"" if self._is_long else b"\n"
            return None
        row, is_long = bytes(self._row), self._is_long
        self._row.clear()
        self._is_long = False
        if is_long:
            raise (HeaderWrong if self._header is None else PushRefused)(_TOO_LONG)
        return row

    def _request(self, fields: dict[str, Any]) -> PushRequest:
        try:
            return msgspec.convert({**self._defaults, **fields}, PushRequest)
        except msgspec.ValidationError as wrong:
            raise PushRefused(str(wrong)) from None


_TOO_LONG: Final = f"longer than {MAX_LINE:,} bytes"
_MAY_BE_CUT: Final = (
    "the last line has no line feed, so nobody can tell whether it is whole; end it with one"
)
_NOT_UTF8: Final = "not UTF-8; save the file as UTF-8 (in a spreadsheet: CSV UTF-8)"


def _is_utf8(text: bytes) -> bool:
    try:
        text.decode()
    except UnicodeDecodeError:
        return False
    return True


def _values(row: bytes) -> list[str]:
    try:
        return next(csv.reader([row.decode()], strict=True))
    except UnicodeDecodeError:
        raise PushRefused(_NOT_UTF8) from None
    except csv.Error as wrong:
        raise PushRefused(f"no CSV: {wrong}") from None


def _ends_quoted(text: bytes, is_open: bool) -> bool:
    """Tell whether a line of CSV ends within quotes, where it began so or not.

    Quotes hold a field where they begin it; elsewhere they are text, as Python's csv has it.
    """
    at = 0
    if not is_open:
        at = 0 if text.startswith(b'"') else text.find(b',"') + 1
        if not text.startswith(b'"', at):
            return False
        at += 1
    while True:
        quoted = _QUOTED.match(text, at)
        at = len(text) if quoted is None else quoted.end()
        if at == len(text):
            return True
        at = text.find(b',"', at + 1) + 2
        if at == 1:
            return False


def _header(values: list[str]) -> list[str]:
    names = [value.strip() for value in values]
    if "to" not in names:
        raise PushRefused("has no column called to, which holds the open ids")
    if len(set(names)) < len(names) or "" in names:
        raise PushRefused("has a column without a name, or two of the same name")
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
            own[name] = math.nan
        if not math.isfinite(own[name]):
            raise PushRefused(f"{name}: no number; give Unix seconds")
    return own | {"data": {n: v for n, v in columns.items() if n not in _OWN}}


async def take_batch(
    push: Pushes,
    batch: str,
    form: Form,
    defaults: Mapping[str, Any],
    chunks: AsyncIterable[bytes],
    *,
    may_break_off: bool = False,
) -> AsyncGenerator[Progress]:
    """Queue the lines of a batch, some at a time; yield how far it is after each time.

    A line that has no idempotency key gets one of the batch's name and its number: a batch that
    broke off is sent again as it was, and what was queued is not queued twice. ``may_break_off``
    tells that ``chunks`` end in the same way where the batch does and where something broke: a last
    line without a line feed is refused then. Raises HeaderWrong before anything is queued, and
    StoreDown where what is left cannot be stored.
    """
    intake = _Intake(push, batch, Reader(form, defaults))
    lines, read = Lines(), 0
    async for chunk in chunks:
        read += len(chunk)
        for line in lines.feed(chunk):
            if line.number % BREATH == 0:
                await asyncio.sleep(0)
            intake.add(line)
            if intake.is_full():
                yield await intake.store(read)
    for line in lines.end():
        intake.add(line, is_whole=not may_break_off)
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

    def end(self) -> None:
        """Note what is missing at the end."""
        try:
            self._reader.end()
        except HeaderWrong:
            raise
        except PushRefused as refused:
            self._refused.append(Refusal(self._reader.began, refused.args))

    def add(self, line: Line, *, is_whole: bool = True) -> None:
        """Make the job of a line, or note why there is none."""
        try:
            job = self._job(line, is_whole=is_whole)
        except HeaderWrong:
            raise
        except PushRefused as refused:
            said = tuple(str(one)[:MAX_SAID] for one in refused.args)
            self._refused.append(Refusal(self._reader.began, said))
        else:
            self._jobs += [] if job is None else [(self._reader.began, job)]

    def is_full(self) -> bool:
        """Tell whether it is time to store."""
        return len(self._jobs) >= STORED_AT_ONCE or len(self._refused) >= STORED_AT_ONCE

    def _job(self, line: Line, *, is_whole: bool) -> Job | None:
        request = self._reader.read(line)
        if request is None:
            return None
        if not is_whole:
            raise PushRefused(_MAY_BE_CUT)
        if request.idempotency_key is None:
            key = f"{self._batch}/{self._reader.began}"
            request = msgspec.structs.replace(request, idempotency_key=key)
        return self._push.make(request, batch=self._batch)

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
