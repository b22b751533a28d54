"""One trace from a callback to the receipt of what it led to, across processes.

Seen by a receiver of OTLP, as a collector is one.
"""

import asyncio
import json
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Final

import aiohttp
import pytest

from gateway.cli.sending import fresh_callback
from gateway.simulator.documents import event
from gateway.simulator.platform import Platform
from tests.e2e.collector import Collector, Received, collector
from tests.e2e.platform import PlatformServer, platform
from tests.e2e.server import Server, running, start, wait_until_ready
from tests.e2e.signing_in import place
from tests.e2e.test_push import CONTENT, SETTINGS, TEMPLATE, user
from tests.e2e.test_push_api import API_KEY, BEARER
from tests.e2e.test_sinks import Endpoint, _sink
from tests.services import free_port, wait_until
from tests.support import ACCOUNT_ID, make_sender

BOT: Final = """
from gateway import Bot, Subscribe

bot = Bot()


@bot.on(Subscribe)
async def welcome(message: Subscribe) -> str:
    goods = {"number": "A17", "goods": "巧克力"}
    await bot.push.template("main", message.from_user_name, "order-shipped", goods)
    return "welcome"
"""
PUSH: Final = """
lease = 8
concurrency = 0

[api]
timeout = 4
connect_timeout = 1
"""
PATH: Final = "POST /cgi-bin/message/template/send"
LIFE: Final = (
    *("POST /wechat/{account}", "claim", "handle shop.welcome"),
    *("send push", "process push", PATH, "receive receipt"),
)
PARENTS: Final = {
    "claim": "POST /wechat/{account}",
    "handle shop.welcome": "POST /wechat/{account}",
    "send push": "handle shop.welcome",
    "process push": "send push",
    PATH: "process push",
    "receive receipt": "send push",
}


class World:
    """A gateway whose workers send, WeChat's API beside it, and a collector."""

    def __init__(self, folder: Path, opened: ExitStack) -> None:
        (folder / "templates").mkdir()
        (folder / "templates" / "order-shipped.toml").write_text(TEMPLATE, encoding="utf-8")
        (folder / "shop.py").write_text(BOT, encoding="utf-8")
        self.folder = folder
        port = free_port()
        self.endpoint = opened.enter_context(Endpoint().listening())
        sink = _sink(self.endpoint.port).partition("[inbound]")[0]
        self.settings = SETTINGS.format(port=port) + PUSH + API_KEY + sink
        self.server = opened.enter_context(running("shop", folder, self.settings))
        self.platform: PlatformServer = opened.enter_context(
            platform(folder, port, self.server.port)
        )
        self.platform.set("templates", id="T1", title="发货提醒", content=CONTENT)

    def worker(self) -> Server:
        """Start a worker, and return when it works."""
        worker = start("worker", self.folder, self.settings)
        wait_until_ready(worker)
        return worker

    def follow(self, number: int, **headers: str) -> None:
        """Let a user follow the account."""

        async def call() -> None:
            sender = make_sender()
            async with aiohttp.ClientSession(headers=headers) as session:
                wechat = Platform(session, sender, f"{self.server.url}/wechat/main")
                now = int(time.time())
                told = event("subscribe", None, to=ACCOUNT_ID, sender=user(number), now=now)
                await wechat.deliver(lambda: fresh_callback(sender, told, None), tries=1)

        asyncio.run(call())


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> Iterator[Collector]:
    """A collector that the gateway's processes know of."""
    with collector() as one:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://127.0.0.1:{one.port}")
        monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "200")
        yield one


@pytest.fixture
def world(seen: Collector, tmp_path: Path) -> Iterator[World]:
    """What a test has; ``seen`` is there first, for its address is in the environment."""
    with ExitStack() as opened:
        yield World(tmp_path, opened)
    assert seen.bodies


def until(condition: Callable[[], bool]) -> None:
    """Wait for what must come: an export, a claim and a receipt take their time."""
    wait_until(condition, "what must come", seconds=60)


def life_of(seen: Collector) -> dict[str, list[Received]]:
    """Return the spans of the trace that a follower's event began, by name."""
    begun = [one for one in seen.spans if one.name == "handle shop.welcome"]
    found: dict[str, list[Received]] = {}
    for one in seen.spans:
        if begun and one.trace_id == begun[0].trace_id:
            found.setdefault(one.name, []).append(one)
    return found


def test_an_event_its_push_and_its_receipt_are_one_trace_over_two_processes(
    world: World, seen: Collector
) -> None:
    worker = world.worker()
    try:
        world.follow(1)
        until(lambda: life_of(seen).keys() >= {*LIFE})
    finally:
        worker.stop()
    life = life_of(seen)
    for name, parent in PARENTS.items():
        (one,) = life[name]
        assert one.parent == life[parent][0].id, name
    (root,) = life["POST /wechat/{account}"]
    assert root.parent == ""
    # Its id is the message's, so whoever has one of the two finds the other.
    assert root.trace_id == root.attributes["gateway.message.id"]
    (sent,) = life["process push"]
    assert sent.attributes["gateway.outcome"] == "sent"
    assert sent.pid != root.pid
    # Nobody is known by what is told.
    for body in seen.bodies:
        assert user(1).encode() not in body
        assert "巧克力".encode() not in body


def test_a_push_that_another_worker_finishes_is_in_the_same_trace(
    world: World, seen: Collector
) -> None:
    # Its token is fetched before it takes so long: what is cut off is the sending.
    first = world.worker()
    world.follow(5)
    until(lambda: "receive receipt" in life_of(seen))
    seen.spans.clear()
    world.platform.set("faults", latency=3)
    world.follow(2)
    until(lambda: "send push" in life_of(seen))
    time.sleep(1)
    first.kill()
    world.platform.set("faults", latency=0)
    second = world.worker()
    try:
        until(lambda: "receive receipt" in life_of(seen))
    finally:
        second.stop()
    life = life_of(seen)
    assert life.keys() >= {*LIFE}
    assert {one.parent for one in life["process push"]} == {life["send push"][0].id}


def test_a_caller_s_trace_goes_on(world: World, seen: Collector) -> None:
    trace_id, parent = "ab" * 16, "cd" * 8
    world.follow(3, traceparent=f"00-{trace_id}-{parent}-01")
    until(lambda: "send push" in life_of(seen))
    (root,) = life_of(seen)["POST /wechat/{account}"]
    assert (root.trace_id, root.parent) == (trace_id, parent)


def test_what_is_pushed_over_http_is_in_its_caller_s_trace_up_to_the_receipt(
    world: World, seen: Collector
) -> None:
    trace_id, parent = "ab" * 16, "cd" * 8
    headers = {"traceparent": f"00-{trace_id}-{parent}-01"}
    goods = {"number": "A17", "goods": "巧克力"}
    sent = {"to": user(6), "template": "order-shipped", "data": goods}
    body = json.dumps(sent).encode()

    def life() -> dict[str, Received]:
        return {one.name: one for one in seen.spans if one.trace_id == trace_id}

    worker = world.worker()
    try:
        for refused in ({}, {"authorization": "Bearer gwk_nobody"}):
            assert world.server.ask("POST", "/push/messages", body, **headers, **refused)[0] == 401
        assert world.server.ask("POST", "/push/messages", body, **headers, **BEARER)[0] == 202
        until(lambda: "receive receipt" in life())
    finally:
        worker.stop()
    found = life()
    for name, above in (
        ("send push", "POST /push/messages"),
        ("process push", "send push"),
        (PATH, "process push"),
        ("receive receipt", "send push"),
    ):
        assert found[name].parent == found[above].id, name
    assert found["POST /push/messages"].parent == parent
    # The refused ones, which came first, left nothing.
    assert [one.name for one in seen.spans].count("POST /push/messages") == 1
    for told in seen.bodies:
        assert user(6).encode() not in told
        assert "巧克力".encode() not in told


def test_a_sink_gets_the_event_in_the_message_s_trace(world: World, seen: Collector) -> None:
    world.follow(8)
    worker = world.worker()
    try:
        until(lambda: {"handle shop.welcome", "POST"} <= {one.name for one in seen.spans})
    finally:
        worker.stop()
    (posted,) = (one for one in seen.spans if one.name == "POST")
    (root,) = (one for one in seen.spans if one.id == posted.parent)
    assert root.name == "POST /wechat/{account}"
    assert (posted.attributes["gateway.sink"], posted.trace_id) == ("crm", root.trace_id)
    (headers,), (event,) = world.endpoint.headers, world.endpoint.events
    assert headers["traceparent"] == f"00-{posted.trace_id}-{posted.id}-01"
    assert event["traceparent"] == f"00-{root.trace_id}-{root.id}-01"


def test_a_sign_in_is_traced_with_the_call_it_makes_and_its_browser_has_no_say(
    seen: Collector, tmp_path: Path
) -> None:
    trace_id = "ab" * 16
    with place(tmp_path) as here:
        browser = here.browser()
        forged = {"traceparent": f"00-{trace_id}-{'cd' * 8}-01"}
        assert browser.go(f"{here.url}/oauth/main/callback?code=x&state=y", **forged).status == 400
        assert browser.go(f"{here.url}/session", **forged).status == 401
        back = browser.agree(browser.begin())
        assert browser.go(back, **forged).status == 302
        token = browser.token
        assert browser.go(f"{here.url}/session", **forged).status == 200
        assert here.app_login().status == 200
        until(lambda: "POST /miniprogram/{account}/login" in {one.name for one in seen.spans})
    found = {one.name: one for one in seen.spans}
    callback = found["GET /oauth/{account}/callback"]
    assert found["GET /sns/oauth2/access_token"].parent == callback.id
    assert (callback.parent, callback.attributes["gateway.account"]) == ("", "main")
    assert [one.name for one in seen.spans].count(callback.name) == 1
    # Whoever is signed in is followed as any caller is that is known.
    assert [one.name for one in seen.spans if one.trace_id == trace_id] == ["GET /session"]
    for told in seen.bodies:
        assert token.encode() not in told
        assert back.partition("code=")[2].partition("&")[0].encode() not in told


def test_a_collector_that_is_gone_delays_no_message_and_no_stop(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://127.0.0.1:{free_port()}")
    with ExitStack() as opened:
        world = World(tmp_path, opened)
        world.follow(4)
        counted = world.server.ask("GET", "/metrics")[2].decode()
        assert (
            'gateway_callback_duration_seconds_count{account="main",outcome="reply"} 1' in counted
        )
        assert world.server.stop() == 0
