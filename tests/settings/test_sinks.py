"""The [[sinks]] sections: what each takes, what is refused and how it is said."""

import base64
import tomllib
from typing import Any, Final

import pytest
from pydantic import TypeAdapter, ValidationError

from gateway.errors import SettingsError
from gateway.settings.sinks import SinkSection, SinkSettings, check_sinks

SECRET: Final = "whsec_" + base64.b64encode(b"0" * 24).decode()
OTHER_SECRET: Final = "whsec_" + base64.b64encode(b"1" * 64).decode()
SINKS: Final[TypeAdapter[Any]] = TypeAdapter(list[SinkSettings])

ALL: Final = f"""
[[sinks]]
name = "crm"
type = "http"
url = "https://crm.example/hooks"
secret = "{SECRET}"
previous_secret = "{OTHER_SECRET}"
synchronous = true
types = ["message.*", "user.subscribed"]
accounts = ["main"]

[[sinks]]
name = "live"
type = "redis_pubsub"
url = "redis://:password@localhost/0"

[[sinks]]
name = "log"
type = "redis_stream"
url = "unix:///run/redis.sock"
max_length = 100000

[[sinks]]
name = "rabbit"
type = "rabbitmq"
url = "amqps://user:password@rabbit.example/vhost"
exchange = "wechat"

[[sinks]]
name = "lake"
type = "kafka"
servers = "a.example:9092,b.example:9092"
topic = "wechat"
options = {{ "security.protocol" = "sasl_ssl", "sasl.password" = "password" }}

[[sinks]]
name = "nats-1"
type = "nats"
url = "nats://a.example:4222, tls://b.example"
timeout = 2.5
"""

HTTP: Final = {"name": "crm", "type": "http", "url": "http://localhost/", "secret": SECRET}
REDIS: Final = {"name": "log", "type": "redis_stream", "url": "redis://localhost"}
RABBIT: Final = {"name": "rabbit", "type": "rabbitmq", "url": "amqp://localhost"}
KAFKA: Final = {"name": "lake", "type": "kafka", "servers": "localhost:9092"}
NATS: Final = {"name": "nats", "type": "nats", "url": "nats://localhost"}


def read(*sinks: dict[str, Any]) -> list[SinkSection]:
    validated: list[SinkSection] = SINKS.validate_python(list(sinks))
    return validated


def refusal(sink: dict[str, Any]) -> str:
    with pytest.raises(ValidationError) as refused:
        read(sink)
    (error,) = refused.value.errors()
    return f"{'.'.join(str(part) for part in error['loc'][2:])}: {error['msg']}"


def misfits(*sinks: dict[str, Any]) -> list[str]:
    with pytest.raises(SettingsError) as refused:
        check_sinks(read(*sinks), ["main", "shop"])
    return list(refused.value.args)


def test_every_type_of_sink_can_be_set() -> None:
    sinks = SINKS.validate_python(tomllib.loads(ALL)["sinks"])
    check_sinks(sinks, ["main"])
    assert [type(sink).__name__ for sink in sinks] == [
        "HttpSink",
        "RedisPubSubSink",
        "RedisStreamSink",
        "RabbitMQSink",
        "KafkaSink",
        "NatsSink",
    ]


def test_a_sink_gets_all_events_of_all_accounts_by_default() -> None:
    (sink,) = read(HTTP)
    assert (sink.types, sink.accounts) == (("*",), None)


def test_no_secret_is_ever_shown() -> None:
    shown = repr(SINKS.validate_python(tomllib.loads(ALL)["sinks"]))
    assert "password" not in shown.replace("sasl.password", "")
    assert "whsec_" not in shown


@pytest.mark.parametrize(
    ("sink", "said"),
    [
        (
            HTTP | {"secret": "whsec_short"},
            "secret: Value error, must be whsec_ and 24 to 64 bytes",
        ),
        (HTTP | {"secret": SECRET[6:]}, "secret: Value error, must be whsec_"),
        (HTTP | {"secret": "whsec_" + "é" * 40}, "secret: Value error, must be whsec_"),
        (HTTP | {"previous_secret": "x"}, "previous_secret: Value error, must be whsec_"),
        (
            HTTP | {"previous_secret": SECRET},
            ": Value error, previous_secret is the same as secret",
        ),
        (
            HTTP | {"url": "ftp://localhost"},
            "url: Value error, must begin with http:// or https://",
        ),
        (HTTP | {"url": "http:///hooks"}, "url: Value error, names no host; write http://HOST"),
        (REDIS | {"url": "http://localhost"}, "url: Value error, must begin with redis://"),
        (RABBIT | {"url": "localhost:5672"}, "url: Value error, must begin with amqp://"),
        (NATS | {"url": "nats://a,b"}, "url: Value error, must begin with nats:// or tls://"),
        (NATS | {"prefix": "a.>"}, "prefix: String should match pattern"),
        (NATS | {"stream": "a.b"}, "stream: String should match pattern"),
        (KAFKA | {"topic": "a/b"}, "topic: String should match pattern"),
        (REDIS | {"max_length": 0}, "max_length: Input should be greater than or equal to 1"),
        (REDIS | {"name": "My Sink"}, "name: String should match pattern"),
        (REDIS | {"timeout": 0}, "timeout: Input should be greater than 0"),
        (REDIS | {"timeout": 60}, "timeout: Input should be less than or equal to 20"),
        (REDIS | {"types": []}, "types: Tuple should have at least 1 item"),
        (REDIS | {"chanel": "x"}, "chanel: Extra inputs are not permitted"),
        (
            REDIS | {"types": ["user.subscribe"]},
            "types: Value error, user.subscribe is no type of event; did you mean user.subscribed?",
        ),
        (
            REDIS | {"types": ["users.*"]},
            "types: Value error, users.* is no type of event; did you mean user.*?",
        ),
        (
            REDIS | {"types": ["#"]},
            "types: Value error, # is no type of event; there are: *, beacon.*, beacon.shaken,",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_wrong_setting_is_refused(sink: dict[str, Any], said: str) -> None:
    assert refusal(sink).startswith(said)


def test_a_wrong_secret_says_how_to_make_one() -> None:
    assert "echo whsec_$(openssl rand -base64 32)" in refusal(HTTP | {"secret": "x"})


def test_an_unknown_type_of_sink_is_told_which_there_are() -> None:
    with pytest.raises(ValidationError) as refused:
        read({"name": "x", "type": "smoke_signals"})
    (error,) = refused.value.errors()
    assert error["loc"] == (0,)
    for name in ("http", "redis_pubsub", "redis_stream", "rabbitmq", "kafka", "nats"):
        assert f"'{name}'" in error["msg"]


def test_two_sinks_of_one_name_are_refused() -> None:
    assert misfits(REDIS, RABBIT | {"name": "log"}) == [
        "sinks.log: there are 2 of this name; rename all but one"
    ]


def test_an_account_that_is_not_there_is_refused() -> None:
    assert misfits(REDIS | {"accounts": ["main", "mian"]}) == [
        "sinks.log.accounts: no account mian; there are: main, shop"
    ]


def test_two_sinks_that_would_both_answer_are_refused() -> None:
    one = HTTP | {"synchronous": True, "types": ["message.*"]}
    other = HTTP | {"synchronous": True, "name": "bot", "accounts": ["main"]}
    (said,) = misfits(one, other)
    assert said == (
        "sinks.bot.synchronous: crm answers message.text too, and only one can; narrow their "
        "types or accounts"
    )


@pytest.mark.parametrize(
    "other",
    [
        {"synchronous": False},
        {"synchronous": True, "types": ["user.*", "qr.scanned"]},
        {"synchronous": True, "accounts": ["shop"]},
    ],
    ids=str,
)
def test_sinks_that_do_not_meet_may_both_answer(other: dict[str, Any]) -> None:
    one = HTTP | {"synchronous": True, "types": ["message.*"], "accounts": ["main"]}
    check_sinks(read(one, HTTP | {"name": "bot"} | other), ["main", "shop"])


def test_everything_wrong_is_said_at_once() -> None:
    assert len(misfits(REDIS, REDIS, RABBIT | {"accounts": ["x"]})) == 2


def test_no_sinks_are_fine() -> None:
    check_sinks([], ["main"])


def test_every_setting_is_documented() -> None:
    for member in {type(sink) for sink in SINKS.validate_python(tomllib.loads(ALL)["sinks"])}:
        for name, field in member.model_fields.items():
            assert field.description or name == "type", f"{member.__name__}.{name}"
