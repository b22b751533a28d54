"""Sessions in Redis, shared by all processes of any number of machines."""

from collections.abc import Sequence
from typing import Any, Final

import msgspec
from redis.exceptions import RedisError

from gateway.adapters.redis_client import PREFIX, Script, down, open_redis
from gateway.identity.session import Session

_decode: Final = msgspec.json.Decoder(Session).decode
_encode: Final = msgspec.json.Encoder().encode


class RedisSessions:
    """The SessionStore in a Redis server, by its clock."""

    def __init__(self, url: str, *, timeout: float, prefix: str = PREFIX) -> None:
        """A server silent for ``timeout`` seconds is down; ``prefix`` begins every key."""
        self._redis = open_redis(url, "store.redis_url", timeout=timeout)
        self._prefix = f"{prefix}session:"
        self._script = Script("redis_sessions.lua")

    async def put(self, session: Session) -> None:
        """Keep a new one."""
        await self._run("put", *_row(session))

    async def get(self, ids: Sequence[str]) -> list[Session | None]:
        """Return those that are there."""
        found = await self._run("get", *ids) if ids else []
        return [_decode(context) if context else None for context in found]

    async def change(self, session: Session) -> bool:
        """Put one in place of what has its id."""
        return bool(await self._run("change", *_row(session)))

    async def revoke(self, ids: Sequence[str]) -> int:
        """End these."""
        return int(await self._run("revoke", *ids))

    async def of(self, people: Sequence[str]) -> list[Session]:
        """Return the sessions of these people."""
        found = [_decode(context) for context in await self._run("of", *people)]
        return sorted(found, key=lambda one: (-one.began_at, one.id))

    async def prune(self) -> int:
        """Return 0: Redis forgets them by itself."""
        return 0

    async def close(self) -> None:
        """Close the connections."""
        await self._redis.aclose()

    async def _run(self, *arguments: Any) -> Any:
        try:
            return await self._script.run(self._redis, self._prefix, *arguments)
        except (RedisError, OSError) as wrong:
            raise down(wrong) from None


def _row(session: Session) -> tuple[Any, ...]:
    return session.id, session.person, int(session.expires_at * 1000), _encode(session)
