"""What is learned of people from callbacks, and from asking WeChat about those who follow."""

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence

from gateway.identity.apps import App
from gateway.identity.directory import Directory
from gateway.identity.people import AppUser, Person, Sighting
from gateway.identity.told import doer, seen_by, together, told_by
from gateway.outbound.endpoints import Caller
from gateway.outbound.endpoints.followers import UserInfo, Users
from gateway.protocol.messages import Message


class Learner:
    """Learns of the users of all accounts; they are known by the accounts' names here."""

    def __init__(
        self,
        directory: Directory,
        apps: Mapping[str, App],
        callers: Mapping[str, Caller],
        erase: Callable[[AppUser], Awaitable[None]],
        drop_tokens: Callable[[Sequence[AppUser]], Awaitable[None]],
        clock: Callable[[], float],
    ) -> None:
        """``callers`` are the APIs of those accounts whose followers are asked about.

        ``drop_tokens`` forgets what users' names and pictures could be had with.
        """
        self._drop_tokens = drop_tokens
        self._directory = directory
        self._apps = apps
        self._callers = callers
        self._erase = erase
        self._clock = clock

    def note(self, account: str, message: Message) -> None:
        """Note that somebody did something, if that is what a message is."""
        if open_id := doer(message):
            app, at = self._apps[account], float(message.create_time)
            self._directory.note(AppUser(app.app_id, open_id), app.platform, at)

    def asks(self, account: str) -> bool:
        """Tell whether WeChat is asked about those who follow an account."""
        return account in self._callers

    async def learn(self, messages: Iterable[tuple[str, Message]]) -> None:
        """Keep what messages tell, each with its account; raise StoreDown.

        Of those who are gone nothing is done here: see ``forget``.
        """
        store = self._directory.store
        told = together(
            told_by(self._apps[account], message)
            for account, message in messages
            if account in self._apps
        )
        await self._directory.take(told.sightings)
        if told.consents:
            await store.answer(told.consents)
        if told.hidden:
            await self._directory.hide(told.hidden)
            await self._drop_tokens(told.hidden)

    async def forget(self, account: str, open_id: str) -> None:
        """Erase what is kept of a user; raise StoreDown, and BeingSent where that is not yet."""
        if account in self._apps:
            await self._erase(AppUser(self._apps[account].app_id, open_id))

    async def look_up(self, account: str, open_ids: Sequence[str]) -> None:
        """Ask WeChat about an account's followers, and keep what it tells.

        Raises ApiError, and StoreDown.
        """
        # What happens while WeChat answers is newer.
        at = self._clock()
        infos = await Users(self._callers[account]).those_told(open_ids)
        app = self._apps[account]
        await self._directory.take([sighting_of(app, info, at) for info in infos])

    async def sender(self, account: str, message: Message) -> Person | None:
        """Return whom a message is from: somebody new where they were not seen before.

        None where they were erased since.
        """
        return await self._directory.whoever(seen_by(self._apps[account], message))


def sighting_of(app: App, info: UserInfo, at: float) -> Sighting:
    """Return what WeChat's answer about a user tells, which was asked for at that time."""
    user, subscribed = AppUser(app.app_id, info.open_id), bool(info.subscribe)
    return Sighting(user, app.platform, at, info.union_id, subscribed, active=False)
