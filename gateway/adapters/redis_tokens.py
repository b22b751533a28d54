"""Tokens in Redis, shared by all processes of any number of machines."""

from typing import Any

from redis.exceptions import RedisError

from gateway.adapters.redis_client import PREFIX, Script, down, open_redis
from gateway.outbound.ports import Claimed, StoredToken


class RedisTokens:
    """The TokenStore in a Redis server."""

    def __init__(self, url: str, *, timeout: float, prefix: str = PREFIX) -> None:
        """A server silent for ``timeout`` seconds is down; ``prefix`` begins every key."""
        self._redis = open_redis(url, "store.redis_url", timeout=timeout)
        self._prefix = f"{prefix}token:"
        self._script = Script("redis_tokens.lua")

    async def read(self, name: str) -> StoredToken | None:
        """Return the token as it is stored."""
        try:
            kept = await self._redis.hmget(
                self._prefix + name, "value", "fence", "fetched", "expires"
            )
        except (RedisError, OSError) as wrong:
            raise down(wrong) from None
        return None if kept[0] is None else _token(kept)

    async def claim(self, name: str, fence: int, seconds: float) -> Claimed:
        """Ask to replace the token of a refresh."""
        *newer, issued = await self._run(name, "claim", fence, int(seconds * 1000))
        return Claimed(_token(newer) if newer else None, issued or None)

    async def put(self, name: str, token: StoredToken) -> bool:
        """Store a token, if its refresh is the last."""
        value, fence, fetched_at, expires_at = token
        kept = await self._run(name, "put", value, fence, repr(fetched_at), repr(expires_at))
        return bool(kept)

    async def give_up(self, name: str, fence: int, seconds: float) -> None:
        """Let nobody refresh for a while."""
        await self._run(name, "give_up", fence, int(seconds * 1000))

    async def close(self) -> None:
        """Close the connections."""
        await self._redis.aclose()

    async def _run(self, name: str, *arguments: Any) -> Any:
        try:
            return await self._script.run(self._redis, self._prefix + name, *arguments)
        except (RedisError, OSError) as wrong:
            raise down(wrong) from None


def _token(kept: list[bytes]) -> StoredToken:
    value, fence, fetched_at, expires_at = kept
    return StoredToken(value.decode(), int(fence), float(fetched_at), float(expires_at))
