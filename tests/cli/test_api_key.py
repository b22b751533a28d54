"""``gateway api-key``: a key is shown once, and what goes into the settings is taken by them."""

import tomllib
from pathlib import Path

import pytest

from gateway.app.api_keys import make_keys
from gateway.http.api.keys import Scope
from gateway.settings import load_settings
from tests.cli.conftest import SETTINGS
from tests.cli.running import Command


def test_a_new_key_is_known_by_what_goes_into_the_settings(command: Command, folder: Path) -> None:
    ran = command(
        *("api-key", "new", "crm", "--scope", "push:send", "--scope", "push:read"),
        *("--scope", "push:send", "--account", "main"),
    )
    assert ran.code == 0
    assert "not shown again" in ran.err
    key, _, toml = ran.out.partition("\n\n")
    assert key.startswith("gwk_")
    assert len(key) == 47
    assert key not in toml
    assert list(tomllib.loads(toml)) == ["api_keys"]
    (folder / "gateway.toml").write_text(SETTINGS + toml, encoding="utf-8")
    holder = make_keys(load_settings()).holder(f"Bearer {key}")
    assert holder.name == "crm"
    assert holder.scopes == {Scope.SEND, Scope.READ}
    assert holder.accounts == {"main"}


def test_without_an_account_a_key_is_for_all(command: Command) -> None:
    ran = command("api-key", "new", "crm", "--scope", "push:manage")
    assert "accounts" not in ran.out
    assert 'scopes = ["push:manage"]' in ran.out


def test_no_two_keys_are_the_same(command: Command) -> None:
    made = {command("api-key", "new", "crm", "--scope", "push:send").out for _ in range(3)}
    assert len(made) == 3


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("crm",), "--scope"),
        (("crm", "--scope", "push:everything"), "push:manage"),
        (("CRM", "--scope", "push:send"), "lower-case letters"),
        (("a.b]", "--scope", "push:send"), "lower-case letters"),
        (("--scope", "push:send"), "NAME"),
    ],
    ids=str,
)
def test_wrong_usage_exits_with_2_and_makes_nothing(
    arguments: tuple[str, ...], said: str, command: Command
) -> None:
    ran = command("api-key", "new", *arguments)
    assert (ran.code, ran.out) == (2, "")
    assert said in ran.err
