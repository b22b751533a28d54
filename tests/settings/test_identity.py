"""The settings of identity: what must fit what, and what is said where it does not."""

from typing import Any

import pytest

from gateway.errors import SettingsError
from gateway.settings import load_settings
from tests.settings.writing import ACCOUNT, write_toml

SECRET = "s" * 32
ACCOUNTS = {"main": {**ACCOUNT, "app_secret": "s3cret", "sign_in_hosts": ["shop.example"]}}
IDENTITY = {"secret": SECRET, "public_url": "https://wx.shop.example"}


def _refusal(**given: Any) -> str:
    write_toml({"accounts": {"main": ACCOUNT}, **given})
    with pytest.raises(SettingsError) as caught:
        load_settings()
    return str(caught.value)


@pytest.mark.parametrize(
    ("identity", "said"),
    [
        ({"secret": "short"}, "identity.secret: must be 32 characters or more; `openssl"),
        ({"previous_secret": SECRET}, "identity.secret: is missing beside previous_secret"),
        ({"secret": SECRET, "previous_secret": SECRET}, "identity.previous_secret: is the same"),
        ({"public_url": "wx.shop.example"}, "identity.public_url: must be a URL such as https://"),
        ({"public_url": "http://wx.shop.example"}, "identity.public_url: must begin with https://"),
        ({"public_url": "https://u:p@shop.example"}, "identity.public_url: must have nothing"),
        ({"public_url": "https://shop.example/?a"}, "identity.public_url: must have nothing"),
        ({"public_url": "https://shop.example/wx"}, "identity.public_url: must have nothing"),
        ({"session_max_seconds": 60}, "identity.session_max_seconds: is less than session_seconds"),
        (
            {"same_site": "none", "secure_cookies": False},
            "identity.same_site: is none, which browsers take with secure_cookies only",
        ),
        ({"cookie": "a b"}, "identity.cookie: "),
        ({"cookie_domain": "shop.example; Path=/x"}, "identity.cookie_domain: "),
        ({"roles": {"Staff!": []}}, "identity.roles.Staff!"),
        ({"roles": {"staff": ["orders read"]}}, "identity.roles.staff"),
    ],
)
def test_what_cannot_be_is_refused_by_name(identity: dict[str, Any], said: str) -> None:
    refusal = _refusal(identity=identity)
    assert refusal.startswith(said)
    assert SECRET not in refusal


@pytest.mark.parametrize("url", ["http://127.0.0.1:8000", "http://localhost/", "http://[::1]:1"])
def test_this_machine_needs_no_https(url: str) -> None:
    write_toml({"accounts": {"main": ACCOUNT}, "identity": {"public_url": url}})
    assert load_settings().identity.public_url == url.rstrip("/")


def test_signing_in_on_the_web_needs_a_secret_and_a_url() -> None:
    url, secret = _refusal(accounts=ACCOUNTS).splitlines()
    needs = "missing, which accounts.main.sign_in_hosts needs; "
    assert url.startswith(f"identity.public_url: {needs}give the URL where browsers find")
    assert secret == f"identity.secret: {needs}`openssl rand -hex 32` makes one"
    write_toml({"accounts": ACCOUNTS, "identity": IDENTITY})
    assert load_settings().accounts["main"].sign_in_hosts == ("shop.example",)


def test_memory_would_lose_identities() -> None:
    memory = {"url": "memory://"}
    assert _refusal(identity=IDENTITY, store=memory).startswith("store.url: memory:// would lose")
    servers = {"redis_url": "redis://h", "postgres_dsn": "postgresql://u:p@h/d"}
    write_toml(
        {"accounts": {"main": ACCOUNT}, "identity": IDENTITY, "store": {**memory, **servers}}
    )
    assert load_settings().identity.secret is not None


@pytest.mark.parametrize(
    "host",
    [
        *(
            "Shop.example",
            "https://shop.example",
            "shop.example/",
            "u@shop.example",
            "商店.example",
        ),
        *("shop.example:", "*.shop.example", "-shop.example", "", "shop.example?x", "a b"),
    ],
)
def test_a_host_is_a_host_alone(host: str) -> None:
    account = {**ACCOUNT, "app_secret": "s3cret", "sign_in_hosts": [host]}
    refusal = _refusal(identity=IDENTITY, accounts={"main": account})
    assert refusal.startswith("accounts.main.sign_in_hosts: must be hosts in lower case")


def test_apps_without_callbacks_need_no_token() -> None:
    apps = {
        name: {"app_id": f"wx{name}", "app_secret": "s", "platform": name}
        for name in ("mini_program", "mobile_app", "website")
    }
    apps["website"]["sign_in_hosts"] = ["shop.example"]  # type: ignore[assignment]  # a list
    write_toml({"accounts": {"main": ACCOUNT, **apps}, "identity": IDENTITY})
    assert load_settings().accounts["mobile_app"].token is None


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"token": "abcdef", "mode": "plain"}, "token is of no use to a mobile_app"),
        ({"sign_in_hosts": ["shop.example"]}, "sign_in_hosts is of no use to a mobile_app"),
    ],
)
def test_what_an_app_cannot_use_is_refused(given: dict[str, Any], said: str) -> None:
    account = {"app_id": "wx1", "app_secret": "s", "platform": "mobile_app", **given}
    refusal = _refusal(identity=IDENTITY, accounts={"shop": account})
    assert said.replace(" is", ": is", 1) in refusal


def test_a_lease_must_outlast_a_call() -> None:
    said = _refusal(push={"lease": 10}, api={"timeout": 10, "connect_timeout": 3})
    assert said.startswith("push.lease: must be more than 19.5, for a call may take 13 seconds")
    write_toml({"accounts": {"main": ACCOUNT}, "push": {"lease": 10}, "api": {"timeout": 3}})
    assert load_settings().push.lease == 10
