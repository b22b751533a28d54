"""The HTTP API of pushing in a real server: batches are streamed, whoever sends them."""

import http.client
import os
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlencode

import msgspec
import pytest

from gateway.http.api.keys import KEY_BYTES, Scope, digest_of, fresh_key
from tests.e2e.server import Server, running
from tests.services import _children
from tests.support import APP_ID, TOKEN

KEY: Final = fresh_key(b"e2e".ljust(KEY_BYTES, b"-"))
ACCOUNT: Final = f"""
[accounts.main]
app_id = "{APP_ID}"
token = "{TOKEN}"
mode = "plain"
app_secret = "s3cr3t"
api_url = "http://127.0.0.1:1"

[push]
concurrency = 0
max_body = 100000
"""
API_KEY: Final = f"""
[api_keys.crm]
hash = "{digest_of(KEY).hex()}"
scopes = {msgspec.json.encode(list(Scope)).decode()}
"""
TEMPLATE: Final = """
template_id = "T1"
[fields.thing1]
value = "{{ goods }}"
"""
USER: Final = "oUser000000000000000000000001"
CHUNKED: Final = {"transfer-encoding": "chunked"}
BEARER: Final = {"authorization": f"Bearer {KEY}"}
NOTE: Final = b"x" * 2000
ROW: Final = USER.encode() + b",tea," + NOTE + b"\n"
HEADER: Final = b"to,goods,note\n"


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    """A server that stores messages and sends none."""
    (tmp_path / "templates").mkdir()
    (tmp_path / "templates" / "order-shipped.toml").write_text(TEMPLATE, encoding="utf-8")
    with running("rsgi", tmp_path, ACCOUNT + API_KEY) as one:
        yield one


def ask(server: Server, method: str, path: str, body: Any = None) -> tuple[int, Any]:
    """Send a request of JSON; return the status and what was answered."""
    given = None if body is None else msgspec.json.encode(body)
    status, _, answer = server.ask(method, path, given, **BEARER)
    return status, msgspec.json.decode(answer)


@contextmanager
def begun(server: Server, name: str, **headers: str) -> Iterator[http.client.HTTPConnection]:
    """Begin to send a batch."""
    query = urlencode({"name": name, "template": "order-shipped"})
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
    connection.putrequest("POST", f"/push/batches?{query}")
    for header, value in (BEARER | {"content-type": "text/csv"} | headers).items():
        connection.putheader(header, value)
    connection.endheaders()
    with closing(connection):
        yield connection


def send_whole(server: Server, name: str, body: bytes) -> Any:
    """Send a batch; return what was answered."""
    with begun(server, name, **{"content-length": str(len(body))}) as connection:
        connection.send(body)
        answer = connection.getresponse()
        assert answer.status == 202
        return msgspec.json.decode(answer.read())


def chunk(data: bytes) -> bytes:
    """Return data as a chunk of a body; none ends it."""
    return b"%x\r\n%s\r\n" % (len(data), data)


def stored(server: Server, name: str) -> int:
    """Return how many of a batch are stored."""
    status, stands = ask(server, "GET", f"/push/batches/{name}")
    return int(stands["messages"]) if status == 200 else 0


def until(ready: Callable[[], bool]) -> None:
    """Wait until it is so."""
    end = time.monotonic() + 20
    while not ready():
        assert time.monotonic() < end
        time.sleep(0.02)


def resident(server: Server) -> int:
    """Return the bytes that the server's processes have in memory."""
    pids = [server.process.pid, *_children(server.process.pid)]
    fields = [Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split() for pid in pids]
    return sum(int(one[1]) for one in fields) * os.sysconf("SC_PAGE_SIZE")


def test_a_message_is_sent_and_looked_at(server: Server) -> None:
    sent = {"to": USER, "template": "order-shipped", "data": {"goods": "巧克力"}}
    status, told = ask(server, "POST", "/push/messages", sent)
    assert (status, told["state"]) == (202, "queued")
    status, told = ask(server, "GET", f"/push/messages/{told['id']}")
    assert (status, told["account"], told["state"]) == (200, "main", "queued")
    assert ask(server, "POST", "/push/messages", {"to": "?"})[0] == 422
    assert ask(server, "POST", "/push/messages", {"to": "x" * 100_000})[0] == 413
    assert server.ask("GET", "/push/backlog")[0] == 401
    assert server.ask("GET", "/openapi.json")[0] == 200
    assert server.ask("GET", "/nothing")[0] == 404
    assert KEY not in server.log
    assert USER not in server.log


def test_fifty_megabytes_are_streamed_in_little_memory_and_progress_is_told_meanwhile(
    server: Server,
) -> None:
    # Whatever is loaded with the first one of all is there.
    send_whole(server, "warm", HEADER + ROW * 2000)
    before, most, seen = resident(server), 0, []
    piece, pieces = ROW * 32, 50_000_000 // len(ROW * 32)
    with begun(server, "big", **CHUNKED) as connection:
        connection.send(chunk(HEADER))
        for number in range(pieces):
            connection.send(chunk(piece))
            if number % 100 == 0:
                most = max(most, resident(server))
                seen.append(stored(server, "big"))
        connection.send(chunk(b""))
        told = msgspec.json.decode(connection.getresponse().read())
    assert told == {
        "batch": "big",
        "queued": pieces * 32,
        "known": 0,
        "refused": 0,
        "refused_lines": [],
        "more_refused": 0,
    }
    assert max(most, resident(server)) - before < 30_000_000
    assert seen == sorted(seen)
    assert 0 < seen[len(seen) // 2] < pieces * 32
    assert f"batch taken batch=big key=crm queued={pieces * 32} known=0 refused=0" in server.log


def test_whoever_sends_ten_megabytes_hears_why_they_are_refused(server: Server) -> None:
    huge = b"x" * 10_000_000
    for path, status in (
        ("/push/messages", 413),
        ("/push/batches?name=b", 415),
        ("/push/batches?nme=b", 422),
    ):
        assert server.ask("POST", path, huge, **BEARER)[0] == status
    with begun(server, "b", **CHUNKED) as connection:
        connection.send(chunk(b"openid,goods\n"))
        for _ in range(100):
            connection.send(chunk(huge[:100_000]))
        connection.send(chunk(b""))
        assert connection.getresponse().status == 422


@pytest.mark.parametrize("has_length", [True, False])
def test_a_client_that_goes_away_in_the_middle_leaves_what_was_stored_and_no_half_line(
    server: Server, has_length: bool
) -> None:
    body = HEADER + ROW * 2500 + ROW[:40]
    headers = {"content-length": "10000000"} if has_length else CHUNKED
    with begun(server, "cut", **headers) as connection:
        connection.send(body if has_length else chunk(body))
        until(lambda: stored(server, "cut") >= 2000)
    until(lambda: " batch=cut " in server.log)
    if has_length:
        line = "batch broke off batch=cut key=crm queued=2000 known=0 refused=0 reason="
        assert line in server.log
        assert stored(server, "cut") == 2000
    else:
        # Granian tells nobody; what came is whole lines, and one that may be cut.
        assert "batch taken batch=cut key=crm queued=2500 known=0 refused=1" in server.log
    told = send_whole(server, "cut", HEADER + ROW * 2600)
    assert told["queued"] + told["known"] == 2600
    assert stored(server, "cut") == 2600
    assert "Traceback" not in server.log


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        (ACCOUNT, None),
        (ACCOUNT.replace('app_secret = "s3cr3t"\n', "") + API_KEY, "[api_keys] without /push"),
    ],
    ids=["no key", "no account that can push"],
)
def test_where_nobody_can_push_there_is_no_such_place(
    settings: str, said: str | None, tmp_path: Path
) -> None:
    with running("rsgi", tmp_path, settings) as server:
        for path in ("/push/messages", "/openapi.json"):
            assert server.ask("GET", path, None, **BEARER)[0] == 404
        assert ("[api_keys]" in server.log) is (said is not None)
        assert said is None or said in server.log
