"""What follows from what was learned of open ids: pure, and the same in every store.

Facts are joined, and joining is commutative, associative and idempotent: what is known of an open
id does not depend on the order in which it was learned, nor on how often. Whose open ids are one
person's follows from their union ids alone.
"""

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from gateway.identity.people import AppUser, Consent, Identity, Person, Platform, Sighting


class Facts(NamedTuple):
    """What is known of an open id, each thing with the time that it is of; 0 where it is unknown.

    A store keeps these as columns of the same names, in this order.
    """

    platform: str
    platform_at: float
    union_id: str | None
    union_at: float
    subscribed: bool | None
    subscribed_at: float
    nickname: str | None
    avatar: str | None
    profile_at: float
    """Names and pictures come and go together."""
    first_seen: float
    last_active: float


class Kept(NamedTuple):
    """An open id as a store keeps it."""

    person: str
    facts: Facts


class Moved(NamedTuple):
    """An open id that went from one person to another: a Merge before it has a number."""

    at: float
    user: AppUser
    former: str
    person: str
    whole: bool


@dataclass
class Plan:
    """What a store has to write."""

    owners: dict[AppUser, str] = field(default_factory=dict)
    """Whose each of the open ids is then."""
    changed: dict[AppUser, Kept] = field(default_factory=dict)
    """Those that are new, or whose they are is, or whether they follow."""
    touched: dict[AppUser, Facts] = field(default_factory=dict)
    """Those of which something else is new: a store may have less to do for these."""
    gone: dict[str, str] = field(default_factory=dict)
    """People who turned out to be somebody else, and who: what is theirs goes there."""
    renamed: dict[str, str] = field(default_factory=dict)
    """People who get a union id, or another one. Some may get what another had until now."""
    made: dict[str, str | None] = field(default_factory=dict)
    """New people, and their union ids."""
    merges: list[Moved] = field(default_factory=list)


def fold(sightings: Iterable[Sighting]) -> dict[AppUser, Facts]:
    """Return what was learned of each open id."""
    learned: dict[AppUser, Facts] = {}
    for sighting in sightings:
        known = learned.get(sighting.user)
        facts = _facts(sighting)
        learned[sighting.user] = facts if known is None else join(known, facts)
    return learned


def join(one: Facts, other: Facts) -> Facts:
    """Return what is known by both together: of each thing the latest, then the greater."""
    is_first = _counts(one.platform_at, one.platform, other.platform_at, other.platform)
    platform = one if is_first else other
    is_first = _counts(one.union_at, one.union_id, other.union_at, other.union_id)
    union = one if is_first else other
    is_first = _counts(one.subscribed_at, one.subscribed, other.subscribed_at, other.subscribed)
    followed = one if is_first else other
    is_first = _counts(one.profile_at, _profile(one), other.profile_at, _profile(other))
    profile = one if is_first else other
    return Facts(
        platform.platform,
        platform.platform_at,
        union.union_id,
        union.union_at,
        followed.subscribed,
        followed.subscribed_at,
        profile.nickname,
        profile.avatar,
        profile.profile_at,
        min(one.first_seen, other.first_seen),
        max(one.last_active, other.last_active),
    )


def is_mover(facts: Facts, known: Kept | None) -> bool:
    """Tell whether somebody changes by this: the open id is new, or has another union id."""
    return known is None or known.facts.union_id != facts.union_id


class Planner:
    """Finds out what is to be written where this and that is known of open ids from now on."""

    def __init__(
        self,
        bearer_of: Callable[[str], str | None],
        size_of: Callable[[str], int],
        new_id: Callable[[], str],
    ) -> None:
        """``bearer_of`` returns who has a union id, ``size_of`` how many open ids somebody has.

        Both as it was before the plan; they are asked about movers alone.
        """
        self.plan = Plan()
        self._bearer_of = bearer_of
        self._size_of = size_of
        self._new_id = new_id
        self._bearers: dict[str, str | None] = {}
        self._more = Counter[str]()

    def take(self, user: AppUser, facts: Facts, known: Kept | None) -> None:
        """Plan for one open id, each once; ``facts`` are all that is known of it by now."""
        if known is None:
            owner = self._receiver(facts.union_id)
        elif known.facts.union_id == facts.union_id or facts.union_id is None:
            owner = known.person
        else:
            owner = self._move(user, facts.union_id, facts.union_at, known)
        self.plan.owners[user] = owner
        if known is None or (owner, _following(facts)) != (known.person, _following(known.facts)):
            self.plan.changed[user] = Kept(owner, facts)
        elif facts != known.facts:
            self.plan.touched[user] = facts

    def _move(self, user: AppUser, union_id: str, at: float, known: Kept) -> str:
        """Give an open id to whoever has the union id; return who that is."""
        former, former_union = known.person, known.facts.union_id
        # Without a union id, nobody has more than one.
        is_last = former_union is None or self._size_of(former) + self._more[former] == 1
        if is_last and former_union is not None:
            self._bearers[former_union] = None
        if is_last and self._bearer(union_id) is None:
            self.plan.renamed[former] = union_id
            self._bearers[union_id] = former
            return former
        owner = self._receiver(union_id)
        if is_last:
            self.plan.gone[former] = owner
        else:
            self._more[former] -= 1
        self.plan.merges.append(Moved(at, user, former, owner, is_last))
        return owner

    def _receiver(self, union_id: str | None) -> str:
        """Return whose one more open id is: whoever has the union id, or somebody new."""
        owner = None if union_id is None else self._bearer(union_id)
        if owner is None:
            owner = self._new_id()
            self.plan.made[owner] = union_id
            if union_id is not None:
                self._bearers[union_id] = owner
        else:
            self._more[owner] += 1
        return owner

    def _bearer(self, union_id: str) -> str | None:
        if union_id not in self._bearers:
            self._bearers[union_id] = self._bearer_of(union_id)
        return self._bearers[union_id]


def identity_of(user: AppUser, facts: Facts) -> Identity:
    """Return what is known of an open id as it is told."""
    return Identity(
        user,
        Platform(facts.platform),
        facts.union_id,
        facts.subscribed,
        facts.subscribed_at,
        facts.nickname,
        facts.avatar,
        facts.first_seen,
        facts.last_active,
    )


class Belongings(NamedTuple):
    """What is a person's beside their open ids, in any order."""

    tags: Iterable[str]
    roles: Iterable[str]
    consents: Iterable[Consent]
    former_ids: Iterable[str]


def person_of(
    id_: str, union_id: str | None, identities: Iterable[Identity], has: Belongings
) -> Person:
    """Return somebody with all that is theirs, each in its order; they have an open id at least."""
    known = tuple(sorted(identities, key=lambda one: (one.first_seen, one.user)))
    return Person(
        id_,
        union_id,
        known[0].first_seen,
        known,
        tuple(sorted(set(has.tags))),
        tuple(sorted(has.roles)),
        tuple(sorted(has.consents)),
        tuple(sorted(has.former_ids)),
    )


def latest_consents(consents: Iterable[Consent]) -> list[Consent]:
    """Return the answer that counts, of each user to each template, in their order."""
    counts: dict[tuple[AppUser, str], Consent] = {}
    for consent in consents:
        question = (consent.user, consent.template_id)
        known = counts.get(question, consent)
        counts[question] = max(known, consent, key=lambda one: (one.at, one.accepted))
    return [counts[question] for question in sorted(counts)]


def _facts(sighting: Sighting) -> Facts:
    at = sighting.at
    # An empty one would be everybody's.
    union_id = sighting.union_id or None
    nickname, avatar = _whole(sighting.nickname), _whole(sighting.avatar)
    return Facts(
        sighting.platform,
        at,
        union_id,
        0.0 if union_id is None else at,
        sighting.subscribed,
        0.0 if sighting.subscribed is None else at,
        nickname,
        avatar,
        0.0 if nickname is None and avatar is None else at,
        at,
        at if sighting.active else 0.0,
    )


def _whole(text: str | None) -> str | None:
    """Return the text without halves of characters, which JSON may bring and no store can hold."""
    if text is None or text.isascii():
        return text
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _following(facts: Facts) -> tuple[bool | None, float]:
    return facts.subscribed, facts.subscribed_at


def _profile(facts: Facts) -> tuple[bool, str, bool, str]:
    name, avatar = facts.nickname, facts.avatar
    return name is not None, name or "", avatar is not None, avatar or ""


def _counts(at: float, value: Any, other_at: float, other: Any) -> bool:
    """Tell whether the one counts more than the other; of the same time None is the least."""
    if at != other_at:
        return at > other_at
    return other is None or (value is not None and bool(value >= other))
