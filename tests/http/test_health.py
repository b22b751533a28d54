"""Health: a gateway whose store is down goes on answering, and says that it is degraded and why."""

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
from gateway.errors import StoreDown
from gateway.http.health import health_routes
from gateway.inbound import spilling
from gateway.inbound.claims import Outcome, Step
from gateway.kernels import IMPLEMENTATION
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


def client_of(status: Callable[[], dict[str, Any]], **hooks: Any) -> TestClient[Litestar]:
    """Return a client of an app with nothing but health, of a gateway with two accounts."""
    routes = health_routes("1.2.3", 2, status)
    return TestClient(Litestar(routes, openapi_config=None, logging_config=None, **hooks))


def wanting_events() -> Bot:
    """Return a bot that wants other producers' events: they are stored, whatever is down."""
    bot = Bot()

    @bot.on_event("command/*")
    async def nothing(event: CloudEvent) -> None: ...

    return bot


def test_it_tells_how_the_gateway_stands() -> None:
    with client_of(lambda: OK) as client:
        ready = client.get("/health/ready")
        assert (ready.status_code, ready.headers["content-type"]) == (200, "application/json")
        assert ready.json() == {
            "status": "ok",
            "store": OK,
            "version": "1.2.3",
            "kernels": IMPLEMENTATION,
            "accounts": 2,
        }


def test_a_degraded_gateway_is_ready_all_the_same_and_says_why() -> None:
    stands = {"status": "degraded", "reason": "no Redis", "spilled_age_seconds": 1.5}
    with client_of(lambda: stands) as client:
        ready = client.get("/health/ready")
        assert ready.status_code == 200
        assert (ready.json()["status"], ready.json()["store"]) == ("degraded", stands)


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
        assert [client.get("/health/ready").json()["store"] for _ in stands] == stands


def test_while_the_store_is_down_health_says_so_with_the_age_of_what_waits_on_disk(
    tmp_path: Path,
) -> None:
    store = Flaky(60)
    inbound = make_inbound(tmp_path, wanting_events(), store, concurrency=0)
    hooks = {"on_startup": [inbound.start], "on_shutdown": [inbound.stop]}
    with client_of(inbound.status, **hooks) as client:

        def take(id_: str) -> None:
            assert client.blocking_portal.call(inbound.intake.take, sent(id_)).subscribers == 1

        def stands() -> Any:
            ready = client.get("/health/ready")
            assert ready.status_code == 200
            assert ready.json()["status"] == ready.json()["store"]["status"]
            return ready.json()["store"]

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
