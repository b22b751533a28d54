"""What follows from what was learned of open ids: pure, and the same in every store.

Facts are joined, and joining is commutative, associative and idempotent: what is known of an open
id does not depend on the order in which it was learned, nor on how often. Whose open ids are one
person's follows from their union ids alone.
"""

from collections.abc import Callable, Iterable, Mapping
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
    """Those of which anything is new."""
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
    platform = _latest((one.platform_at, one.platform), (other.platform_at, other.platform))
    union = _latest((one.union_at, one.union_id), (other.union_at, other.union_id))
    subscribed = _latest(
        (one.subscribed_at, one.subscribed), (other.subscribed_at, other.subscribed)
    )
    profile = _latest(
        (one.profile_at, one.nickname, one.avatar), (other.profile_at, other.nickname, other.avatar)
    )
    return Facts(
        *(platform[1], platform[0], union[1], union[0], subscribed[1], subscribed[0]),
        *(profile[1], profile[2], profile[0]),
        min(one.first_seen, other.first_seen),
        max(one.last_active, other.last_active),
    )


def movers(joined: Mapping[AppUser, Facts], known: Mapping[AppUser, Kept]) -> list[AppUser]:
    """Return the open ids that are new, or whose union id changes: people change by these alone."""
    return [
        user
        for user, facts in joined.items()
        if user not in known or known[user].facts.union_id != facts.union_id
    ]


def plan(
    joined: Mapping[AppUser, Facts],
    known: Mapping[AppUser, Kept],
    bearers: Mapping[str, str],
    sizes: Mapping[str, int],
    new_id: Callable[[], str],
) -> Plan:
    """Return what is to be written where this is known of these open ids from now on.

    ``bearers`` tells who has the union ids of the movers, where anybody does. ``sizes`` tells how
    many open ids those have to whom the movers belonged; one, where that is not told.
    """
    planner = _Planner(Plan(), dict(bearers), dict(sizes), new_id)
    for user, facts in sorted(joined.items()):
        planner.take(user, facts, known.get(user))
    return planner.plan


@dataclass
class _Planner:
    plan: Plan
    bearers: dict[str, str]
    sizes: dict[str, int]
    new_id: Callable[[], str]

    def take(self, user: AppUser, facts: Facts, known: Kept | None) -> None:
        if known is None:
            owner = self._bearer(facts.union_id)
        elif known.facts.union_id == facts.union_id or facts.union_id is None:
            owner = known.person
        else:
            owner = self._move(user, facts.union_id, facts.union_at, known)
        self.plan.owners[user] = owner
        kept = Kept(owner, facts)
        if kept != known:
            self.plan.changed[user] = kept

    def _move(self, user: AppUser, union_id: str, at: float, known: Kept) -> str:
        """Give an open id to whoever has the union id; return who that is."""
        former = known.person
        # Without a union id, nobody has more than one.
        is_last = self.sizes.get(former, 1) == 1
        if is_last and known.facts.union_id is not None:
            self.bearers.pop(known.facts.union_id, None)
        if is_last and union_id not in self.bearers:
            self.plan.renamed[former] = union_id
            self.bearers[union_id] = former
            return former
        owner = self._bearer(union_id)
        if is_last:
            self.plan.gone[former] = owner
        else:
            self.sizes[former] -= 1
        self.plan.merges.append(Moved(at, user, former, owner, is_last))
        return owner

    def _bearer(self, union_id: str | None) -> str:
        """Return whose one more open id is: whoever has the union id, or somebody new."""
        owner = None if union_id is None else self.bearers.get(union_id)
        if owner is None:
            owner = self.new_id()
            self.plan.made[owner] = union_id
            if union_id is not None:
                self.bearers[union_id] = owner
        elif owner in self.sizes:
            self.sizes[owner] += 1
        return owner


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


def _latest(one: tuple[Any, ...], other: tuple[Any, ...]) -> tuple[Any, ...]:
    """Return the later of two (time, value, ...); of the same time the greater, None the least."""
    if one[0] != other[0]:
        return one if one[0] > other[0] else other
    return max(one, other, key=lambda dated: [(value is not None, value) for value in dated[1:]])
