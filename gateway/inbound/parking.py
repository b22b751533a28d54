"""What a coroutine waits for that whoever runs it may take over, so that it needs no task to wait.

A batch of callbacks waits for one round trip to the store. Were each of them a task, each would be
woken by a turn of the loop of its own; parked, the whole batch goes on in one.
"""

import asyncio
from collections.abc import Callable
from typing import Generic, TypeVar

_T = TypeVar("_T")


class Parking(asyncio.Future[_T], Generic[_T]):
    """A future; or, for a coroutine that was parked on it, a place in the batch that goes on.

    Whoever settles it calls ``go_on`` then, in the loop and in no task.
    """

    _resume: Callable[[], None] | None = None

    @property
    def is_parked(self) -> bool:
        """Whether a coroutine was parked here."""
        return self._resume is not None

    def park(self, resume: Callable[[], None]) -> None:
        """Have ``resume`` called when this is settled."""
        # The mark that a task which awaits a future finds and takes away.
        self._asyncio_future_blocking = False
        self._resume = resume

    def go_on(self) -> None:
        """Let what was parked go on, if anything was."""
        if self._resume is not None:
            self._resume()
