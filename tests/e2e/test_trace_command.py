"""``gateway trace`` beside a gateway: one message's life across processes, with no collector."""

import json
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from gateway.telemetry.masking import open_id_hash
from tests.cli.running import Command
from tests.e2e.test_background import _until
from tests.e2e.test_push import user
from tests.e2e.test_traces import World


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    """A gateway and its worker, whose spans go nowhere."""
    monkeypatch.delenv("OTEL_EXPORTER_OTLP_ENDPOINT", raising=False)
    monkeypatch.chdir(tmp_path)
    with ExitStack() as opened:
        world = World(tmp_path, opened)
        worker = world.worker()
        opened.callback(worker.stop)
        yield world


def test_an_event_is_followed_from_callback_to_receipt(world: World, command: Command) -> None:
    world.follow(1)

    def pushed() -> list[dict[str, Any]]:
        lines = command("push", "list", "--to", user(1), "--json").out.splitlines()
        return [json.loads(line) for line in lines]

    _until(lambda: [one["state"] for one in pushed()] == ["delivered"])
    (job,) = pushed()
    shown = json.loads(command("trace", job["id"], "--json").out)
    assert shown["trace_id"] == job["trace_id"]
    (received,) = shown["events"]
    assert [one["what"] for one in received["then"]] == [
        *("verified and claimed", "replied", "queued")
    ]
    queued = received["then"][-1]
    assert [one["what"] for one in queued["then"]] == ["attempt 1", "receipt"]
    times = [received["at"], queued["at"], *(one["at"] for one in queued["then"])]
    assert times == sorted(times)
    # By the message's id the same is told; and for people, by lines.
    assert json.loads(command("trace", job["trace_id"], "--json").out) == shown
    told = command("trace", job["trace_id"]).out
    assert told.splitlines()[0] == job["trace_id"]
    assert open_id_hash(user(1)) in told
    assert user(1) not in told
    assert "巧克力" not in told
    assert " s  delivered" in told.splitlines()[-1]
