"""Sign-ins under way in Redis, shared by all processes of any number of machines."""

from typing import Any

from redis.exceptions import RedisError

from gateway.adapters.redis_client import PREFIX, Script, down, open_redis
from gateway.identity.ports import Claim


class RedisSignIns:
    """The SignInStore in a Redis server, by its clock."""

    def __init__(self, url: str, *, timeout: float, prefix: str = PREFIX) -> None:
        """A server silent for ``timeout`` seconds is down; ``prefix`` begins every key."""
        self._redis = open_redis(url, "store.redis_url", timeout=timeout)
        self._prefix = f"{prefix}sign-in:"
        self._script = Script("redis_sign_ins.lua")

    async def claim(self, key: str, code: bytes, seconds: float, keep: float) -> Claim | None:
        """Ask to exchange the code of a sign-in."""
        found = await self._run(key, "claim", code, _milliseconds(seconds), _milliseconds(keep))
        if not found:
            return None
        state, *outcome = found
        return Claim(state == b"mine", outcome[0] if outcome else None, state == b"spent")

    async def finish(self, key: str, outcome: bytes, seconds: float) -> None:
        """Note what came of it."""
        await self._run(key, "finish", outcome, _milliseconds(seconds))

    async def release(self, key: str) -> None:
        """Let another one exchange the code."""
        await self._run(key, "release")

    async def prune(self) -> None:
        """Do nothing: Redis forgets them by itself."""

    async def close(self) -> None:
        """Close the connections."""
        await self._redis.aclose()

    async def _run(self, key: str, *arguments: Any) -> Any:
        try:
            return await self._script.run(self._redis, self._prefix + key, *arguments)
        except (RedisError, OSError) as wrong:
            raise down(wrong) from None


def _milliseconds(seconds: float) -> int:
    return max(1, round(seconds * 1000))
