"""A session: who signed in, where, and with what rights."""

import msgspec


class Session(msgspec.Struct, frozen=True, omit_defaults=True):
    """What is kept under a session token's ``jti``. Times are Unix seconds."""

    id: str
    """The ``jti``: nobody guesses it."""
    person: str
    account: str
    """The name of the account that was signed in to."""
    app_id: str
    open_id: str
    began_at: float
    seen_at: float
    """When it was renewed last, or began."""
    expires_at: float
    """Until when it is good, unless it is renewed."""
    ends_at: float
    """Until when it can be renewed."""
    union_id: str | None = None
    nickname: str | None = None
    tenant: str = ""
    roles: tuple[str, ...] = ()
    permissions: tuple[str, ...] = ()
    """Of these roles, sorted."""

    def __repr__(self) -> str:
        return f"Session(person={self.person})"
