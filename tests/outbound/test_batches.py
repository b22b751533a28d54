"""Batches: each line becomes a message or is refused with its number, however it comes in."""

import asyncio
import csv
import io
import time
from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, Final

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import PushRefused, StoreDown
from gateway.outbound.batches import (
    MAX_LINE,
    MAX_SAID,
    Form,
    HeaderWrong,
    Lines,
    Progress,
    Refusal,
    take_batch,
)
from gateway.outbound.jobs import Added, Job
from gateway.outbound.requests import JobMaker, PushRequest
from tests.outbound.pool import NOTICE, SHIPPED, user

DEFAULTS: Final = {"template": "order-shipped"}
HEADER: Final = b"to,goods,fen\n"
NO_HEADER: Final = "the header: has no column called to, which holds the open ids"
LONG: Final = f"longer than {MAX_LINE:,} bytes"
NOT_UTF8: Final = "not UTF-8; save the file as UTF-8 (in a spreadsheet: CSV UTF-8)"


@dataclass
class Shelf:
    """A Push that keeps jobs in memory, as a queue does; it is down after so many calls."""

    down_after: int = 1_000_000
    kept: dict[str, Job] = field(default_factory=dict)
    calls: int = 0

    def __post_init__(self) -> None:
        """Make what makes jobs."""
        templates = {one.name: one for one in (SHIPPED, NOTICE)}
        self._maker = JobMaker(["main"], templates, clock=time.time)

    def make(self, request: PushRequest, *, batch: str | None = None) -> Job:
        """Return the job of a request."""
        return self._maker.make(request, batch=batch)

    async def store(self, jobs: Sequence[Job]) -> list[Added]:
        """Keep jobs."""
        self.calls += 1
        if self.calls > self.down_after:
            raise StoreDown("no disk")
        return [self._add(job) for job in jobs]

    def _add(self, job: Job) -> Added:
        known = self.kept.setdefault(job.idempotency_key or job.id, job)
        return Added(known.id, known is job, known.fingerprint == job.fingerprint)

    def said(self) -> list[tuple[str, str]]:
        """Return each job's user, and what its first field says, in the order of their keys."""
        jobs = sorted(self.kept.values(), key=lambda job: int(job.idempotency_key.split("/")[1]))  # type: ignore[union-attr]  # each has one
        return [
            (job.open_id, msgspec.json.decode(job.body)["data"]["thing1"]["value"]) for job in jobs
        ]


def take(
    shelf: Shelf, form: Form, chunks: Iterable[bytes], **options: Any
) -> tuple[int, int, list[Refusal]]:
    """Take a batch; return how many are queued and how many were known, and what is refused."""

    async def flow() -> AsyncIterator[bytes]:
        for chunk in chunks:
            yield chunk

    async def run() -> list[Progress]:
        return [p async for p in take_batch(shelf, "b", form, DEFAULTS, flow(), **options)]

    told = asyncio.run(run())
    refused = [one for progress in told for one in progress.refused]
    return sum(p.queued for p in told), sum(p.known for p in told), refused


def line(number: int, **fields: Any) -> bytes:
    """Return a line of NDJSON."""
    return msgspec.json.encode(
        {"to": user(number), "data": {"goods": "巧克力", "fen": number}} | fields
    )


def rows(*numbers: int) -> bytes:
    """Return rows of a CSV, without its header."""
    return "".join(f"{user(one)},巧克力,{one}\n" for one in numbers).encode()


def test_each_line_of_json_is_queued_or_refused_with_its_number() -> None:
    shelf = Shelf()
    body = b"\n".join(
        [
            line(1),
            b"",
            line(2, to="?"),
            b'{"to": "' + user(3).encode() + b'", "dta": {}}',
            b"[]",
            b"{",
            line(7, data={"goods": "x" * 21, "fen": 1}),
            line(8, data={"fen": 1}),
            line(9, template="nothing"),
            line(10, data="x"),
            line(11, idempotency_key="mine/11", priority="high"),
            "巧克力".encode("gbk"),
        ]
    )
    queued, known, refused = take(shelf, Form.NDJSON, [body])
    assert (queued, known) == (2, 0)
    assert set(shelf.kept) == {"b/1", "mine/11"}
    assert {job.batch for job in shelf.kept.values()} == {"b"}
    said = {one.line: one.errors[0].partition(";")[0] for one in refused}
    assert said == {
        3: "to: no open id",
        4: "Object contains unknown field `dta`",
        5: "no JSON object: Expected `object`, got `array`",
        6: "no JSON object: Input data was truncated",
        7: "template order-shipped: thing1: has 21 characters, and WeChat takes 20",
        8: "template order-shipped: thing1: 'goods' is undefined",
        9: "template: there is none called nothing",
        10: "Expected `object`, got `str` - at `$.data`",
        12: "not UTF-8",
    }


def test_the_columns_of_a_csv_are_a_message_s_fields_or_the_template_s_variables() -> None:
    shelf, soon = Shelf(), float(int(time.time()) + 3600)
    body = (
        "\ufeffto, priority ,expires_at,goods,fen\r\n"
        f"{user(1)},high,{soon:.0f},巧克力,10\r\n"
        f'{user(2)},,,"a ""b"", c",0\r\n'
        f"{user(3)},,soon,x,0\r\n"
        f"{user(4)},,nan,x,0\r\n"
        f"{user(5)},,x,0\r\n"
        f"{user(6)},urgent,,x,0\r\n"
        f'{user(7)},,,"x"y,0\r\n'
        "\r\n"
        f"{user(9)},,,x,0"
    ).encode()
    queued, _, refused = take(shelf, Form.CSV, [body])
    assert queued == 3
    assert shelf.said() == [(user(1), "巧克力"), (user(2), 'a "b", c'), (user(9), "x")]
    assert (shelf.kept["b/2"].priority, shelf.kept["b/2"].expires_at) == (0, soon)
    assert (shelf.kept["b/3"].priority, shelf.kept["b/3"].expires_at) == (1, None)
    assert {one.line: one.errors[0] for one in refused} == {
        4: "expires_at: no number; give Unix seconds",
        5: "expires_at: no number; give Unix seconds",
        6: "4 columns, and the header has 5",
        7: "Invalid enum value 'urgent' - at `$.priority`",
        8: "no CSV: ',' expected after '\"'",
    }


def test_a_row_may_have_line_feeds_within_quotes_and_is_known_by_its_first_line() -> None:
    shelf = Shelf()
    body = (
        "to,goods,fen,note\n"
        f"{user(1)},a,1,x\n"
        f'{user(2)},b,1,"a,\nb\r\n""c"\n'
        f'{user(3)},"c\nd",1,x\n'
        f"{user(4)},d,1,x\n"
    ).encode()
    queued, _, (refused,) = take(shelf, Form.CSV, [body])
    assert queued == 3
    assert set(shelf.kept) == {"b/2", "b/3", "b/8"}
    assert refused.line == 6
    assert refused.errors[0].startswith("template order-shipped: thing1: is not text of one line")


def test_a_quote_within_a_field_is_text_and_opens_nothing() -> None:
    shelf = Shelf()
    body = HEADER + f'{user(1)},6" pipe,1\n{user(2)},x "y" z,1\n'.encode() + rows(3)
    assert take(shelf, Form.CSV, [body]) == (3, 0, [])
    assert [said for _, said in shelf.said()] == ['6" pipe', 'x "y" z', "巧克力"]


def test_a_quote_that_is_not_closed_is_told_of_where_it_is_opened() -> None:
    shelf = Shelf()
    body = HEADER + rows(1) + f'{user(2)},"a,1\n'.encode() + rows(*range(3, 5000))
    queued, _, (refused,) = take(shelf, Form.CSV, [body])
    assert (queued, refused.line) == (1, 3)
    assert refused.errors == (
        "a quote that is opened here is not closed; nothing behind it was read",
    )


@pytest.mark.parametrize(
    ("header", "said"),
    [
        (b"open_id,goods\n", NO_HEADER),
        (b"to,goods,goods\n", "the header: has a column without a name, or two of the same name"),
        (b"to,,goods\n", "the header: has a column without a name, or two of the same name"),
        ("to,商品\n".encode("gbk"), f"the header: {NOT_UTF8}"),
        (b'to,"x"y\n', "the header: no CSV: ',' expected after '\"'"),
        (b'to,"x\n', "a quote that is opened here is not closed; nothing behind it was read"),
        (b"to," + b"x" * MAX_LINE + b"\n", LONG),
        ("to,goods\n".encode("utf-16"), f"the header: {NOT_UTF8}"),
    ],
    ids=range(8),
)
def test_with_a_wrong_header_nothing_is_queued(header: bytes, said: str) -> None:
    shelf = Shelf()
    with pytest.raises(HeaderWrong) as wrong:
        take(shelf, Form.CSV, [header, b"" if b'"x\n' in header else rows(1)])
    assert (wrong.value.args, shelf.kept) == ((said,), {})


def test_rows_in_gbk_are_refused_one_by_one() -> None:
    shelf = Shelf()
    body = HEADER + rows(1) + rows(2, 3).decode().encode("gbk") + rows(4)
    queued, _, refused = take(shelf, Form.CSV, [body])
    assert queued == 2
    assert refused == [Refusal(3, (NOT_UTF8,)), Refusal(4, (NOT_UTF8,))]


@pytest.mark.parametrize("form", Form)
def test_a_line_of_ten_megabytes_is_refused_and_the_next_one_is_not(form: Form) -> None:
    shelf = Shelf()
    huge = (b"x" * 100_000 for _ in range(100))
    if form is Form.CSV:
        before, behind = HEADER + rows(1), b"\n" + rows(3)
    else:
        before, behind = b"\n" + line(1) + b"\n", b"\n" + line(3)
    assert take(shelf, form, [before, *huge, behind]) == (2, 0, [Refusal(3, (LONG,))])


def test_what_is_cut_off_may_open_and_close_quotes() -> None:
    shelf = Shelf()
    first = f'{user(1)},"'.encode() + b"x" * MAX_LINE + b'y "" z\n'
    body = HEADER + first + rows(98) + b'and so on",1\n' + rows(2)
    assert take(shelf, Form.CSV, [body]) == (1, 0, [Refusal(2, (LONG,))])
    assert shelf.said() == [(user(2), "巧克力")]


def test_a_row_is_too_long_where_its_lines_are_together() -> None:
    shelf = Shelf()
    body = HEADER + f'{user(1)},"'.encode() + b"xxxxxxxxx\n" * 7000 + b'",1\n' + rows(2)
    assert take(shelf, Form.CSV, [body]) == (1, 0, [Refusal(2, (LONG,))])


@pytest.mark.parametrize("end", [MAX_LINE, MAX_LINE + 1])
def test_a_line_may_be_as_long_as_it_may_be(end: int) -> None:
    shelf = Shelf()
    text = line(1)
    padded = text[:-1] + b" " * (end - len(text)) + b"}"
    queued, _, refused = take(shelf, Form.NDJSON, [padded, b"\n"])
    assert (queued, len(refused)) == ((1, 0) if end == MAX_LINE else (0, 1))


@pytest.mark.parametrize("form", Form)
def test_a_batch_that_is_sent_again_queues_nothing_twice(form: Form) -> None:
    shelf = Shelf()
    body = b"\n".join(line(n) for n in range(5))
    if form is Form.CSV:
        body = HEADER + rows(*range(5))
    assert take(shelf, form, [body]) == (5, 0, [])
    assert take(shelf, form, [body]) == (0, 5, [])


def test_a_line_that_says_something_else_under_a_known_key_is_refused() -> None:
    shelf = Shelf()
    take(shelf, Form.CSV, [HEADER + rows(1, 2)])
    queued, known, (refused,) = take(shelf, Form.CSV, [HEADER + rows(1, 5, 3)])
    assert (queued, known, refused.line) == (1, 1, 3)
    key = shelf.kept["b/3"].id
    assert refused.errors == (f"idempotency_key: message {key} has it and says something else",)


def test_where_the_store_goes_down_what_was_stored_stays_and_the_rest_is_sent_again() -> None:
    shelf = Shelf(down_after=2)
    body = HEADER + rows(*range(3500))
    with pytest.raises(StoreDown):
        take(shelf, Form.CSV, [body])
    assert len(shelf.kept) == 2000
    shelf.down_after = 1_000_000
    assert take(shelf, Form.CSV, [body]) == (1500, 2000, [])


def test_no_more_than_a_thousand_are_stored_at_once_and_refusals_are_told_as_they_come() -> None:
    async def flow() -> AsyncIterator[bytes]:
        yield HEADER
        for number in range(50):
            yield rows(*range(number * 50, number * 50 + 50)) + b"x\n" * 50

    async def run() -> list[Progress]:
        return [p async for p in take_batch(Shelf(), "b", Form.CSV, DEFAULTS, flow())]

    told = asyncio.run(run())
    assert [(p.queued, len(p.refused)) for p in told] == [(1000, 950), (950, 1000), (550, 550)]
    assert [p.bytes_read for p in told] == sorted(p.bytes_read for p in told)


def test_a_last_line_without_a_line_feed_is_refused_where_it_may_be_cut() -> None:
    for form, body in ((Form.CSV, HEADER + rows(1, 2)), (Form.NDJSON, line(1) + b"\n" + line(2))):
        shelf = Shelf()
        queued, _, (refused,) = take(shelf, form, [body.rstrip()], may_break_off=True)
        assert (queued, refused.line) == (1, 3 if form is Form.CSV else 2)
        assert refused.errors[0].startswith("the last line has no line feed")
        assert take(shelf, form, [body.rstrip(), b"\n"], may_break_off=True) == (1, 1, [])


def test_no_more_than_a_few_words_are_said_of_a_line() -> None:
    body = msgspec.json.encode({"x" * 60_000: 1}) + b"\n" + line(1, template="x" * 60_000)
    _, _, refused = take(Shelf(), Form.NDJSON, [body])
    assert [len(one.errors[0]) for one in refused] == [MAX_SAID, MAX_SAID]


def test_nothing_is_a_batch_of_no_message() -> None:
    for form in Form:
        assert take(Shelf(), form, []) == (0, 0, [])


ROWS: Final = (
    HEADER
    + rows(1, 2)
    + f'{user(3)},"a\nb ""c"" 巧\r\n",4\r\n\n{user(4)},6" x,5\nx,y\n'.encode()
    + b"z" * (MAX_LINE + 10)
    + b"\n"
    + rows(6)
    + "巧克力,x,1\n".encode("gbk")
    + f'{user(7)},"open'.encode()
)
MIXED: Final = {
    Form.CSV: ROWS,
    Form.NDJSON: b"\xef\xbb\xbf"
    + line(1)
    + b"\r\n\n"
    + line(2)
    + b"\n{\n"
    + ROWS
    + b"\n"
    + line(9),
}
ONCE: Final = {form: take(Shelf(), form, [body]) for form, body in MIXED.items()}


@pytest.mark.parametrize("form", Form)
@given(cuts=st.lists(st.integers(0, len(MIXED[Form.NDJSON])), max_size=30))
def test_however_the_bytes_are_cut_the_same_is_queued_and_refused(
    form: Form, cuts: list[int]
) -> None:
    body = MIXED[form]
    ends = [0, *sorted(cuts), len(body)]
    chunks = [body[start:end] for start, end in pairwise(ends)]
    assert take(Shelf(), form, chunks) == ONCE[form]


@given(st.binary(max_size=300), st.integers(1, 50))
def test_lines_are_what_stands_between_line_feeds(body: bytes, size: int) -> None:
    lines = Lines()
    chunks = [body[at : at + size] for at in range(0, len(body), size)]
    got = [one.text for chunk in chunks for one in lines.feed(chunk)]
    got += [one.text for one in lines.end()]
    wanted = [part.removesuffix(b"\r") for part in body.split(b"\n")]
    assert got == wanted[: len(got)]
    assert not any(wanted[len(got) :])


TEXT: Final = st.text(st.sampled_from('a,"\n巧 '), min_size=1, max_size=8)


@given(st.lists(TEXT, min_size=1, max_size=6))
def test_what_python_s_csv_writes_is_read_as_it_was(texts: list[str]) -> None:
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(["to", "goods", "fen"])
    writer.writerows([user(number), text, "1"] for number, text in enumerate(texts))
    shelf = Shelf()
    queued, _, refused = take(shelf, Form.CSV, [out.getvalue().encode()])
    # WeChat's platform has no use for blank values, so what is blank is refused.
    assert queued + len(refused) == len(texts)
    read = dict(shelf.said())
    assert all(read[user(n)] == text for n, text in enumerate(texts) if user(n) in read)


def test_a_refusal_of_the_push_s_own_is_a_line_s_refusal() -> None:
    class Strict(Shelf):
        def make(self, request: PushRequest, *, batch: str | None = None) -> Job:  # noqa: ARG002  # the port's
            raise PushRefused("account: not this one", "to: nor this one")

    queued, _, refused = take(Strict(), Form.CSV, [HEADER + rows(1, 2)])
    assert queued == 0
    assert [one.errors for one in refused] == [("account: not this one", "to: nor this one")] * 2
