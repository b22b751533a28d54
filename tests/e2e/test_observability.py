"""What deploy/observability asks Prometheus is what a gateway under way tells it."""

import asyncio
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final, NamedTuple

import aiohttp
import pytest

from gateway.cli.sending import fresh_callback
from gateway.simulator.documents import Document
from gateway.simulator.platform import Platform
from gateway.simulator.sealing import Fault
from tests.cli.running import Command
from tests.deploy.promql import names_in
from tests.deploy.series import alerts
from tests.deploy.test_dashboard import queries
from tests.e2e.platform import PlatformServer, platform
from tests.e2e.prometheus import Prometheus, prometheus
from tests.e2e.server import ACCOUNTS, Server, running
from tests.e2e.test_background import _deliver
from tests.e2e.test_push import CONTENT, ROW, SETTINGS, TEMPLATE, user
from tests.services import free_port, redis_server
from tests.support import fresh_text, make_sender

QUICK: Final = "\n[telemetry]\nquota_seconds = 1\n"

STILL: Final = {
    "gateway_sink_events_total": "there is no sink",
    "gateway_sign_ins_total": "nobody signs in",
    "gateway_session_verifications_total": "nobody signed in",
    "gateway_spill_messages_total": "the store is up",
    "gateway_telemetry_spans_total": "nothing is traced",
    "gateway_telemetry_exports_total": "Prometheus comes for the metrics",
    "gateway_telemetry_unread_total": "the store is up",
    "gateway_push_paused_seconds": "no limit is met",
}
"""What the test's traffic does not move, and why."""


class World(NamedTuple):
    """What a test has."""

    folder: Path
    server: Server
    platform: PlatformServer
    prometheus: Prometheus


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """A gateway between a platform and a Prometheus."""
    folder = tmp_path_factory.mktemp("observed")
    (folder / "templates").mkdir()
    (folder / "templates" / "order-shipped.toml").write_text(TEMPLATE, encoding="utf-8")
    port = free_port()
    with (
        running("rsgi", folder, SETTINGS.format(port=port) + QUICK) as server,
        platform(folder, port, server.port) as beside,
        prometheus(folder / "prometheus", free_port(), f"127.0.0.1:{server.port}") as watching,
    ):
        beside.set("templates", id="T1", title="发货提醒", content=CONTENT)
        yield World(folder, server, beside, watching)


@pytest.fixture
def traffic(world: World, command: Command, monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """A bit of everything: what it moves has moved when Prometheus looks again."""
    monkeypatch.chdir(world.folder)

    async def callbacks() -> None:
        sender = make_sender()
        async with aiohttp.ClientSession() as session:
            wechat = Platform(session, sender, f"{world.server.url}/wechat/main")

            async def deliver(document: Document, fault: Fault | None = None) -> None:
                await wechat.deliver(lambda: fresh_callback(sender, document, fault), tries=1)

            same = fresh_text("hello")
            await asyncio.gather(
                deliver(same),
                deliver(fresh_text("fail")),
                deliver(fresh_text("slow", FromUserName=user(1))),
                # Who never wrote: WeChat refuses what comes late.
                deliver(fresh_text("slow", FromUserName=user(3))),
                deliver(fresh_text("later one")),
                deliver(fresh_text("later poison")),
                deliver(fresh_text("hello"), Fault.SIGNATURE),
            )
            await deliver(same)

    def send() -> None:
        asyncio.run(callbacks())
        for to in (user(1), user(2)):
            ran = command("push", "template", "order-shipped", "--to", to, "--data", ROW)
            assert ran.code == 0, ran.err

    world.platform.set(f"users/{user(1)}", wrote=True)
    return send


def test_the_dashboard_shows_what_traffic_moves(world: World, traffic: Callable[[], None]) -> None:
    asked = list(queries())
    moved = {
        query
        for query in asked
        if not {one.name for one in names_in(query).selectors} & STILL.keys()
    }
    until = time.monotonic() + 60
    missing = moved
    while missing:
        assert time.monotonic() < until, f"no data: {missing}"
        traffic()
        missing = {query for query in missing if not world.prometheus.ask(query)}
    # A query that gives nothing is none that is wrong.
    for query in asked:
        world.prometheus.ask(query)


def test_each_rule_is_worked_out(world: World, traffic: Callable[[], None]) -> None:
    traffic()
    until = time.monotonic() + 30
    while any(rule["health"] == "unknown" for rule in world.prometheus.rules()):
        assert time.monotonic() < until
        time.sleep(0.1)
    rules = world.prometheus.rules()
    assert [rule["name"] for rule in rules if rule["health"] != "ok"] == []
    assert {rule["name"] for rule in rules if rule["type"] == "alerting"} == set(alerts())


def test_handlers_that_fail_bring_a_yellow_alert_on_its_way_and_no_red_one(
    world: World, traffic: Callable[[], None]
) -> None:
    """It is pending: to fire, it would have to stay so for minutes."""
    until = time.monotonic() + 60
    while not (found := under_way(world.prometheus)).get("GatewayCallbackErrors"):
        assert time.monotonic() < until, found
        traffic()
    assert found["GatewayCallbackErrors"] == [{"account": "main", "severity": "yellow"}]
    assert [name for name in found if alerts()[name]["labels"]["severity"] == "red"] == []


def test_a_store_that_is_down_brings_a_red_alert_on_its_way(tmp_path: Path) -> None:
    (tmp_path / "gateway").mkdir()
    with redis_server(tmp_path / "redis") as redis:
        settings = f'{ACCOUNTS}\n[store]\nredis_url = "{redis.url}"\n'
        with (
            running("rsgi", tmp_path / "gateway", settings) as server,
            prometheus(
                tmp_path / "prometheus", free_port(), f"127.0.0.1:{server.port}"
            ) as watching,
        ):
            redis.kill()
            _deliver(server, "later one")
            until = time.monotonic() + 60
            while not (found := under_way(watching)).get("GatewayStoreDown"):
                assert time.monotonic() < until, found
                time.sleep(0.2)
            instance = f"127.0.0.1:{server.port}"
            (labels,) = found["GatewayStoreDown"]
            assert labels == {"component": "store", "instance": instance, "severity": "red"}
            (spill,) = watching.ask("max by (instance) (gateway_spill_age_seconds)")
            assert spill.value > 0
            assert watching.ask("gateway_spill_messages_total")[0].value == 1


def under_way(server: Prometheus) -> dict[str, list[dict[str, str]]]:
    """Return the labels of the alerts that fire or are about to, by name."""
    found: dict[str, list[dict[str, str]]] = {}
    for rule in server.rules():
        for alert in rule.get("alerts", ()):
            labels = dict(alert["labels"])
            found.setdefault(labels.pop("alertname"), []).append(labels)
    return found
