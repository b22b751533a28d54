"""Who may use the HTTP API: one ``[api_keys.NAME]`` section each."""

from collections.abc import Collection, Mapping
from typing import Literal

from pydantic import Field, field_validator

from gateway.errors import SettingsError
from gateway.settings.sections import Section

Scope = Literal["push:send", "push:read", "push:manage", "identity:read", "identity:manage"]


class ApiKeySettings(Section):
    """A key of the HTTP API, as `gateway api-key new` makes it."""

    hash: str = Field(pattern=r"^[0-9a-f]{64}$")
    """The SHA-256 of the key, in hex digits. A key is 256 random bits, which nobody guesses however
    fast the hash is; the slow ones are for passwords."""
    scopes: tuple[Scope, ...] = Field(min_length=1)
    """What it is good for: push:send to send messages, push:read to read what became of them,
    push:manage to cancel, retry and discard them; identity:read to find people, identity:manage to
    change what they may do, and to end their sessions."""
    accounts: tuple[str, ...] = ()
    """The names of the accounts that it is good for; all of them where there is none."""

    @field_validator("hash", mode="before")
    @classmethod
    def _check_hash(cls, given: object) -> object:
        if isinstance(given, str) and given.startswith("gwk_"):
            raise ValueError("is a key and no hash; give its SHA-256, as `gateway api-key new` has")
        return given.lower() if isinstance(given, str) else given


def check_api_keys(keys: Mapping[str, ApiKeySettings], accounts: Collection[str]) -> None:
    """Raise SettingsError where a key is for an account that is not there, or there twice."""
    wrong = []
    holders: dict[str, str] = {}
    for name, key in keys.items():
        for unknown in set(key.accounts) - set(accounts):
            known = ", ".join(accounts)
            wrong.append(
                f"api_keys.{name}.accounts: there is none called {unknown}; there are: {known}"
            )
        holder = holders.setdefault(key.hash, name)
        if holder != name:
            wrong.append(f"api_keys.{name}.hash: is that of api_keys.{holder} too; make another")
    if wrong:
        raise SettingsError(*wrong)
