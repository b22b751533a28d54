"""Who was erased a while ago: what was on its way then does not bring them back.

By digests, so that nothing is kept of them; for as long as anything can be on its way.
"""

from collections.abc import Callable, Iterable, Sequence
from hashlib import sha256
from typing import Final

import msgspec

from gateway.identity.people import AppUser, Sighting
from gateway.identity.ports import Checkpoints

NAME: Final = "forgotten"

KEEP_SECONDS: Final = 86_400.0
"""A follower waits so long to be asked about, at most, while WeChat cannot be reached."""

_Digests = dict[str, float]
"""When each was erased, Unix seconds."""


class Forgotten:
    """Remembers it."""

    def __init__(self, checkpoints: Checkpoints, clock: Callable[[], float]) -> None:
        """``clock`` gives Unix seconds."""
        self._checkpoints = checkpoints
        self._clock = clock

    async def note(self, users: Iterable[AppUser]) -> None:
        """Note that users are erased now; raise StoreDown."""
        now = self._clock()
        digests = {one: at for one, at in (await self._read()).items() if now - at < KEEP_SECONDS}
        digests |= {_digest(user): now for user in users}
        await self._checkpoints.note_checkpoint(NAME, msgspec.json.encode(digests))

    async def without(self, sightings: Sequence[Sighting]) -> list[Sighting]:
        """Return what was learned of those who were not erased since; raise StoreDown."""
        if not sightings or not (digests := await self._read()):
            return list(sightings)
        return [one for one in sightings if one.at > digests.get(_digest(one.user), float("-inf"))]

    async def _read(self) -> _Digests:
        noted = await self._checkpoints.checkpoint(NAME)
        return {} if noted is None else msgspec.json.decode(noted, type=_Digests)


def _digest(user: AppUser) -> str:
    return sha256(f"{user.app_id} {user.open_id}".encode("utf-8", "replace")).hexdigest()[:32]
