"""The client of a Redis, made one way for the store, the sinks and the doctor."""

from typing import Any

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from gateway.errors import SettingsError


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
