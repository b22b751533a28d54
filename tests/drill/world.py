"""What the drill hurts: gateways, a worker, a Redis and a Postgres, all of them real processes."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import ExitStack
from pathlib import Path
from random import Random
from types import TracebackType
from typing import Any, Final, Self

import asyncpg
from redis import Redis

from tests.drill.endpoint import SECRET
from tests.e2e.server import ACCOUNTS, Server, start, wait_until_ready
from tests.proxy import TcpProxy
from tests.services import postgres_server, redis_server

SETTINGS: Final = """
[inbound]
retry_base = 0.1
retry_cap = 2
max_deliveries = 6

[store]
redis_url = "redis://127.0.0.1:{redis}/0"
postgres_dsn = "{postgres}"

[[sinks]]
type = "http"
name = "endpoint"
url = "http://127.0.0.1:{endpoint}/"
secret = "{secret}"
timeout = 5
"""

LANES: Final = ("background", "sink.endpoint")


class World:
    """Two gateways and a worker over one Redis and one Postgres, Redis behind a proxy."""

    def __init__(self, folder: Path, random: Random, endpoint: int) -> None:
        """``endpoint`` is the port that events are forwarded to."""
        self._folder = folder
        self._random = random
        self._endpoint = endpoint
        self._stack = ExitStack()
        self.faults: Counter[str] = Counter()

    async def __aenter__(self) -> Self:
        """Start everything."""
        try:
            await asyncio.to_thread(self._start)
        except BaseException:
            self._stack.close()
            raise
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """End everything."""
        await asyncio.to_thread(self._stack.close)

    def _start(self) -> None:
        enter = self._stack.enter_context
        self.redis = enter(redis_server(self._folder / "redis"))
        self.postgres = enter(postgres_server(self._folder / "postgres"))
        self._proxy = enter(TcpProxy(self.redis.port))
        self._settings = ACCOUNTS + SETTINGS.format(
            redis=self._proxy.port,
            postgres=self.postgres.dsn,
            endpoint=self._endpoint,
            secret=SECRET,
        )
        migration = start("migrate", self._folder, self._settings)
        if migration.process.wait(30) != 0:
            raise RuntimeError(migration.log)
        kinds = {"gateway 1": "rsgi", "gateway 2": "rsgi", "worker": "worker"}
        self._servers: dict[str, Server] = {}
        self._stack.callback(self._kill_all)
        for name, kind in kinds.items():
            self._servers[name] = start(kind, self._folder, self._settings)
        for server in self._servers.values():
            wait_until_ready(server)

    def _kill_all(self) -> None:
        for server in self._servers.values():
            server.kill()

    def urls(self) -> list[str]:
        """Return where the gateways listen, those that live first: as a proxy in front knows."""
        gateways = [s for name, s in self._servers.items() if name != "worker"]
        self._random.shuffle(gateways)
        return [f"{server.url}/wechat/main" for server in sorted(gateways, key=_is_dead)]

    async def hurt(self, until: float) -> None:
        """Do one harm after another until a time of the event loop's clock; mend each of them."""
        harms: list[tuple[str, Callable[[], Awaitable[None]]]] = [
            ("gateway killed", lambda: self._kill("gateway 1", "gateway 2")),
            ("worker killed", lambda: self._kill("worker")),
            ("Redis killed", self._kill_redis),
            ("Redis hung", self._hang_redis),
            ("connections to Redis cut", self._cut),
            ("answers of Redis truncated", self._truncate),
            ("Redis slow", self._slow),
            ("Postgres killed", self._kill_postgres),
        ]
        self._random.shuffle(harms)
        loop = asyncio.get_running_loop()
        while loop.time() < until:
            # Each in its turn, so that a short drill does them all.
            harms.append(harms.pop(0))
            what, harm = harms[-1]
            self.faults[what] += 1
            await harm()
            await asyncio.sleep(self._random.uniform(0.5, 2))

    async def _kill(self, *names: str) -> None:
        name = self._random.choice(names)
        killed = self._servers[name]
        await asyncio.to_thread(killed.kill)
        await asyncio.sleep(self._random.uniform(0, 1))
        self._servers[name] = start(killed.kind, self._folder, self._settings, killed.port)
        # The others are hurt only when it is back: one of two must live, as in a rolling restart.
        await asyncio.to_thread(wait_until_ready, self._servers[name])

    async def _kill_redis(self) -> None:
        self.redis.kill()
        await asyncio.sleep(self._random.uniform(0.2, 3))
        await asyncio.to_thread(self.redis.start)

    async def _hang_redis(self) -> None:
        self.redis.pause()
        await asyncio.sleep(self._random.uniform(0.5, 3))
        self.redis.resume()

    async def _cut(self) -> None:
        self._proxy.cut()
        await asyncio.sleep(self._random.uniform(0.1, 2))
        self._proxy.mend()

    async def _truncate(self) -> None:
        self._proxy.truncate(self._random.randrange(0, 20))
        await asyncio.sleep(0.3)
        self._proxy.mend()

    async def _slow(self) -> None:
        self._proxy.delay(self._random.uniform(0.05, 0.6))
        await asyncio.sleep(self._random.uniform(1, 3))
        self._proxy.mend()

    async def _kill_postgres(self) -> None:
        await asyncio.to_thread(self.postgres.kill)
        await asyncio.sleep(self._random.uniform(0.2, 2))
        await asyncio.to_thread(self.postgres.start)

    async def settle(self, seconds: float) -> bool:
        """Wait until nothing waits any more; tell whether it came to that in time."""
        until = asyncio.get_running_loop().time() + seconds
        while asyncio.get_running_loop().time() < until:
            if not self._waiting():
                return True
            await asyncio.sleep(0.2)
        return False

    def _waiting(self) -> int:
        spilled = sum(path.stat().st_size for path in self._folder.glob("var/spill/*.spill"))
        waiting: Any = 0
        with Redis(port=self.redis.port) as client:
            for lane in LANES:
                waiting += client.xlen(f"{{gateway}}:lane:{lane}")
                waiting += client.zcard(f"{{gateway}}:due:{lane}")
        return spilled + int(waiting)

    async def dead_letters(self) -> list[bytes]:
        """Return the bodies of the dead letters."""
        connection = await asyncpg.connect(self.postgres.dsn)
        try:
            rows = await connection.fetch("SELECT body FROM gateway_dead_letters")
        finally:
            await connection.close()
        return [row["body"] for row in rows]

    def log_lines(self) -> list[str]:
        """Return what the gateways and the worker wrote."""
        return [line for server in self._servers.values() for line in server.log.splitlines()]

    @property
    def runs(self) -> Counter[str]:
        """How often each handler ran, by the names in the messages."""
        log = self._folder / "runs.log"
        return Counter(log.read_text(encoding="utf-8").split() if log.exists() else [])


def _is_dead(server: Server) -> bool:
    return server.process.poll() is not None
