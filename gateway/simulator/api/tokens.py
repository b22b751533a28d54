"""Access tokens by the platform's rules (PROTOCOL 7.1), written apart from the gateway's client."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

LIFETIME: Final = 7200.0
OVERLAP: Final = 300.0
FORCED_EVERY: Final = 30.0
FORCED_A_DAY: Final = 20
DAY: Final = 86_400.0

EXPIRED: Final = 42001
NOT_LATEST: Final = 40001
MISSING: Final = 41001
TOO_OFTEN: Final = 45011
USED_UP: Final = 45009


@dataclass(slots=True)
class _Token:
    value: str
    until: float


class AccountTokens:
    """The tokens of one account: those of /token and of /stable_token leave each other alone."""

    def __init__(self, clock: Callable[[], float], new: Callable[[], str]) -> None:
        """``clock`` gives Unix seconds; ``new`` makes token texts."""
        self._clock = clock
        self._new = new
        self._stable: _Token | None = None
        self._plain: _Token | None = None
        self._known: dict[str, float] = {}
        """Until when each token holds, or held."""
        self._killed: set[str] = set()
        self._forced: list[float] = []
        self.made = 0
        """How many tokens were made in all."""

    def plain(self) -> tuple[str, int]:
        """Return a new token, and its seconds; the one before it holds for 5 more minutes."""
        now = self._clock()
        if self._plain is not None:
            self._cut(self._plain, now + OVERLAP)
        self._plain = self._make(now)
        return self._plain.value, int(LIFETIME)

    def stable(self, *, force: bool = False) -> tuple[str, int] | int:
        """Return the token that holds, and the seconds left; or an errcode."""
        now = self._clock()
        token = self._stable
        if force:
            self._forced = [at for at in self._forced if at > now - DAY]
            if self._forced and now - self._forced[-1] < FORCED_EVERY:
                return TOO_OFTEN
            if len(self._forced) >= FORCED_A_DAY:
                return USED_UP
            self._forced.append(now)
            if token is not None:
                self._killed.add(token.value)
            token = None
        if token is None or token.until - now <= OVERLAP:
            token = self._stable = self._make(now)
        return token.value, int(token.until - now)

    def check(self, value: str) -> int:
        """Return the errcode that a call with this token gets; 0 where it holds."""
        if not value:
            return MISSING
        until = self._known.get(value)
        if until is None or value in self._killed:
            return NOT_LATEST
        return EXPIRED if self._clock() >= until else 0

    def kill(self) -> None:
        """End all tokens, as an AppSecret's change does; the next one asked for is new."""
        self._killed.update(self._known)
        self._stable = self._plain = None

    def _make(self, now: float) -> _Token:
        token = _Token(self._new(), now + LIFETIME)
        self._known[token.value] = token.until
        self.made += 1
        return token

    def _cut(self, token: _Token, until: float) -> None:
        self._known[token.value] = min(self._known[token.value], until)
