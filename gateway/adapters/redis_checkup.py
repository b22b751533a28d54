"""Is a Redis set up so that it keeps what it was given? What could a crash lose, as configured?"""

from typing import Any, Final

from redis.exceptions import RedisError, ResponseError

from gateway.adapters.redis_client import open_redis
from gateway.inbound.ports import Finding

_OLDEST: Final = (6, 2)


async def examine(url: str, *, within: float) -> list[Finding]:
    """Return how the Redis at ``url`` is, asked ``within`` so many seconds."""
    redis = open_redis(url, "store.redis_url", timeout=within, decode_responses=True)
    try:
        server = await redis.info("server")
        configured = await _configured(redis)
    except (RedisError, OSError) as wrong:
        fix = "start it, or correct store.redis_url; until then messages wait in store.spill"
        return [Finding("redis", f"not reachable: {type(wrong).__name__}", fix)]
    finally:
        await redis.aclose()
    findings = [_version(server["redis_version"])]
    if configured is None:
        fix = "make sure of maxmemory-policy noeviction and appendonly yes where it is configured"
        return [*findings, Finding("redis durability", "it does not tell its settings", fix)]
    return [*findings, _eviction(configured), _durability(configured)]


async def _configured(redis: Any) -> dict[str, str] | None:
    """Return what durability depends on; None where the server is managed, and does not tell."""
    try:
        found: dict[str, str] = {}
        for name in ("maxmemory", "maxmemory-policy", "appendonly", "appendfsync"):
            found |= await redis.config_get(name)
        return found
    except ResponseError:
        return None


def _version(version: str) -> Finding:
    numbers = tuple(int(part) for part in version.split(".")[:2])
    fix = "" if numbers >= _OLDEST else "upgrade it to Redis 6.2 or newer"
    return Finding("redis", f"reachable, version {version}", fix)


def _eviction(configured: dict[str, str]) -> Finding:
    """Tell what Redis does when its memory is full: it must refuse, never forget."""
    policy = configured.get("maxmemory-policy", "?")
    if policy == "noeviction" or configured.get("maxmemory") == "0":
        return Finding("redis eviction", f"{policy}: what is stored stays", "")
    if policy.startswith("volatile-"):
        state = f"{policy}: when full, it forgets which messages were handled, and they are again"
    else:
        state = f"{policy}: when full, it throws away messages that WeChat was told success for"
    return Finding("redis eviction", state, "CONFIG SET maxmemory-policy noeviction")


def _durability(configured: dict[str, str]) -> Finding:
    """Tell what a crash could lose."""
    what = "redis durability"
    if configured.get("appendonly") != "yes":
        state = "appendonly no: a crash loses all messages since the last snapshot"
        return Finding(what, state, "CONFIG SET appendonly yes, and in redis.conf")
    sync = configured.get("appendfsync", "?")
    if sync == "always":
        return Finding(what, "appendfsync always: a crash loses nothing", "")
    if sync == "everysec":
        state = (
            "appendfsync everysec: a crash of its machine can lose the messages of about the last "
            "second, a crash of Redis alone loses nothing; always loses nothing and costs speed"
        )
        return Finding(what, state, "")
    state = f"appendfsync {sync}: a crash of its machine can lose about 30 seconds of messages"
    return Finding(what, state, "CONFIG SET appendfsync everysec, or always")
