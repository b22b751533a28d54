"""What the drill kills: gateways, a worker and a Redis, all of them real processes."""

import asyncio
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any, Final

from redis import Redis

from tests.e2e.server import ACCOUNTS, Server, start, wait_until_ready
from tests.proxy import TcpProxy
from tests.services import RedisServer, free_port

SETTINGS: Final = """
[inbound]
retry_base = 0.1
retry_cap = 2

[store]
redis_url = "{url}"
"""


class World:
    """Two gateways and a worker over one Redis, behind a proxy that can be cut."""

    def __init__(self, folder: Path, random: Random) -> None:
        self._folder = folder
        self._random = random
        folder.mkdir(parents=True, exist_ok=True)
        self.redis = RedisServer(folder, free_port(), "always")
        self.redis.start()
        self._proxy = TcpProxy(self.redis.port).__enter__()
        self._settings = ACCOUNTS + SETTINGS.format(url=f"redis://127.0.0.1:{self._proxy.port}/0")
        kinds = {"gateway 1": "rsgi", "gateway 2": "rsgi", "worker": "worker"}
        self._servers = {name: start(kind, folder, self._settings) for name, kind in kinds.items()}
        for server in self._servers.values():
            wait_until_ready(server)
        self.faults: Counter[str] = Counter()

    def urls(self) -> list[str]:
        """Return where the gateways listen, those that live first: as a proxy in front knows."""
        gateways = [s for name, s in self._servers.items() if name != "worker"]
        self._random.shuffle(gateways)
        return [f"{server.url}/wechat/main" for server in sorted(gateways, key=_is_dead)]

    async def hurt(self, until: float) -> None:
        """Do one harm after another until a time of the event loop's clock; then mend all."""
        harms: list[tuple[str, Callable[[], Any]]] = [
            ("gateway killed", lambda: self._kill("gateway 1", "gateway 2")),
            ("worker killed", lambda: self._kill("worker")),
            ("Redis killed", self._kill_redis),
            ("Redis hung", self._hang_redis),
            ("connections to Redis cut", self._cut),
            ("answers of Redis truncated", self._truncate),
            ("Redis slow", self._slow),
        ]
        loop = asyncio.get_running_loop()
        while loop.time() < until:
            what, harm = self._random.choice(harms)
            self.faults[what] += 1
            await harm()
            await asyncio.sleep(self._random.uniform(1, 3))

    async def _kill(self, *names: str) -> None:
        name = self._random.choice(names)
        killed = self._servers[name]
        killed.kill()
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
        with Redis(port=self.redis.port) as client:
            lane: Any = client.xlen("{gateway}:lane:background")
            due: Any = client.zcard("{gateway}:due:background")
        return spilled + int(lane) + int(due)

    def log_lines(self) -> list[str]:
        """Return what the gateways and the worker wrote."""
        return [line for server in self._servers.values() for line in server.log.splitlines()]

    @property
    def runs(self) -> Counter[str]:
        """How often each handler ran, by the names in the messages."""
        log = self._folder / "runs.log"
        return Counter(log.read_text(encoding="utf-8").split() if log.exists() else [])

    def close(self) -> None:
        """End everything."""
        for server in self._servers.values():
            server.kill()
        self._proxy.__exit__(None, None, None)
        self.redis.kill()


def _is_dead(server: Server) -> bool:
    return server.process.poll() is not None
