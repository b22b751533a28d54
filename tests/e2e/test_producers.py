"""Other services' events reach a real gateway, signed, and everyone who wants them, once."""

import json
import signal
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import pytest
from standardwebhooks import Webhook

from tests.e2e.server import ACCOUNTS, Server, running, start
from tests.e2e.test_background import _until
from tests.e2e.test_sinks import SECRET, Endpoint, _send, _sink
from tests.support import fresh_text

BILLING: Final = Webhook(SECRET)

PRODUCERS: Final = f"""
[producers.billing]
secret = "{SECRET}"

[inbound]
retry_base = 0.05
"""


def signed(body: str, id_: str, **headers: str) -> dict[str, str]:
    """Return the headers of a request, as Standard Webhooks has them."""
    at = datetime.fromtimestamp(int(time.time()), UTC)
    return {
        "webhook-id": id_,
        "webhook-timestamp": str(int(at.timestamp())),
        "webhook-signature": BILLING.sign(id_, at, body),
    } | {name.replace("_", "-"): value for name, value in headers.items()}


def post(server: Server, body: str, id_: str, **headers: str) -> tuple[int, Any]:
    """Send an event; return the status, and the JSON of the answer."""
    status, _, answer = server.ask("POST", "/events", body.encode(), **signed(body, id_, **headers))
    return status, json.loads(answer) if answer else None


def runs(folder: Path) -> list[str]:
    """Return what the bot's handlers noted."""
    noted = folder / "runs.log"
    return noted.read_text(encoding="utf-8").splitlines() if noted.exists() else []


@pytest.mark.parametrize("kind", ["rsgi", "uvicorn"])
def test_an_event_reaches_its_handler_once_whatever_its_producer_repeats(
    kind: str, tmp_path: Path
) -> None:
    with running(kind, tmp_path, ACCOUNTS + PRODUCERS) as server:
        transfer = {"content_type": "application/x-transfer+json"}
        first = post(server, '{"amount": 1}', "msg_1", **transfer)
        assert first[0] == 202
        assert first[1] == {"id": first[1]["id"], "type": "command/transfer", "subscribers": 1}
        for _ in range(3):
            assert post(server, '{"amount": 1}', "msg_1", **transfer) == first
        post(server, "plain", "msg_2", x_message_type="command/stop", content_type="text/plain")
        _until(lambda: len(runs(tmp_path)) == 2)
        time.sleep(0.3)
        assert runs(tmp_path) == [
            "command/transfer:/events/billing:{'amount': 1}",
            "command/stop:/events/billing:plain",
        ]


def test_an_event_reaches_a_sink_by_its_type(tmp_path: Path) -> None:
    with Endpoint().listening() as endpoint:
        sink = _sink(endpoint.port, types='["generic/*", "unknown/plain"]').partition("[inbound]")[
            0
        ]
        with running("rsgi", tmp_path, ACCOUNTS + PRODUCERS + sink) as server:
            status, said = post(server, "[1,  2]", "a", content_type="application/json")
            assert (status, said["type"], said["subscribers"]) == (202, "generic/json", 1)
            status, said = post(server, "hello", "b", content_type="text/plain")
            assert (status, said["type"], said["subscribers"]) == (202, "unknown/plain", 1)
            _until(lambda: len(endpoint.events) == 2)
        first, second = endpoint.events
        assert (first["source"], first["data"]) == ("/events/billing", [1, 2])
        assert (second["datacontenttype"], second["data"]) == ("text/plain", "hello")
        assert "account" not in first


def test_what_is_not_signed_learns_nothing(tmp_path: Path) -> None:
    with running("rsgi", tmp_path, ACCOUNTS + PRODUCERS) as server:
        good = signed("{}", "id")
        for name, value in (
            ("webhook-signature", "v1,AAAA"),
            ("webhook-signature", "v1"),
            ("webhook-signature", "\xe9,,,"),
            ("webhook-timestamp", "nan"),
            ("webhook-timestamp", str(int(time.time()) - 400)),
            ("webhook-id", "other"),
        ):
            status, _, body = server.ask("POST", "/events", b"{}", **(good | {name: value}))
            assert (status, body) == (401, b"")
        assert server.ask("POST", "/events", b"{}")[0] == 401
        assert server.ask("POST", "/events", b"\xff\xfe", **good)[0] == 401
        assert "callback refused account=/events reason=signature" in server.log
        assert server.ask("POST", "/events", b"x" * 300_000, **good)[0] == 413
        assert server.ask("GET", "/events")[0] == 405


def test_a_producer_is_told_what_to_mend(tmp_path: Path) -> None:
    with running("rsgi", tmp_path, ACCOUNTS + PRODUCERS) as server:
        status, said = post(server, "{", "id", content_type="application/json")
        assert (status, said["error"][:40]) == (400, "body: not the JSON that Content-Type say")
        status, said = post(server, "{}", "id", x_message_type="user.subscribed")
        assert (status, said["error"][:33]) == (400, "X-Message-Type: write FAMILY/NAME")
        status, said = post(server, "{}", "i" * 300)
        assert (status, said["error"][:11]) == (400, "webhook-id:")


def test_without_producers_there_is_no_such_place(tmp_path: Path) -> None:
    with running("rsgi", tmp_path) as server:
        assert server.ask("POST", "/events", b"{}", **signed("{}", "id"))[0] == 404


def test_a_handler_that_is_registered_while_the_gateway_runs_gets_what_comes_then(
    tmp_path: Path,
) -> None:
    with running("rsgi", tmp_path, ACCOUNTS + PRODUCERS) as server:
        assert post(server, "1", "before", x_message_type="new/thing")[1]["subscribers"] == 0
        _send(server, fresh_text("obey new/thing"))
        assert post(server, "2", "behind", x_message_type="new/thing")[1]["subscribers"] == 1
        _until(lambda: "obeyed new/thing:2" in runs(tmp_path))
        assert "obeyed new/thing:1" not in runs(tmp_path)


def test_a_sink_that_is_added_while_the_gateway_runs_gets_what_comes_behind_a_hangup_signal(
    tmp_path: Path,
) -> None:
    with (
        Endpoint().listening() as endpoint,
        running("rsgi", tmp_path, ACCOUNTS + PRODUCERS) as server,
    ):
        sink = _sink(endpoint.port).partition("[inbound]")[0]
        (tmp_path / "gateway.toml").write_text(ACCOUNTS + PRODUCERS + sink, encoding="utf-8")
        server.process.send_signal(signal.SIGHUP)
        _until(lambda: server.log.count("gateway ready") == 2)
        _until(lambda: post(server, "{}", "behind")[1]["subscribers"] == 1)
        _until(lambda: [one["type"] for one in endpoint.events] == ["unknown/plain"])


def test_a_worker_starts_anew_at_a_hangup_signal(tmp_path: Path) -> None:
    with running("rsgi", tmp_path, ACCOUNTS + "[inbound]\nconcurrency = 0\n") as server:
        worker = start("worker", tmp_path, ACCOUNTS + PRODUCERS)
        try:
            _until(lambda: "worker ready" in worker.log)
            worker.process.send_signal(signal.SIGHUP)
            _until(lambda: worker.log.count("worker ready") == 2)
            _send(server, fresh_text("later still"))
            _until(lambda: "still" in runs(tmp_path))
            assert worker.stop() == 0
        finally:
            worker.kill()
