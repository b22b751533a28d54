"""What a process looks at from time to time: stores and tokens, each as a component.

A component is read when somebody asks, and not again for some seconds, however many ask: a gateway
that nobody watches asks nothing of its stores. Whoever asks waits for it a little, and is told what
was found before where it takes longer, with its age.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Final, NamedTuple

from gateway.telemetry.metrics import Family

FRESH_SECONDS: Final = 5.0
"""How long what was found is good for."""

PATIENCE_SECONDS: Final = 2.0
"""How long whoever asks waits at most."""

GIVE_UP_SECONDS: Final = 10.0
"""After which a reading that does not end has failed."""


class Problem(Exception):
    """A component is not well; the message says how, and what to do about it."""

    def __init__(self, said: str, families: Sequence[Family] = ()) -> None:
        """``families`` are what can be told of it all the same."""
        super().__init__(said)
        self.families = families


class Reading(NamedTuple):
    """What was found."""

    at: float
    """When, by a clock that does not jump."""
    families: Sequence[Family] = ()
    problem: str = ""
    """Empty where it is well."""


Read = Callable[[], Awaitable[Sequence[Family]]]
"""Returns what is to be told of a component; raises Problem."""


class Component:
    """One thing that is looked at."""

    def __init__(
        self,
        name: str,
        read: Read,
        *,
        fresh: float = FRESH_SECONDS,
        needed: bool = False,
        in_health: bool = True,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """``needed`` tells whether nothing can be taken without it.

        What is not ``in_health`` is looked at for metrics only: no probe is to call WeChat.
        """
        self.in_health = in_health
        self.name = name
        self.needed = needed
        self.clock = clock
        self._read = read
        self._fresh = fresh
        self._found: Reading | None = None
        self._reading: asyncio.Task[None] | None = None

    async def look(self) -> Reading:
        """Return what was found, now or just before."""
        if self._found is None or self.clock() - self._found.at >= self._fresh:
            if self._reading is None or self._reading.done():
                self._reading = asyncio.create_task(self._look())
            await asyncio.wait([self._reading], timeout=PATIENCE_SECONDS)
        return self._found or Reading(self.clock(), problem="it has not answered yet")

    async def _look(self) -> None:
        try:
            async with asyncio.timeout(GIVE_UP_SECONDS):
                families = await self._read()
        except Problem as problem:
            self._found = Reading(self.clock(), problem.families, str(problem))
        except TimeoutError:
            said = f"it has not answered for {GIVE_UP_SECONDS:g} s"
            self._found = Reading(self.clock(), problem=said)
        except Exception as error:
            self._found = Reading(self.clock(), problem=f"a bug: {type(error).__name__}")
        else:
            self._found = Reading(self.clock(), families)

    async def close(self) -> None:
        """End what is being read."""
        if self._reading is not None:
            self._reading.cancel()
            await asyncio.wait([self._reading])


async def look_at(components: Sequence[Component]) -> list[tuple[Component, Reading]]:
    """Return what was found of each, all looked at at once."""
    readings = await asyncio.gather(*(one.look() for one in components))
    return [*zip(components, readings, strict=True)]
