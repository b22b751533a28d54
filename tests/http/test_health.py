"""Health: a gateway whose store is down goes on answering, and says that it is degraded and why."""

import asyncio
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

import pytest
from litestar import Litestar
from litestar.testing import TestClient

from gateway import Bot, CloudEvent
from gateway.adapters.memory import MemoryStore
from gateway.adapters.spill import FileSpill
from gateway.app.monitor import ProcessMonitor
from gateway.errors import StoreDown
from gateway.http.health import live_route, monitoring_routes
from gateway.inbound import spilling
from gateway.inbound.claims import Outcome, Step
from gateway.kernels import IMPLEMENTATION
from gateway.telemetry import watching
from gateway.telemetry.metrics import Family
from gateway.telemetry.watching import Component, Problem
from tests.inbound.whole import make_inbound, play, sent

OK: Final[dict[str, Any]] = {"status": "ok"}


class Flaky(MemoryStore):
    """A store that is down when it is told to be."""

    down = False

    async def commit(self, steps: Sequence[Step]) -> list[Outcome]:
        """Take the steps, or fail."""
        await self.ping()
        return await super().commit(steps)

    async def ping(self) -> None:
        """Return if it is up."""
        if self.down:
            raise StoreDown("no Redis")


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Look after the store more often."""
    monkeypatch.setattr(spilling, "PROBE_SECONDS", 0.01)


def monitor_of(
    status: Callable[[], dict[str, Any]] = lambda: OK,
    *components: Component,
    still: Sequence[str] = (),
) -> ProcessMonitor:
    """Return the monitor of a gateway that counts nothing."""
    about = {"version": "1.2.3", "kernels": IMPLEMENTATION, "store": "sqlite", "accounts": 2}
    return ProcessMonitor(
        None, list, components, store=status, standing_still=lambda: still, about=about
    )


def client_of(
    status: Callable[[], dict[str, Any]] = lambda: OK,
    *components: Component,
    monitor: ProcessMonitor | None = None,
    **hooks: Any,
) -> TestClient[Litestar]:
    """Return a client of an app with nothing but health, of a gateway with two accounts."""
    monitor = monitor or monitor_of(status, *components)
    routes = [live_route(monitor), *monitoring_routes(monitor)]
    return TestClient(Litestar(routes, openapi_config=None, logging_config=None, **hooks))


def wanting_events() -> Bot:
    """Return a bot that wants other producers' events: they are stored, whatever is down."""
    bot = Bot()

    @bot.on_event("command/*")
    async def nothing(event: CloudEvent) -> None: ...

    return bot


def callbacks(ready: Any) -> Any:
    """Return what is told of the store that callbacks go through."""
    return ready.json()["components"]["callbacks"]


def test_it_tells_how_the_gateway_stands() -> None:
    with client_of(lambda: OK) as client:
        ready = client.get("/health/ready")
        assert (ready.status_code, ready.headers["content-type"]) == (200, "application/json")
        assert ready.json() == {
            "status": "ok",
            "components": {"callbacks": OK},
            "version": "1.2.3",
            "kernels": IMPLEMENTATION,
            "store": "sqlite",
            "accounts": 2,
        }


def test_a_degraded_gateway_is_ready_all_the_same_and_says_why() -> None:
    stands = {"status": "degraded", "reason": "no Redis", "spilled_age_seconds": 1.5}
    with client_of(lambda: stands) as client:
        ready = client.get("/health/ready")
        assert ready.status_code == 200
        assert (ready.json()["status"], callbacks(ready)) == ("degraded", stands)


def component(problem: str = "", *, needed: bool = False) -> Component:
    """Return a component that is well, or has a problem."""

    async def read() -> Sequence[Family]:
        if problem:
            raise Problem(problem)
        return ()

    return Component("jobs", read, needed=needed)


def test_each_component_is_told_with_its_age_and_what_is_wrong_with_it() -> None:
    with client_of(lambda: OK, component("no Postgres; is it up?")) as client:
        ready = client.get("/health/ready")
        assert (ready.status_code, ready.json()["status"]) == (200, "degraded")
        jobs = ready.json()["components"]["jobs"]
        assert (jobs["status"], jobs["reason"]) == ("degraded", "no Postgres; is it up?")
        assert jobs["age_seconds"] >= 0


def test_without_a_component_that_is_needed_it_is_not_ready() -> None:
    with client_of(lambda: OK, component("run: gateway migrate", needed=True)) as client:
        ready = client.get("/health/ready")
        assert (ready.status_code, ready.json()["status"]) == (503, "not ready")


def test_a_process_that_is_about_to_end_is_not_ready_and_lives() -> None:
    monitor = monitor_of()
    monitor.is_draining = True
    with client_of(monitor=monitor) as client:
        ready = client.get("/health/ready")
        assert (ready.status_code, ready.json()["status"]) == (503, "draining")
        assert client.get("/health/live").status_code == 200


def test_a_process_that_no_longer_consumes_does_not_live() -> None:
    with client_of(monitor=monitor_of(still=["lane background"])) as client:
        live = client.get("/health/live")
        assert live.status_code == 503
        assert live.json() == {"status": "standing still", "parts": ["lane background"]}


def test_a_component_that_hangs_delays_no_probe_and_tells_what_it_told_before(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(watching, "PATIENCE_SECONDS", 0.05)
    hang = asyncio.Event()
    asked = 0

    async def read() -> Sequence[Family]:
        nonlocal asked
        asked += 1
        if asked > 1:
            await hang.wait()
        return ()

    async def scenario() -> None:
        now = 100.0
        one = Component("jobs", read, clock=lambda: now)
        never = Component("never", hang.wait, clock=lambda: now)  # type: ignore[arg-type]  # hangs
        assert (await one.look()).at == 100.0
        now = 103.0
        assert (await one.look()).at == 100.0
        assert asked == 1
        now = 106.0
        assert [(await one.look()).at for _ in range(3)] == [100.0] * 3
        # Whoever asks meanwhile asks nothing anew.
        assert asked == 2
        hang.set()
        while (await one.look()).at != 106.0:
            await asyncio.sleep(0)
        hang.clear()
        assert (await never.look()).problem == "it has not answered yet"
        await never.close()
        await one.close()

    asyncio.run(scenario())


def test_to_live_asks_nothing_of_the_store() -> None:
    def asked() -> dict[str, Any]:
        raise AssertionError("it asked")

    with client_of(asked) as client:
        live = client.get("/health/live")
        assert (live.status_code, live.json()) == (200, OK)
        assert client.post("/health/live").status_code == 405


def test_it_is_asked_anew_each_time() -> None:
    degraded = {"status": "degraded", "reason": "x", "spilled_age_seconds": 0.0}
    stands: list[dict[str, Any]] = [OK, degraded, OK]
    left = iter(stands)
    with client_of(lambda: next(left)) as client:
        assert [callbacks(client.get("/health/ready")) for _ in stands] == stands


def test_while_the_store_is_down_health_says_so_with_the_age_of_what_waits_on_disk(
    tmp_path: Path,
) -> None:
    store = Flaky(60)
    inbound = make_inbound(tmp_path, wanting_events(), store, concurrency=0)
    hooks: dict[str, Any] = {"on_startup": [inbound.start], "on_shutdown": [inbound.stop]}
    with client_of(inbound.status, **hooks) as client:

        def take(id_: str) -> None:
            assert client.blocking_portal.call(inbound.intake.take, sent(id_)).subscribers == 1

        def stands() -> Any:
            ready = client.get("/health/ready")
            assert ready.status_code == 200
            assert ready.json()["status"] == callbacks(ready)["status"]
            return callbacks(ready)

        def until_older(age: float) -> None:
            while stands()["spilled_age_seconds"] <= age:
                time.sleep(0.02)

        take("up")
        assert stands() == OK
        store.down = True
        # Nobody has asked the store anything since.
        assert stands() == OK
        take("down")
        degraded = stands()
        assert degraded.keys() == {"status", "reason", "spilled_age_seconds"}
        assert (degraded["status"], degraded["reason"]) == ("degraded", "no Redis")
        until_older(0.1)
        # It is that of the oldest: another one makes it no younger.
        take("down too")
        until_older(0.2)
        store.down = False
        while stands() != OK:
            time.sleep(0.02)
        assert len(store._entries) == 3


def test_what_was_left_on_disk_is_degraded_until_it_is_drained(tmp_path: Path) -> None:
    """The store is up again, but a message of the last run is not in it yet."""

    async def scenario() -> None:
        left = FileSpill(tmp_path, "left", clock=lambda: time.time() - 90)
        await left.append([b""])
        await left.close()
        inbound = make_inbound(tmp_path)
        assert inbound.status() == OK
        await inbound._stores.spill.adopt()
        degraded = inbound.status()
        assert degraded["status"] == "degraded"
        assert degraded["spilled_age_seconds"] >= 90
        assert degraded["spilled_age_seconds"] == round(degraded["spilled_age_seconds"], 1)
        await inbound.stop()

    play(scenario)
