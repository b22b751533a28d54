"""The desk at which all sign-ins end: a code in, a session out, once for each code."""

import asyncio
from collections.abc import Awaitable, Callable
from hashlib import sha256
from typing import Final

import msgspec

from gateway.errors import ApiError, StoreDown
from gateway.identity.apps import App
from gateway.identity.directory import Directory, identity_of
from gateway.identity.failures import SignInFailed, SignInProblem, problem_of
from gateway.identity.once import EXCHANGE_SECONDS, NotNow, Once, Spent
from gateway.identity.people import AppUser, Sighting
from gateway.identity.ports import SignInStore
from gateway.identity.session import Session
from gateway.identity.sessions import Opened, Sessions
from gateway.identity.states import BEGUN_SECONDS
from gateway.identity.vault import CannotOpen, Vault
from gateway.telemetry.logs import get_logger
from gateway.telemetry.metrics import Metrics

_log = get_logger("gateway.identity")

_SECONDS: Final = EXCHANGE_SECONDS - 5.0

_NOTHING_DONE = frozenset((SignInProblem.BUSY, SignInProblem.SETUP))
"""What leaves the code good: the same request can succeed later."""

Exchange = Callable[[], Awaitable[Opened | SignInProblem]]
"""Exchanges a code; raises ApiError."""


class _Outcome(msgspec.Struct, frozen=True, omit_defaults=True):
    """What came of an exchange, for those who bring the code again."""

    problem: SignInProblem | None = None
    session: Session | None = None
    token: str = ""


class Desk:
    """Ends sign-ins."""

    def __init__(
        self,
        directory: Directory,
        sessions: Sessions,
        sign_ins: SignInStore,
        vault: Vault,
        clock: Callable[[], float],
        metrics: Metrics | None = None,
    ) -> None:
        """``clock`` gives Unix seconds."""
        self._metrics = metrics or Metrics()
        self.clock = clock
        self._directory = directory
        self._sessions = sessions
        self._vault = vault
        self._once = Once(sign_ins, BEGUN_SECONDS)

    async def once(self, app: App, key: str, code: str, exchange: Exchange) -> Opened:
        """Return what the code of the sign-in ``key`` brings, though many bring it at once.

        Raises SignInFailed, and StoreDown.
        """
        try:
            opened = await self._done_once(key, code, exchange)
        except SignInFailed:
            self._metrics.sign_ins.add((app.name, "refused"))
            raise
        self._metrics.sign_ins.add((app.name, "ok"))
        return opened

    async def _done_once(self, key: str, code: str, exchange: Exchange) -> Opened:

        async def answer() -> bytes:
            return self._vault.seal(msgspec.json.encode(await _outcome(exchange)), key)

        try:
            sealed = await self._once.do(
                key, sha256(code.encode("utf-8", "replace")).digest(), answer
            )
            outcome = msgspec.json.decode(self._vault.open(sealed, key), type=_Outcome)
        except (Spent, CannotOpen):
            raise SignInFailed(SignInProblem.STATE) from None
        except NotNow as wrong:
            raise SignInFailed(next(iter(wrong.args), SignInProblem.BUSY)) from None
        if outcome.session is None:
            raise SignInFailed(outcome.problem or SignInProblem.CODE)
        return Opened(outcome.session, outcome.token)

    async def enter(self, app: App, sighting: Sighting) -> Opened | SignInProblem:
        """Return a session of the user who was seen to sign in to an app; raise StoreDown."""
        await self._directory.see(sighting)
        person = await self._directory.store.owner(sighting.user)
        if person is None:
            # They were erased at this moment.
            return SignInProblem.CODE
        opened = await self._sessions.open(app, person, identity_of(person, sighting.user))
        # What they may do, or whether they are known at all, can have changed before it was there.
        session = await self._sessions.settled(opened.session, self._directory)
        return SignInProblem.CODE if session is None else Opened(session, opened.token)

    async def knows(self, user: AppUser) -> bool:
        """Tell whether somebody has this open id."""
        return await self._directory.store.owner(user) is not None


async def _outcome(exchange: Exchange) -> _Outcome:
    """Return what came of it; raise NotNow where nothing was done."""
    try:
        async with asyncio.timeout(_SECONDS):
            opened = await exchange()
    except TimeoutError:
        # Who waits would take it for given up, and bring the code that is used by now.
        return _Outcome(SignInProblem.CODE)
    except StoreDown as down:
        _log.error("nobody can sign in", error=str(down))
        return _Outcome(SignInProblem.CODE)
    except ApiError as error:
        problem = problem_of(error)
        if problem is SignInProblem.SETUP:
            _log.error("nobody can sign in", error=str(error))
        if problem in _NOTHING_DONE:
            raise NotNow(problem) from None
        return _Outcome(problem)
    if isinstance(opened, SignInProblem):
        return _Outcome(opened)
    return _Outcome(None, *opened)
