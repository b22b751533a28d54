"""The client of a Redis, made one way for the stores, the sinks and the doctor."""

from importlib.resources import files
from typing import Any, Final

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import NoScriptError

from gateway.errors import SettingsError, StoreDown

PREFIX: Final = "{gateway}:"
"""What every key begins with: a hash tag, so that a cluster keeps them together."""


def open_redis(url: str, setting: str, *, timeout: float, **options: Any) -> Any:
    """Return a client for a URL, which connects when it is used; typed loosely, as its commands.

    A server silent for ``timeout`` seconds is given up. Nothing is tried twice: whoever calls
    decides what becomes of a failure, for a command that failed may have run. Raises SettingsError,
    with the setting's name and nothing of the URL, where the client does not understand it.
    """
    try:
        redis: Any = Redis.from_url(
            url,
            socket_timeout=timeout,
            socket_connect_timeout=timeout,
            retry=Retry(NoBackoff(), 0),
            **options,
        )
        # What the URL asks for is looked at when a connection is made, not before.
        redis.connection_pool.make_connection()
    except (TypeError, ValueError):
        raise SettingsError(
            f"{setting}: the Redis client cannot read it; behind a ? only options of redis-py may "
            "stand, and the database is a number"
        ) from None
    return redis


class Script:
    """A script, called by its digest; sent whole where the server does not know it."""

    def __init__(self, file: str) -> None:
        """``file`` is one of those beside this one."""
        self._text = files("gateway.adapters").joinpath(file).read_text(encoding="utf-8")
        self._digest = ""

    async def run(self, redis: Any, key: str, *arguments: Any) -> Any:
        """Call it with one key; raise RedisError."""
        for _ in range(2):
            if not self._digest:
                self._digest = await redis.script_load(self._text)
            try:
                return await redis.evalsha(self._digest, 1, key, *arguments)
            except NoScriptError:
                # A server that was restarted, or whose replica took over, has forgotten it.
                self._digest = ""
        raise NoScriptError("the script is forgotten as soon as it is loaded")


def down(wrong: Exception) -> StoreDown:
    """Return the StoreDown for what went wrong."""
    # A message of the client may hold the address, never the password.
    return StoreDown(
        f"Redis: {type(wrong).__name__}: {wrong}; is the server of store.redis_url up, reachable "
        "from here, and does it take writes?"
    )
