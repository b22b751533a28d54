"""Who may use the HTTP API of pushing, as settings say it."""

from typing import Any, Final, get_args

import pytest

from gateway.http.api.keys import Scope
from gateway.settings import load_settings
from gateway.settings.api_keys import ApiKeySettings
from gateway.settings.api_keys import Scope as ScopeSetting
from tests.settings.writing import ACCOUNT, refusal, write_account, write_toml

HASH: Final = "0123456789abcdef" * 4
OTHER: Final = "f" * 64
KEY: Final[dict[str, Any]] = {"hash": HASH, "scopes": ["push:send"]}


def _write(**keys: Any) -> None:
    write_toml({"accounts": {"main": ACCOUNT, "other": ACCOUNT}, "api_keys": keys})


def test_without_a_key_there_is_none() -> None:
    write_account()
    assert load_settings().api_keys == {}


def test_a_key_has_a_hash_scopes_and_accounts() -> None:
    _write(crm=KEY, ops=KEY | {"hash": OTHER.upper(), "scopes": list(Scope), "accounts": ["main"]})
    crm, ops = load_settings().api_keys.values()
    assert (crm.hash, crm.scopes, crm.accounts) == (HASH, ("push:send",), ())
    assert (ops.hash, ops.scopes, ops.accounts) == (OTHER, tuple(Scope), ("main",))


def test_a_key_may_come_from_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    write_account()
    monkeypatch.setenv("GATEWAY_API_KEYS__CRM__HASH", HASH)
    monkeypatch.setenv("GATEWAY_API_KEYS__CRM__SCOPES", '["push:read", "push:manage"]')
    assert load_settings().api_keys["crm"].scopes == ("push:read", "push:manage")
    monkeypatch.setenv("GATEWAY_API_KEYS", "x")
    assert refusal() == (
        "api_keys: GATEWAY_API_KEYS is not JSON; set what is in it one by one, as "
        "GATEWAY_API_KEYS__CRM__HASH"
    )


def test_every_scope_of_the_api_can_be_set_and_is_described() -> None:
    assert set(get_args(ScopeSetting)) == set(Scope)
    described = ApiKeySettings.model_fields["scopes"].description or ""
    assert all(scope in described for scope in Scope)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"hash": "abc"}, "api_keys.crm.hash: string should match pattern '^[0-9a-f]{64}$'"),
        ({"hash": "gwk_SECRET"}, "api_keys.crm.hash: is a key and no hash; give its SHA-256"),
        ({"hash": None}, "api_keys.crm.hash: missing; set it in gateway.toml or as GATEWAY_API"),
        ({"scopes": None}, "api_keys.crm.scopes: missing; set it in gateway.toml or as GATEWAY"),
        ({"scopes": []}, "api_keys.crm.scopes: tuple should have at least 1 item"),
        ({"scopes": ["push"]}, "api_keys.crm.scopes.0: input should be 'push:send', 'push:read'"),
        ({"accounts": ["nobody"]}, "api_keys.crm.accounts: there is none called nobody; there ar"),
        ({"key": "x"}, "api_keys.crm.key: no such setting"),
    ],
    ids=str,
)
def test_what_is_wrong_with_a_key_is_said_with_its_name(changes: dict[str, Any], said: str) -> None:
    _write(crm={k: v for k, v in (KEY | changes).items() if v is not None})
    refused = refusal()
    assert refused.startswith(said)
    assert "SECRET" not in refused


def test_two_names_cannot_have_one_key() -> None:
    _write(crm=KEY, ops=KEY)
    assert refusal() == "api_keys.ops.hash: is that of api_keys.crm too; make another"
