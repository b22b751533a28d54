"""Users' own tokens, which a sign-in brings: sealed, durable, refreshed when they are needed."""

from collections.abc import Callable, Sequence
from typing import Final

import msgspec

from gateway.errors import RequestRejected, TokenRejected, UserRejected
from gateway.identity.people import AppUser
from gateway.identity.ports import Secret, SecretStore
from gateway.identity.vault import CannotOpen, Vault
from gateway.outbound.endpoints.web import UserGrant, UserProfile, WebAuthorization

USER_TOKEN: Final = "user_token"  # noqa: S105  # the name of a kind
REFRESH_SECONDS: Final = 30 * 86_400.0
"""How long a refresh token is good for (PROTOCOL 7.5)."""

EARLY_SECONDS: Final = 60.0
"""So long before its end a token is not used any more."""


class SignInAgain(Exception):
    """There is no token of this user's that holds: they have to sign in again."""


class _Kept(msgspec.Struct, frozen=True):
    access_token: str
    until: float
    refresh_token: str
    refresh_until: float
    scope: str


class UserTokens:
    """Keeps them, and calls with them."""

    def __init__(self, store: SecretStore, vault: Vault, clock: Callable[[], float]) -> None:
        """``clock`` gives Unix seconds."""
        self._store = store
        self._vault = vault
        self._clock = clock

    async def keep(self, user: AppUser, grant: UserGrant) -> None:
        """Keep what a user granted, in place of what they did before; raise StoreDown."""
        now = self._clock()
        kept = _Kept(
            grant.access_token,
            now + grant.expires_in,
            grant.refresh_token,
            now + REFRESH_SECONDS,
            grant.scope,
        )
        await self._write(user, kept)

    async def profile(self, web: WebAuthorization, user: AppUser) -> UserProfile:
        """Return what a user shows of themselves, now.

        Raises SignInAgain, StoreDown, and ApiError: AccountRejected (48001) where they granted no
        more than who they are.
        """
        kept = await self._read(user)
        if kept.until - EARLY_SECONDS <= self._clock():
            kept = await self._refresh(web, user, kept)
        try:
            return await web.profile(kept.access_token, user.open_id)
        except TokenRejected:
            kept = await self._refresh(web, user, kept)
        try:
            return await web.profile(kept.access_token, user.open_id)
        except TokenRejected:
            raise SignInAgain from None

    async def drop(self, users: Sequence[AppUser]) -> None:
        """Forget the tokens of users; they sign in again before anything is had with them."""
        for user in users:
            await self._store.keep_secret(Secret(user, USER_TOKEN, b"", 0.0))

    async def _refresh(self, web: WebAuthorization, user: AppUser, kept: _Kept) -> _Kept:
        if kept.refresh_until <= self._clock():
            raise SignInAgain
        try:
            grant = await web.refresh(kept.refresh_token)
        except (UserRejected, TokenRejected, RequestRejected):
            # 42002, 42007, 40030: it is over, or the user changed their password (PROTOCOL 8).
            raise SignInAgain from None
        now = self._clock()
        same = grant.refresh_token == kept.refresh_token
        fresh = _Kept(
            grant.access_token,
            now + grant.expires_in,
            grant.refresh_token,
            # Whether a refresh makes it good for longer is not documented.
            kept.refresh_until if same else now + REFRESH_SECONDS,
            grant.scope or kept.scope,
        )
        await self._write(user, fresh)
        return fresh

    async def _read(self, user: AppUser) -> _Kept:
        secret = await self._store.secret(user, USER_TOKEN)
        if secret is None:
            raise SignInAgain
        try:
            return msgspec.json.decode(
                self._vault.open(secret.sealed, place_of(USER_TOKEN, user)), type=_Kept
            )
        except (CannotOpen, msgspec.DecodeError):
            # The key that it was sealed with is gone.
            raise SignInAgain from None

    async def _write(self, user: AppUser, kept: _Kept) -> None:
        sealed = self._vault.seal(msgspec.json.encode(kept), place_of(USER_TOKEN, user))
        await self._store.keep_secret(Secret(user, USER_TOKEN, sealed, kept.refresh_until))


def place_of(kind: str, user: AppUser) -> str:
    """Return what a secret is sealed to: moved to another user, it does not open."""
    return f"{kind}/{user.app_id}/{user.open_id}"
