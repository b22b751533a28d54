"""What real servers log as JSON: each line is one object, whoever says it, and masked."""

import json
import os
import signal
import time
from pathlib import Path
from typing import Any, Final

from gateway.simulator.documents import Document
from gateway.simulator.sealing import Fault, make_callback
from gateway.telemetry.masking import open_id_hash
from tests.e2e.server import ACCOUNTS, Server, running
from tests.support import AES_KEY, OPEN_ID, TOKEN, fresh_text, make_sender

SHOP: Final = f"""
import asyncio, logging
from gateway import Bot, Text

bot = Bot()
log = logging.getLogger("shop")

@bot.on(Text)
async def order(message):
    log.warning("order of %s", message.from_user_name, extra={{"shop": 7}})
    log.info("with %s", {{"token": "{TOKEN}", "key": "{AES_KEY}"}})
    try:
        raise ValueError("access_token=canary-token of {OPEN_ID}\\nopenid=canary-user&x")
    except ValueError:
        log.exception("it broke")

    async def lost():
        raise LookupError("{AES_KEY} of " + message.from_user_name)

    asyncio.create_task(lost())
    await asyncio.sleep(0.1)
    return "ok"
"""
"""A bot that logs what it should not, by itself and by asyncio."""


def _lines(server: Server) -> list[dict[str, Any]]:
    return [json.loads(line) for line in server.log.split("\n")[:-1]]


def _until(server: Server, logger: str, event: str, times: int = 1) -> list[dict[str, Any]]:
    """Wait for lines of a logger whose event begins so, and return them."""
    until = time.monotonic() + 20
    while True:
        found = [
            line
            for line in _lines(server)
            if line["logger"] == logger and line["event"].startswith(event)
        ]
        if len(found) >= times:
            return found
        assert time.monotonic() < until, f"no {event} of {logger}:\n{server.log}"
        time.sleep(0.05)


def _send(server: Server, document: Document, fault: Fault | None = None) -> int:
    callback = make_callback(
        make_sender(),
        document,
        now=int(time.time()),
        nonce=str(time.time_ns()),
        random=os.urandom(8).hex().encode(),
        fault=fault,
    )
    return server.ask("POST", f"/wechat/main?{callback.query}", callback.body)[0]


def test_every_line_of_every_process_is_json_with_nothing_secret(tmp_path: Path) -> None:
    (tmp_path / "shop.py").write_text(SHOP, encoding="utf-8")
    settings = f"[server]\nworkers = 2\n{ACCOUNTS}"
    with running("shop", tmp_path, settings, log_format="auto") as server:
        assert _send(server, fresh_text("canary-text")) == 200
        assert _send(server, fresh_text("canary-text"), Fault.SIGNATURE) == 403
        (refused,) = _until(server, "gateway.callback", "callback refused")
        assert (refused["account"], refused["reason"], refused["count"]) == ("main", "signature", 1)
        (ordered,) = _until(server, "shop", "order of ")
        assert ordered["event"] == f"order of {open_id_hash(OPEN_ID)}"
        assert (ordered["level"], ordered["shop"]) == ("warning", 7)
        (broke,) = _until(server, "shop", "it broke")
        assert broke["exception"].startswith("Traceback (most recent call last):\n")
        (lost,) = _until(server, "asyncio", "Task exception was never retrieved")
        assert f"LookupError: *** of {open_id_hash(OPEN_ID)}" in lost["exception"]
        assert len(_until(server, "gateway", "gateway ready", 2)) == 2
        assert len(_until(server, "_granian.serve", "Started worker-", 4)) == 4
        os.kill(server.process.pid, signal.SIGHUP)
        _until(server, "gateway", "gateway ready", 4)
        assert server.stop() == 0
    _until(server, "_granian", "Granian shutdown completed")
    for secret in (TOKEN, AES_KEY, OPEN_ID, "canary-token", "canary-user", "canary-text"):
        assert secret not in server.log
    for line in _lines(server):
        assert list(line)[:4] == ["timestamp", "level", "logger", "event"]


def test_a_worker_s_lines_are_json(tmp_path: Path) -> None:
    with running("worker", tmp_path, log_format="json") as worker:
        (ready,) = _until(worker, "gateway", "worker ready")
        assert (ready["store"], ready["concurrency"]) == ("sqlite", 32)
        assert worker.stop() == 0
    _until(worker, "gateway", "worker stops")
