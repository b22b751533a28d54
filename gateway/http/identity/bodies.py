"""What is sent to the routes of identity, for those who describe it."""

import msgspec


class Code(msgspec.Struct, frozen=True):
    """What WeChat gave an app."""

    code: str


class Find(msgspec.Struct, frozen=True, omit_defaults=True):
    """Whom to find: an open id with its account, or a union id."""

    account: str = ""
    open_id: str = ""
    union_id: str = ""


class Changes(msgspec.Struct, frozen=True, omit_defaults=True):
    """What is added, and what is removed."""

    add: tuple[str, ...] = ()
    remove: tuple[str, ...] = ()


class InAccount(msgspec.Struct, frozen=True):
    """Which account is meant."""

    account: str


class Ended(msgspec.Struct, frozen=True):
    """How many sessions were ended."""

    ended: int


class MergesQuery(msgspec.Struct, frozen=True):
    """Which merges are listed."""

    after: int = 0
    limit: int = 100
    person: str | None = None
