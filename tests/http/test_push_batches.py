"""Batches over HTTP: a line each, queued while they come in."""

import asyncio
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import msgspec
import pytest

from gateway.http import patience
from gateway.http.api import asking, batches
from gateway.http.api.batches import Tally
from gateway.outbound.batches import MAX_LINE, Progress, Refusal
from gateway.outbound.jobs import State
from tests.http.push_api import SECRETS, Api, errors, message, serving
from tests.outbound.pool import user

WHERE: Final = "/push/batches"
NDJSON: Final = "application/x-ndjson"
CSV: Final = "text/csv"
HEADER: Final = b"to,goods,fen\n"
AGAIN: Final = "; send the same batch again, nothing is queued twice"


@pytest.fixture
def api(tmp_path: Path) -> Iterator[Api]:
    """The API."""
    with serving(tmp_path) as one:
        yield one


def rows(*numbers: int) -> bytes:
    """Return rows of a CSV, without its header."""
    return "".join(f"{user(one)},巧克力,{one}\n" for one in numbers).encode()


def send(api: Api, body: Any, content_type: str = CSV, key: str = "all", **more: str) -> Any:
    """Send a batch."""
    query = {"name": "b-1", "template": "order-shipped", "account": "main"} | more
    headers = {"content-type": content_type}
    return api.ask("POST", WHERE, key, content=body, headers=headers, params=query)


def test_each_line_is_queued_or_told_of_with_its_number(api: Api) -> None:
    body = HEADER + rows(1, 2) + b"?,x,1\n" + f"{user(4)},{'x' * 21},1\n".encode() + rows(5)
    answer = send(api, body)
    assert answer.status_code == 202
    assert answer.json() == {
        "batch": "b-1",
        "queued": 3,
        "known": 0,
        "refused": 2,
        "refused_lines": [
            {
                "line": 4,
                "errors": [
                    {
                        "field": "to",
                        "detail": "no open id; it is of letters, digits, - and _, such as oUser…",
                    }
                ],
            },
            {
                "line": 5,
                "errors": [
                    {"field": "data.thing1", "detail": "has 21 characters, and WeChat takes 20"}
                ],
            },
        ],
        "more_refused": 0,
    }
    assert {one.batch for one in api.stored()} == {"b-1"}
    assert send(api, body).json()["known"] == 3
    assert len(api.stored()) == 3
    stands = api.ask("GET", f"{WHERE}/b-1").json()
    assert stands == {"batch": "b-1", "messages": 3, "states": {"queued": 3}}
    api.end(State.SENT, limit=1)
    stands = api.ask("GET", f"{WHERE}/b-1").json()
    assert stands["states"] == {"queued": 2, "sent": 1}


def test_lines_of_json_may_say_what_the_query_says_for_all(api: Api) -> None:
    lines = [message(1), message(2, account="other"), {"to": user(3), "data": {"goods": "x"}}]
    lines += [{"to": user(4), "data": {"goods": "x", "fen": 1}}]
    answer = send(api, b"\n".join(msgspec.json.encode(one) for one in lines), f"{NDJSON}; x=y")
    assert answer.json()["queued"] == 3
    assert answer.json()["refused_lines"][0]["errors"][0]["field"] == "data.amount2"
    assert sorted(one.account for one in api.stored()) == ["main", "main", "other"]


def test_a_key_s_accounts_hold_for_each_line(api: Api) -> None:
    lines = [message(1), message(2, account="other"), message(3, account="")]
    body = b"\n".join(msgspec.json.encode(one) for one in lines)
    told = send(api, body, NDJSON, "main", account="").json()
    assert (told["queued"], told["refused"]) == (2, 1)
    assert told["refused_lines"] == [
        {"line": 2, "errors": [{"field": "account", "detail": "this key is not for other"}]}
    ]
    told = send(api, body, NDJSON, "two", account="", name="b-2").json()
    assert told["refused_lines"] == [
        {"line": 3, "errors": [{"field": "account", "detail": "missing; give one of: main, other"}]}
    ]


@pytest.mark.parametrize(
    ("more", "field", "detail"),
    [
        ({"name": ""}, "name", "Expected `str` matching regex"),
        ({"name": "a b"}, "name", "Expected `str` matching regex"),
        ({"name": "é"}, "name", "Expected `str` matching regex"),
        ({"name": "a" * 101}, "name", "Expected `str` matching regex"),
        ({"nme": "x"}, "nme", "unknown"),
    ],
    ids=str,
)
def test_a_batch_has_a_name_and_nothing_unknown(
    api: Api, more: dict[str, str], field: str, detail: str
) -> None:
    answer = send(api, HEADER + rows(1), **more)
    assert answer.status_code == 422
    assert errors(answer)[field].startswith(detail)
    answer = api.ask("POST", WHERE, headers={"content-type": CSV}, content=HEADER + rows(1))
    assert errors(answer) == {"name": "missing"}
    assert api.stored() == []


@pytest.mark.parametrize(
    ("content_type", "said"),
    [
        ("application/json", "give one of: application/x-ndjson, text/csv"),
        ("", "give one of: application/x-ndjson, text/csv"),
        ("text/csv; charset=gbk", "the charset must be utf-8; save the file as UTF-8"),
    ],
)
def test_a_form_that_is_not_known_is_refused(api: Api, content_type: str, said: str) -> None:
    answer = send(api, HEADER + rows(1), content_type)
    assert (answer.status_code, answer.json()["detail"]) == (415, f"Content-Type: {said}")
    assert send(api, HEADER + rows(1), 'text/csv; charset="UTF-8"').status_code == 202


def test_a_wrong_header_is_refused_and_nothing_is_stored(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Behind a body's end nothing is waited for.
    monkeypatch.setattr(asking, "LEFT_SECONDS", 1000.0)
    answer = send(api, b"openid,goods,fen\n" + rows(*range(5000)))
    assert answer.status_code == 422
    assert errors(answer)[""].startswith("the header: has no column called to")
    answer = send(api, "to,商品\n".encode("gbk") + rows(1))
    assert errors(answer)[""].startswith("the header: not UTF-8; save the file as UTF-8")
    assert api.stored() == []


def test_lines_in_gbk_and_of_ten_megabytes_are_told_of_and_the_others_are_stored(
    api: Api,
) -> None:
    def body() -> Iterator[bytes]:
        yield HEADER + rows(1) + rows(2).decode().encode("gbk")
        yield from (b"x" * 100_000 for _ in range(100))
        yield b"\n" + rows(4)

    told = send(api, body()).json()
    assert (told["queued"], told["refused"]) == (2, 2)
    first, second = told["refused_lines"]
    assert (first["line"], second["line"]) == (3, 4)
    assert first["errors"][0]["detail"].startswith("not UTF-8; save the file as UTF-8")
    assert second["errors"] == [{"detail": f"longer than {MAX_LINE:,} bytes"}]


def test_a_thousand_refused_lines_are_told_of_and_how_many_more_there_are(api: Api) -> None:
    told = send(api, HEADER + b"x\n" * 2500 + rows(1)).json()
    assert (told["queued"], told["refused"], told["more_refused"]) == (1, 2500, 1500)
    assert [one["line"] for one in told["refused_lines"]] == list(range(2, 1002))


def test_a_tally_adds_up() -> None:
    tally = Tally("b", "crm")
    tally.add(Progress(2, 1, (Refusal(3, ("to: x",)),), 9))
    tally.add(Progress(1, 0, tuple(Refusal(n, ("to: x",)) for n in range(2000)), 9))
    assert tally.counts() == {"queued": 3, "known": 1, "refused": 2001}
    assert tally.fields() == {"batch": "b", "key": "crm", **tally.counts()}
    assert (len(tally.taken().refused_lines), tally.taken().more_refused) == (1000, 1001)


def test_without_a_length_a_last_line_that_is_not_ended_may_be_cut(api: Api) -> None:
    told = send(api, iter([HEADER + rows(1), rows(2).rstrip()])).json()
    assert (told["queued"], told["refused_lines"][0]["line"]) == (1, 3)
    assert send(api, HEADER + rows(1, 2).rstrip()).json()["queued"] == 1


def test_where_the_store_goes_down_it_is_told_how_far_it_was(
    api: Api, caplog: pytest.LogCaptureFixture
) -> None:
    api.queue.calls_left = 2
    answer = send(api, HEADER + rows(*range(3500)))
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")
    assert answer.json()["detail"] == f"the store went down{AGAIN}"
    assert answer.json()["queued"] == 2000
    line = "batch broke off batch=b-1 key=all queued=2000 known=0 refused=0 "
    assert f'{line}reason="the store went down"' in caplog.text
    api.queue.calls_left = 100
    told = send(api, HEADER + rows(*range(3500))).json()
    assert (told["queued"], told["known"]) == (1500, 2000)
    assert len(api.stored()) == 3500


async def _exchange(api: Api, chunks: list[bytes], *, hangs: bool) -> tuple[int, dict[str, Any]]:
    """Send a batch that breaks off: nothing comes any more, or the client goes away."""
    sent: list[Any] = []
    waiting = [{"type": "http.request", "body": chunk, "more_body": True} for chunk in chunks]

    async def receive() -> Any:
        if waiting:
            return waiting.pop(0)
        if hangs:
            await asyncio.sleep(30)
        return {"type": "http.disconnect"}

    async def answer(event: Any) -> None:
        sent.append(event)

    headers = {"authorization": f"Bearer {SECRETS['all']}", "content-type": CSV}
    scope: Any = {
        "type": "http",
        "method": "POST",
        "path": WHERE,
        "query_string": b"name=b-1&template=order-shipped&account=main",
        "headers": [(name.encode(), value.encode()) for name, value in headers.items()],
        "http_version": "1.1",
        "scheme": "http",
        "client": None,
        "server": None,
        "root_path": "",
        "extensions": {},
        "state": {},
    }
    await api.client.app(scope, receive, answer)
    return sent[0]["status"], msgspec.json.decode(sent[1]["body"])


@pytest.mark.parametrize(
    ("hangs", "status", "why"),
    [(True, 408, "nothing came for 60 s"), (False, 400, "its client went away")],
)
def test_of_a_batch_that_breaks_off_what_was_stored_stays(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    hangs: bool,
    status: int,
    why: str,
) -> None:
    monkeypatch.setattr(patience, "SWEEP", 0.02)
    monkeypatch.setattr(batches, "IDLE_SECONDS", 0.1)
    body = HEADER + rows(*range(1500))
    with serving(tmp_path) as api:
        got, told = api.run(lambda: _exchange(api, [body[:99], body[99:-9]], hangs=hangs))
        assert (got, told["detail"]) == (status, f"{why}{AGAIN}")
        assert (told["queued"], told["known"], told["refused"]) == (1000, 0, 0)
        line = "batch broke off batch=b-1 key=all queued=1000 known=0 refused=0"
        assert f'{line} reason="{why}"' in caplog.text
        assert len(api.stored()) == 1000
        again = send(api, body).json()
        assert (again["queued"], again["known"]) == (500, 1000)


def test_a_batch_is_one_line_in_the_log(api: Api, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    send(api, HEADER + rows(1) + b"x\n")
    lines = [r.getMessage() for r in caplog.records if r.name == "gateway.push"]
    assert lines == ["batch taken batch=b-1 key=all queued=1 known=0 refused=1"]
