"""Every secret among the settings is known, so that it can be masked."""

import base64
from typing import Any, Final

import pytest
from pydantic import BaseModel, SecretBytes, SecretStr

from gateway.settings import load_settings
from gateway.settings.secret_values import secret_values
from tests.settings.writing import ACCOUNT, write_toml
from tests.support import AES_KEY, OTHER_AES_KEY, TOKEN

PASSWORD: Final = "p4ssw0rd-%2F-x"
PLAIN: Final = "p4ssw0rd-/-x"


def signing(number: int) -> str:
    """Return a secret of Standard Webhooks."""
    return f"whsec_{base64.b64encode(bytes([number]) * 24).decode()}"


class Given(BaseModel):
    """Settings with a secret here and there."""

    url: str = ""
    redis_url: SecretStr | None = None
    key: SecretBytes = SecretBytes(b"")
    options: dict[str, SecretStr] = {}
    more: "tuple[Given, ...]" = ()


def found(**given: Any) -> set[str]:
    return {secret for secret in secret_values(Given(**given)) if secret}


def test_those_of_every_section_are_found() -> None:
    write_toml(
        {
            "accounts": {
                "main": ACCOUNT
                | {
                    "app_secret": "App-Secret-1",
                    "previous_token": "Token-Before",
                    "previous_encoding_aes_key": OTHER_AES_KEY,
                },
            },
            "identity": {"secret": "i" * 32, "previous_secret": "j" * 32},
            "producers": {"billing": {"secret": signing(1), "previous_secret": signing(2)}},
            "store": {
                "redis_url": f"redis://:{PASSWORD}@redis:6379/0",
                "postgres_dsn": "postgresql://user:dsn-password@one:1,two:2/gateway",
            },
            "sinks": [
                {
                    "type": "http",
                    "name": "crm",
                    "url": "https://user:url-password@crm.example/x",
                    "secret": signing(3),
                    "previous_secret": signing(4),
                },
                {
                    "type": "kafka",
                    "name": "lake",
                    "servers": "kafka:9092",
                    "options": {"sasl.password": "sasl-password"},
                },
                {"type": "nats", "name": "nats", "url": "nats://a:nats-a@a,nats://nats-token@b"},
                {"type": "rabbitmq", "name": "mq", "url": "amqp://u:mq-password@mq/x"},
            ],
        }
    )
    secrets = set(secret_values(load_settings()))
    assert secrets >= {
        *(TOKEN, "Token-Before", AES_KEY, OTHER_AES_KEY, "App-Secret-1", "i" * 32, "j" * 32),
        *(signing(number) for number in range(1, 5)),
        *(PASSWORD, PLAIN, f"redis://:{PASSWORD}@redis:6379/0", "dsn-password", "url-password"),
        *("sasl-password", "nats-a", "nats-token", "mq-password"),
    }
    assert not secrets & {"main", "crm", "kafka:9092", "user", "u", "a", ACCOUNT["app_id"]}


def test_a_url_without_a_password_is_a_place_and_no_secret() -> None:
    assert found(redis_url="redis://localhost:6379/0", url="https://crm.example/x") == set()
    assert found(redis_url="redis://user@localhost") == set()


def test_of_a_url_with_one_so_are_the_password_and_what_it_stands_for() -> None:
    url = f"redis://user:{PASSWORD}@redis"
    assert found(redis_url=url) == {url, PASSWORD, PLAIN}
    assert found(url=url) == {url, PASSWORD, PLAIN}


@pytest.mark.parametrize("name", ["password", "sslpassword", "token", "client_secret"])
def test_a_password_can_be_in_a_query(name: str) -> None:
    url = f"postgresql://db/x?user=u&{name}=in-the-query"
    assert found(redis_url=url) == {url, "in-the-query"}


def test_a_password_with_a_comma_is_found_whole() -> None:
    assert "one,two" in found(redis_url="redis://:one,two@redis")


def test_bytes_maps_and_what_is_nested_are_looked_into() -> None:
    nested = Given(key=SecretBytes(b"deep-bytes"), more=(Given(options={"x": SecretStr("map")}),))
    assert found(more=(nested,)) == {"deep-bytes", "map"}


def test_what_looks_like_a_url_and_is_none_is_a_secret() -> None:
    assert found(options={"password": SecretStr("x://y")}) == {"x://y"}
    assert found(url="http://[bad:pass@word") == {"http://[bad:pass@word"}
