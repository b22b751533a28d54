"""What /metrics tells is what happened, to the unit, with one worker and with several."""

import asyncio
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

import aiohttp
import pytest

from gateway.cli.sending import fresh_callback
from gateway.simulator.platform import Platform
from gateway.simulator.sealing import Fault
from tests.cli.running import Command
from tests.e2e.platform import PlatformServer, platform
from tests.e2e.server import Server, running
from tests.e2e.test_push import CONTENT, SETTINGS, TEMPLATE, user
from tests.services import free_port, wait_until
from tests.support import fresh_text, make_sender

MESSAGES: Final = 40
REPEATED: Final = 7
FORGED: Final = 5
PUSHED: Final = 6
BLOCKED: Final = 2
"""Of those, the ones whose users block what is sent."""

_LINE: Final = re.compile(r"^(\w+)(?:\{([^}]*)\})? (\S+)$")
_LABEL: Final = re.compile(r'(\w+)="([^"]*)"')


class World(NamedTuple):
    """What a test has."""

    folder: Path
    server: Server
    platform: PlatformServer


@pytest.fixture(params=["rsgi", "workers"])
def world(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[World]:
    """A gateway of one or two workers, beside a platform."""
    (tmp_path / "templates").mkdir()
    (tmp_path / "templates" / "order-shipped.toml").write_text(TEMPLATE, encoding="utf-8")
    port = free_port()
    with (
        running(request.param, tmp_path, SETTINGS.format(port=port)) as server,
        platform(tmp_path, port, server.port) as beside,
    ):
        beside.set("templates", id="T1", title="发货提醒", content=CONTENT)
        yield World(tmp_path, server, beside)


def told(server: Server, name: str, *labels: str) -> Counter[tuple[str, ...]]:
    """Return a metric's values, summed by these labels."""
    status, headers, body = server.ask("GET", "/metrics")
    assert status == 200
    assert headers["content-type"].startswith("text/plain; version=")
    found: Counter[tuple[str, ...]] = Counter()
    for line in body.decode().splitlines():
        match = _LINE.match(line)
        if match is not None and match[1] == name:
            of = dict(_LABEL.findall(match[2] or ""))
            found[tuple(of[label] for label in labels)] += int(float(match[3]))
    return found


async def _call(server: Server) -> None:
    sender = make_sender()
    # A connection each, so that all workers have some.
    connector = aiohttp.TCPConnector(force_close=True)
    async with aiohttp.ClientSession(connector=connector) as session:
        wechat = Platform(session, sender, f"{server.url}/wechat/main")

        async def deliver(text: str, times: int = 1, fault: Fault | None = None) -> None:
            document = fresh_text(text)
            for _ in range(times):
                await wechat.deliver(lambda: fresh_callback(sender, document, fault), tries=1)

        await asyncio.gather(*(deliver("hello") for _ in range(MESSAGES)))
        await asyncio.gather(*(deliver("hello", 2) for _ in range(REPEATED)))
        await asyncio.gather(*(deliver("hello", 1, Fault.SIGNATURE) for _ in range(FORGED)))


def test_all_that_is_counted_is_what_the_platform_sent_and_got(
    world: World, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = world.server
    monkeypatch.chdir(world.folder)
    asyncio.run(_call(server))
    verified = MESSAGES + 2 * REPEATED
    callbacks = "gateway_callback_duration_seconds_count"
    assert told(server, callbacks, "outcome") == {("reply",): verified, ("refused",): FORGED}
    assert told(server, "gateway_messages_total", "account", "type") == {("main", "Text"): verified}
    assert told(server, "gateway_messages_duplicates_total", "found") == {("done",): REPEATED}
    assert told(server, "gateway_callback_refusals_total", "account", "reason") == {
        ("main", "signature"): FORGED
    }
    for number in range(BLOCKED):
        world.platform.set(f"users/{user(number)}", blocks=True)
    for number in range(PUSHED):
        row = '{"number": "A17", "goods": "巧克力"}'
        to = ("--to", user(number), "--data", row)
        assert command("push", "template", "order-shipped", *to).code == 0
    receipts = {
        ("template", "failed"): BLOCKED,
        ("template", "delivered"): PUSHED - BLOCKED,
    }
    wait_until(
        lambda: told(server, "gateway_push_receipts_total", "channel", "state") == receipts,
        "the receipts",
    )
    attempts = told(server, "gateway_push_attempts_total", "account", "outcome", "errcode")
    assert attempts == {("main", "sent", "0"): PUSHED}
    sent = "/cgi-bin/message/template/send"
    calls = told(server, "gateway_api_duration_seconds_count", "endpoint", "outcome")
    taken = [world.platform.received(user(number)) for number in range(PUSHED)]
    assert calls[sent, "ok"] == sum(map(len, taken)) + BLOCKED - sum(map(len, taken[:BLOCKED]))
    # The receipts are callbacks too.
    assert told(server, "gateway_messages_total", "type")["TemplateSendJobFinish",] == PUSHED
    fetched = told(server, "gateway_token_refreshes_total", "account", "outcome")
    assert fetched == {("main", "ok"): 1}


def test_health_and_metrics_are_told_at_their_own_address_and_no_longer_at_the_callbacks(
    tmp_path: Path,
) -> None:
    port = free_port()
    settings = SETTINGS.format(port=1) + f'\n[telemetry]\nlisten = "127.0.0.1:{port}"\n'
    with running("workers", tmp_path, settings, ready="/health/live") as server:
        own = Server("own", port, server.process, server.log_file)
        assert server.ask("GET", "/metrics")[0] == 404
        assert server.ask("GET", "/health/ready")[0] == 404
        assert server.ask("GET", "/health/live")[0] == 200
        assert own.ask("GET", "/health/live")[0] == 200
        status, headers, body = own.ask("GET", "/health/ready")
        assert (status, headers["content-type"]) == (200, "application/json")
        assert b'"migrations"' not in body
        assert b'"store":{"status":"ok"' in body
        asyncio.run(_call(server))
        assert told(own, "gateway_messages_total") == {(): MESSAGES + 2 * REPEATED}


def test_a_worker_tells_of_itself_where_it_is_given_an_address(tmp_path: Path) -> None:
    port = free_port()
    settings = SETTINGS.format(port=1) + f'\n[telemetry]\nlisten = "127.0.0.1:{port}"\n'
    with running("worker", tmp_path, settings, port=port) as server:
        assert server.ask("GET", "/health/ready")[0] == 200
        assert told(server, "gateway_info", "store") == {("sqlite",): 1}
