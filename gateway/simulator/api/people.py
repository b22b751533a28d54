"""Who lives in a world: what each person is called, and the ids that apps know them by.

Ids follow from names and app ids alone: they are the same in each run, and in a test that makes
them itself. All apps of a world are bound to one open-platform account, so that a person has one
union id.
"""

import base64
import hashlib
import re
from typing import Final

from gateway.simulator.documents import USER

OPEN_ID: Final = re.compile(r"o[A-Za-z0-9_-]{20,31}")

POPULATION: Final = ("小明🎈", "韩梅梅", "Zoë 👩‍🚀 & <Co>")
"""Who is there from the beginning. The first is the demo's user; the last is hard to escape."""

_UNION: Final = "the open-platform account"


class Person:
    """Somebody with WeChat."""

    __slots__ = ("is_snapshot", "key", "name")

    def __init__(self, key: str, name: str) -> None:
        """``key`` tells persons apart: a name, or the open id of somebody who has none."""
        self.key = key
        self.name = name
        self.is_snapshot = False
        """Whether they look at pages in the mode that gives a virtual account (PROTOCOL 7.5)."""

    @property
    def union_id(self) -> str:
        """The id that all apps know them by."""
        return _id_of(_UNION, self.key)

    @property
    def avatar(self) -> str:
        """The address of their picture, as the platform's look; there is none behind it."""
        return f"https://thirdwx.qlogo.cn/mmopen/vi_32/{_hash('avatar', self.key)[:43]}/132"

    @property
    def phone(self) -> str:
        """Their number, without +86."""
        digest = hashlib.sha256(f"phone\0{self.key}".encode()).digest()
        return f"199{int.from_bytes(digest[:8], 'big') % 10**8:08d}"


class People:
    """All of them: those with names, and the strangers whom an account knows by open ids."""

    def __init__(self) -> None:
        self._named = {name: Person(name, name) for name in POPULATION}
        self._strangers: dict[str, Person] = {}
        self._by_open_id: dict[str, dict[str, Person]] = {}
        """By app id and open id; those that were looked for there."""

    @property
    def first(self) -> Person:
        """The demo's user."""
        return self._named[POPULATION[0]]

    def named(self) -> list[Person]:
        """Return those with names, in the order of their coming."""
        return list(self._named.values())

    def find(self, name: str) -> Person | None:
        """Return who has this name."""
        return self._named.get(name)

    def get(self, name: str) -> Person:
        """Return who has this name, or this open id; somebody new where nobody has it."""
        if name == USER:
            return self.first
        if OPEN_ID.fullmatch(name):
            return self._stranger(name)
        if name not in self._named:
            self._named[name] = Person(name, name)
        return self._named[name]

    def open_id(self, person: Person, app_id: str, *, official: bool) -> str:
        """Return the id that an app knows a person by.

        The first is who simulated messages come from by default: in all official accounts by one
        id, which on the platform does not happen, and saves the demo a setting.
        """
        if official and person is self.first:
            return USER
        # A stranger is known by nothing else, wherever they turn up.
        return person.key if person.key in self._strangers else _id_of(app_id, person.key)

    def behind(self, open_id: str, app_id: str) -> Person:
        """Return whom an app knows by this id; a stranger where it is nobody's."""
        if open_id == USER:
            return self.first
        known = self._by_open_id.setdefault(app_id, {})
        if len(known) != len(self._named):
            known.update((_id_of(app_id, one.key), one) for one in self._named.values())
        return known.get(open_id) or self._stranger(open_id)

    def _stranger(self, open_id: str) -> Person:
        if open_id not in self._strangers:
            self._strangers[open_id] = Person(open_id, f"用户{open_id[-4:]}")
        return self._strangers[open_id]


def follower_id(app_id: str, number: int) -> str:
    """Return the open id of the follower of an app that is nobody but its number."""
    return _id_of(app_id, f"follower {number}")


def _id_of(app_id: str, key: str) -> str:
    """Return 28 characters that begin with o; as on the platform, an app's ids begin alike."""
    return f"o{_hash('app', app_id)[:5]}{_hash(app_id, key)[:22]}"


def _hash(*parts: str) -> str:
    digest = hashlib.sha256("\0".join(parts).encode()).digest()
    return base64.urlsafe_b64encode(digest).decode()
