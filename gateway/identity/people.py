"""People as the gateway knows them: one person, many open ids, one union id at most.

What is learned comes in any order, over and over, from callbacks, sign-ins and backfills. So each
thing that can change carries the time that it is of, and the latest counts; of two of the same time
the greater. Thus the same things learned in any order end in the same identities.
"""

from enum import StrEnum
from typing import NamedTuple


class Platform(StrEnum):
    """What kind of app an open id is of. Members are as the settings write them."""

    OFFICIAL_ACCOUNT = "official_account"
    MINI_PROGRAM = "mini_program"
    MOBILE_APP = "mobile_app"
    WEBSITE = "website"


class AppUser(NamedTuple):
    """A user as one app knows them: an open id is good for its app alone."""

    app_id: str
    open_id: str

    def __repr__(self) -> str:
        return f"AppUser({self.app_id})"


class Sighting(NamedTuple):
    """What was learned of an open id at one time; None where that was not learned."""

    user: AppUser
    platform: Platform
    at: float
    """Unix seconds: what was learned later counts more."""
    union_id: str | None = None
    subscribed: bool | None = None
    """Whether they follow the account."""
    nickname: str | None = None
    avatar: str | None = None
    """The URL of their picture."""
    active: bool = True
    """Whether the user did something then; a backfill is no doing of theirs."""

    def __repr__(self) -> str:
        return f"Sighting({self.user!r}, at={self.at})"


class Consent(NamedTuple):
    """What a user answered when asked whether to get notices of one template (PROTOCOL 6.3)."""

    user: AppUser
    template_id: str
    accepted: bool
    at: float
    """Unix seconds."""


class Identity(NamedTuple):
    """All that is known of an open id."""

    user: AppUser
    platform: Platform
    union_id: str | None
    subscribed: bool | None
    subscribed_at: float
    """When that was learned last, Unix seconds; 0 where it never was."""
    nickname: str | None
    avatar: str | None
    first_seen: float
    """Unix seconds, as all times here."""
    last_active: float
    """0 where they never did anything."""

    def __repr__(self) -> str:
        return f"Identity({self.user!r})"


class Person(NamedTuple):
    """Somebody: all open ids that are known to be theirs."""

    id: str
    union_id: str | None
    created_at: float
    """When the first of their open ids was seen first."""
    identities: tuple[Identity, ...]
    """In the order in which they were first seen; at least one."""
    tags: tuple[str, ...] = ()
    """Sorted, as all that follows. Each hangs on one of the identities."""
    roles: tuple[str, ...] = ()
    """What they were granted; these hang on the person."""
    consents: tuple[Consent, ...] = ()
    former_ids: tuple[str, ...] = ()
    """The ids of those who turned out to be this person; each still finds it."""

    @property
    def last_active(self) -> float:
        """When they did something last, in any app."""
        return max(one.last_active for one in self.identities)

    def __repr__(self) -> str:
        return f"Person({self.id})"


class Merge(NamedTuple):
    """An open id turned out to be another person's than was thought."""

    number: int
    """Later ones are greater."""
    at: float
    """Of when the union id is that told it, Unix seconds."""
    user: AppUser
    """Whose union id told it."""
    former: str
    """Whom the open id belonged to."""
    person: str
    """Whom it belongs to."""
    whole: bool
    """Whether nothing is left of the former: all that was theirs is this person's. Else they keep
    the other open ids, and this one alone changed hands."""
    settled: bool
    """Whether sessions follow it by now."""
