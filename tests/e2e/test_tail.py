"""``gateway tail`` beside a gateway and its worker: what happens is there as it happens."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

from gateway.telemetry.masking import open_id_hash
from tests.e2e.server import ROOT
from tests.e2e.tailing import looked_on
from tests.e2e.test_background import _until
from tests.e2e.test_push import user
from tests.e2e.test_traces import World


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    """A gateway and its worker, whose spans go nowhere."""
    monkeypatch.delenv("OTEL_EXPORTER_OTLP_ENDPOINT", raising=False)
    with ExitStack() as opened:
        world = World(tmp_path, opened)
        worker = world.worker()
        opened.callback(worker.stop)
        yield world


@contextmanager
def tail(world: World, *arguments: str) -> Iterator[list[dict[str, Any]]]:
    """Look on, and give what was told when as much as was asked for is there."""
    output = world.folder / f"tail{len(arguments)}.jsonl"
    with output.open("wb") as file:
        looking = subprocess.Popen(
            [sys.executable, "-m", "gateway", "tail", "--json", *arguments],
            cwd=world.folder,
            env=os.environ | {"PYTHONPATH": str(ROOT)},
            stdout=file,
            stderr=subprocess.PIPE,
        )
    told: list[dict[str, Any]] = []
    try:
        _until(lambda: looked_on(world.folder) >= 2)
        yield told
        assert looking.wait(30) == 0
    finally:
        looking.kill()
        looking.communicate()
    told += [json.loads(line) for line in output.read_text("utf-8").splitlines()]


def test_what_happens_in_all_processes_is_told_as_asked_for(world: World) -> None:
    mine = ("--user", user(1), "--limit", "4")
    with tail(world, *mine) as told:
        world.follow(2)
        world.follow(1)
    assert sorted(one["what"] for one in told if one["type"] != "TemplateSendJobFinish") == [
        *("attempt", "callback", "queued")
    ]
    assert {one["user"] for one in told} == {open_id_hash(user(1))}
    (callback,) = [one for one in told if one["type"] == "Subscribe"]
    assert (callback["account"], callback["outcome"]) == ("main", "reply")
    assert callback["seconds"] > 0
    assert user(1) not in str(told)


def test_a_refusal_is_told_of_without_anything_that_its_sender_said(world: World) -> None:
    with tail(world, "--account", "main", "--limit", "1") as told:
        status, _, _ = world.server.ask("GET", "/wechat/main?signature=x&echostr=hunter2")
        assert status == 403
    (one,) = told
    assert (one["what"], one["account"]) == ("refused", "main")
    assert one["outcome"]
    assert "hunter2" not in str(one)
