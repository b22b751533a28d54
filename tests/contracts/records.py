"""What the suites of dead letters and of the archive share."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, Final, Generic, Protocol, TypeVar

from gateway.adapters.migrate import migrate

PASSWORD: Final = "s3cr3t%2Fp4ss"


class Closable(Protocol):
    """What has to be closed."""

    async def close(self) -> None: ...


_T = TypeVar("_T", bound=Closable)


@dataclass
class Opener(Generic[_T]):
    """Opens adapters over the same data, as processes do, and closes them."""

    make: Callable[[], _T]
    query: Callable[[str], list[tuple[Any, ...]]] = lambda _: []
    """Ask the same data by SQL."""
    opened: list[_T] = field(default_factory=list)

    def open(self) -> _T:
        """Return an adapter as another process would open it."""
        self.opened.append(self.make())
        return self.opened[-1]

    def play(self, scenario: Callable[[], Awaitable[None]]) -> None:
        """Run a scenario, and close what it opened, twice."""

        async def run() -> None:
            try:
                await scenario()
            finally:
                for adapter in [*self.opened, *self.opened]:
                    await adapter.close()
                self.opened.clear()

        asyncio.run(run())


def migrated(dsn: str) -> str:
    """Return the DSN of a database that has all tables by now."""

    async def apply() -> None:
        async for _ in migrate(dsn):
            pass

    asyncio.run(apply())
    return dsn


def with_password(dsn: str) -> str:
    """Return the DSN with a password, which a server that trusts everybody does not look at."""
    return dsn.replace("postgres@", f"postgres:{PASSWORD}@", 1)
