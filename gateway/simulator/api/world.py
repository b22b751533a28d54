"""What the platform knows: accounts with their tokens and quotas, users, templates, menus."""

import re
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import lru_cache
from secrets import token_bytes
from typing import Any, Final, Literal, NamedTuple

from gateway.simulator.api.grants import Grants
from gateway.simulator.api.ledger import Ledger
from gateway.simulator.api.people import OPEN_ID as OPEN_ID  # noqa: PLC0414  # known from here
from gateway.simulator.api.people import People, Person, follower_id
from gateway.simulator.api.quotas import Quotas
from gateway.simulator.api.tokens import AccountTokens

Platform = Literal["official_account", "mini_program", "mobile_app", "website"]
"""What people meet an app as."""

PLACEHOLDER: Final = re.compile(r"\{\{\s*(\w+)\.DATA\s*\}\}")
"""Where a template's text has a field."""

REPEAT_WINDOW: Final = 600.0
"""Seconds in which a user gets a message with one client_msg_id once (PROTOCOL 7.2)."""


@dataclass(slots=True)
class User:
    """One of an account's followers, or somebody who was."""

    subscribed: bool = True
    blocks: bool = False
    """Whether they refuse what is pushed: the send succeeds, its receipt tells."""
    system_fails: bool = False
    """Whether the platform fails to deliver: the same."""
    consents: Counter[str] = field(default_factory=Counter)
    """How many notices of each template they agreed to."""
    wrote_at: float = float("-inf")
    """When they last wrote, Unix seconds: customer service may answer for 48 hours."""
    answers_left: int = 0
    remark: str = ""
    tags: set[int] = field(default_factory=set)


@dataclass(slots=True)
class Template:
    """A template of an account."""

    id: str
    title: str
    content: str
    """With ``{{thing1.DATA}}`` where fields go."""

    @property
    def fields(self) -> tuple[str, ...]:
        """The names of its fields."""
        return _fields_of(self.content)


@lru_cache
def _fields_of(content: str) -> tuple[str, ...]:
    return tuple(PLACEHOLDER.findall(content))


class Receipt(NamedTuple):
    """An event that tells what became of a message."""

    app_id: str
    open_id: str
    event: str
    fields: dict[str, Any]


class Account:
    """One account, as the platform has it."""

    def __init__(
        self,
        app_id: str,
        secret: str,
        tokens: AccountTokens,
        quotas: Quotas,
        *,
        platform: Platform = "official_account",
        name: str = "",
    ) -> None:
        """``name`` is what people read; the app id where it has none."""
        self.app_id = app_id
        self.platform = platform
        self.name = name or app_id
        self.redirect_host = ""
        """The only host that codes may be brought to; empty where any may be."""
        self.secret = secret
        self.tokens = tokens
        self.quotas = quotas
        self.users: dict[str, User] = {}
        self.templates: dict[str, Template] = {}
        self.ledger = Ledger()
        self.menu: dict[str, Any] | None = None
        self.tags: dict[int, str] = {2: "星标组"}
        self.media: dict[str, tuple[str, bytes]] = {}
        self.mass_jobs: dict[str, int] = {}
        """By clientmsgid."""
        self.repeats: OrderedDict[tuple[str, str], tuple[float, int]] = OrderedDict()
        """When a user got a client_msg_id, and the msgid it had; the oldest first."""
        self._followers = 0
        """How many were added by their number."""

    def user(self, open_id: object) -> User | None:
        """Return a follower; anyone with an open id is one unless it was said otherwise."""
        if not isinstance(open_id, str):
            return None
        user = self.users.get(open_id)
        if user is None and OPEN_ID.fullmatch(open_id):
            user = self.users[open_id] = User()
        return user

    def add_followers(self, count: int) -> None:
        """Let so many more people follow, whom nobody knows anything else of."""
        first = self._followers
        self._followers += count
        for number in range(first, self._followers):
            self.users[follower_id(self.app_id, number)] = User()

    def repeated(self, open_id: str, key: str, now: float) -> int | None:
        """Return the msgid of what a user got with this client_msg_id, in the time that counts."""
        known = self.repeats.get((open_id, key))
        return known[1] if known is not None and now - known[0] < REPEAT_WINDOW else None

    def note(self, open_id: str, key: str, now: float, number: int) -> None:
        """Remember a client_msg_id, and forget those whose time is over."""
        repeats = self.repeats
        repeats[open_id, key] = (now, number)
        repeats.move_to_end((open_id, key))
        while now - next(iter(repeats.values()))[0] >= REPEAT_WINDOW:
            repeats.popitem(last=False)


class World:
    """The platform."""

    def __init__(
        self,
        clock: Callable[[], float],
        accounts: Iterable[Account],
        notify: Callable[[Receipt], None] = lambda _: None,
        random: Callable[[int], bytes] = token_bytes,
    ) -> None:
        """``clock`` gives Unix seconds, ``random`` so many bytes.

        ``notify`` is told what receipts are due.
        """
        self.clock = clock
        self.people = People()
        self.grants = Grants(clock, random)
        self.notify = notify
        self._accounts = {account.app_id: account for account in accounts}
        self._owners: dict[str, Account] = {}
        """Whose a token is, once it held."""
        self._last_id = int(clock() * 1000) * 1000

    def account(self, app_id: str) -> Account | None:
        """Return an account by its app id."""
        return self._accounts.get(app_id)

    def known(self, app_id: str) -> Account:
        """Return an account that is there, by its app id."""
        return self._accounts[app_id]

    def open_id(self, account: Account, person: Person) -> str:
        """Return the id that an account knows a person by."""
        is_official = account.platform == "official_account"
        return self.people.open_id(person, account.app_id, official=is_official)

    def person(self, account: Account, open_id: str) -> Person:
        """Return whom an account knows by an id: anyone whom nobody else knows is a stranger."""
        return self.people.behind(open_id, account.app_id)

    def accounts(self) -> list[Account]:
        """Return all of them."""
        return list(self._accounts.values())

    def account_of(self, token: str) -> tuple[Account | None, int]:
        """Return the account of a token, with the errcode that it gets; 0 where it holds."""
        known = self._owners.get(token)
        if known is not None and known.tokens.check(token) == 0:
            return known, 0
        worst = 41001 if not token else 40001
        for account in self._accounts.values():
            code = account.tokens.check(token)
            if code == 0:
                self._owners[token] = account
                return account, 0
            if code == 42001:
                worst = code
        return None, worst

    def next_id(self) -> int:
        """Return a number that no message had: beyond 2 to the 53, as the platform's are."""
        self._last_id += 1
        return self._last_id + (1 << 54)
