"""Who everybody is: what is learned of people goes in here, and who they are comes out."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Final

from gateway.errors import StoreDown, place_of
from gateway.identity.forgotten import Forgotten
from gateway.identity.gathering import Gathering
from gateway.identity.people import AppUser, Identity, Merge, Person, Platform, Sighting
from gateway.identity.ports import IdentityStore
from gateway.identity.session import Session
from gateway.identity.sessions import Roles, Sessions, with_rights
from gateway.telemetry.logs import get_logger

_log = get_logger("gateway.identity")

KEEP_SECONDS: Final = 5.0
"""How long it may take until it is stored when somebody was last active, and sessions follow."""

SETTLE_SECONDS: Final = 60.0
"""How long sessions are looked for that follow a merge: a sign-in may have been under way."""

MAX_NOTED: Final = 50_000
_BATCH: Final = 1000

_Noted = dict[AppUser, tuple[Platform, float]]


class Directory:
    """People, as one process sees them."""

    def __init__(
        self,
        store: IdentityStore,
        sessions: Sessions,
        roles: Roles,
        forgotten: Forgotten,
        *,
        clock: Callable[[], float],
    ) -> None:
        """``clock`` gives Unix seconds."""
        self.store = store
        self.roles = roles
        self.forgotten = forgotten
        self._sessions = sessions
        self._clock = clock
        self._seeing = Gathering[Sighting, str](store.see)
        self._noted: _Noted = {}
        self._unsettled: dict[int, tuple[Merge, float]] = {}
        """Merges by their numbers, and when each was seen first here."""
        self._after = 0
        self._looked_back_at = 0.0

    async def see(self, sighting: Sighting) -> str:
        """Take what was learned of one open id; return whose it is, the id of a person."""
        return await self._seeing.get(sighting)

    def note(self, user: AppUser, platform: Platform, at: float) -> None:
        """Note that a user did something; stored soon, with what others did."""
        known = self._noted.get(user)
        if known is None and len(self._noted) >= MAX_NOTED:
            return
        if known is None or known[1] < at:
            self._noted[user] = (platform, at)

    async def whoever(self, sighting: Sighting) -> Person | None:
        """Return whose open id was seen: somebody new where it was not seen before.

        None where they were erased since.
        """
        person = await self.store.owner(sighting.user)
        if person is None and await self.forgotten.without([sighting]):
            await self.see(sighting)
            person = await self.store.owner(sighting.user)
        return person

    async def of(self, session: Session) -> Session | None:
        """Return a session with what its person has now; None where they are there no more."""
        # By the open id: it may be another person's by now, whom the session will follow.
        person = await self.store.owner(AppUser(session.app_id, session.open_id))
        return None if person is None else with_rights(session, person, self.roles)

    async def grant(self, id_: str, add: Sequence[str], remove: Sequence[str]) -> Person | None:
        """Change a person's roles, and their sessions with it; None where there is nobody."""
        if not await self.store.grant(id_, add, remove):
            return None
        return await self._hand_over(id_, (), None)

    async def _hand_over(
        self, id_: str, former: Sequence[str], user: AppUser | None
    ) -> Person | None:
        """Let a person's sessions have what the person has, and those of former ones.

        Somebody else may change that meanwhile, and be overtaken here: then once more.
        """
        person = await self.store.person(id_)
        while person is not None:
            owners = [*ids_of(person), *former]
            await self._sessions.hand_over(owners, person, user)
            before, person = person, await self.store.person(id_)
            if person is None or person.roles == before.roles:
                break
        return person

    async def take(self, sightings: Sequence[Sighting]) -> None:
        """Take what was learned, but of those who were erased since; raise StoreDown."""
        if kept := await self.forgotten.without(sightings):
            await self.store.see(kept)

    async def hide(self, users: Sequence[AppUser]) -> None:
        """Remove the names and pictures of users who took back the right to them."""
        await self.store.forget_profile(users)
        for user in users:
            person = await self.store.owner(user)
            if person is not None:
                await self._hand_over(person.id, (), user)

    async def flush(self) -> None:
        """Store who was active; what cannot be stored now is kept for later."""
        noted, self._noted = self._noted, {}
        sightings = [Sighting(user, platform, at) for user, (platform, at) in noted.items()]
        try:
            for start in range(0, len(sightings), _BATCH):
                await self.take(sightings[start : start + _BATCH])
        except StoreDown:
            self._noted = {**noted, **self._noted}
            raise

    async def settle(self) -> None:
        """Let sessions follow merges: at once, and again when no sign-in can be behind one."""
        now = self._clock()
        for merge in await self._new_merges(now):
            await self._follow(merge)
            self._unsettled[merge.number] = (merge, now)
        due = [one for one, since in self._unsettled.values() if now - since >= SETTLE_SECONDS]
        for merge in due:
            await self._follow(merge)
        if due:
            await self.store.settle([merge.number for merge in due])
            for merge in due:
                del self._unsettled[merge.number]

    async def _new_merges(self, now: float) -> list[Merge]:
        """Return merges that were not looked at yet."""
        if now - self._looked_back_at >= SETTLE_SECONDS:
            # A merge of a lower number may have been under way longer.
            self._after, self._looked_back_at = 0, now
        found: list[Merge] = []
        while merges := await self.store.merges(_BATCH, self._after, unsettled=True):
            self._after = merges[-1].number
            found += (merge for merge in merges if merge.number not in self._unsettled)
        return found

    async def _follow(self, merge: Merge) -> None:
        user = None if merge.whole else merge.user
        await self._hand_over(merge.person, [merge.former], user)

    async def close(self) -> None:
        """Store what was noted last, as far as that goes."""
        try:
            await self.flush()
        except StoreDown as down:
            _log.warning("who was active last is lost", error=str(down))

    async def run(self) -> None:
        """Do both, again and again, until cancelled."""
        while True:
            await asyncio.sleep(KEEP_SECONDS)
            try:
                await self.flush()
                await self.settle()
            except StoreDown as down:
                _log.warning("what was learned of people waits", error=str(down))
            except Exception as error:
                # Not known to happen; sessions would follow no merge any more.
                name, place = type(error).__name__, place_of(error)
                _log.critical("what was learned of people waits", error=name, at=place)


def ids_of(person: Person) -> list[str]:
    """Return all ids that a person's sessions may have."""
    return [person.id, *person.former_ids]


def identity_of(person: Person, user: AppUser) -> Identity:
    """Return which of a person's identities this is; the first where it is none of theirs."""
    return next((one for one in person.identities if one.user == user), person.identities[0])
