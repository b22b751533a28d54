"""Where events go, beside the bot's own handlers: one ``[[sinks]]`` section each."""

from collections.abc import Collection, Iterator, Sequence
from difflib import get_close_matches
from itertools import combinations
from typing import Annotated, Final, Literal, get_args

from pydantic import Field, SecretStr, StringConstraints, field_validator, model_validator

from gateway.errors import SettingsError
from gateway.protocol.cloudevents import TYPES, is_pattern, matches_any
from gateway.settings.sections import Section
from gateway.settings.urls import split_url
from gateway.settings.webhooks import check_secret

SinkName = Annotated[str, StringConstraints(pattern=r"^[a-z0-9]+([_-][a-z0-9]+)*$", max_length=64)]
_PATTERNS: Final = sorted(
    {"*", *TYPES.values(), *(f"{each.partition('.')[0]}.*" for each in TYPES.values())}
)


class SinkSection(Section):
    """What every sink has."""

    name: SinkName
    """What it is called in logs, metrics and dead letters: lower-case letters, digits, and single
    - or _ between them."""
    types: tuple[str, ...] = Field(default=("*",), min_length=1)
    """Which events it gets: a type (user.subscribed, command/transfer), a family (user.*,
    command/*), or * for all."""
    accounts: tuple[str, ...] | None = Field(default=None, min_length=1)
    """The accounts, by name, whose events it gets; all of them if not given."""
    timeout: float = Field(default=10.0, gt=0, le=20)
    """Seconds for a batch; what the sink has not confirmed by then is tried again."""
    max_bytes: int = Field(default=900_000, ge=1024, le=16_000_000)
    """The size of the largest event, encoded; a larger one is a dead letter. Kafka and NATS take
    1 MB where they are not told otherwise."""

    @field_validator("types")
    @classmethod
    def _check_types(cls, types: tuple[str, ...]) -> tuple[str, ...]:
        for pattern in types:
            if pattern not in _PATTERNS and not is_pattern(pattern):
                close = get_close_matches(pattern, _PATTERNS, n=1)
                hint = (
                    f"did you mean {close[0]}?" if close else f"there are: {', '.join(_PATTERNS)}"
                )
                raise ValueError(f"{pattern} is no type of event; {hint}")
        return types


class HttpSink(SinkSection):
    """An HTTP endpoint that events are posted to, signed as Standard Webhooks 1.0 has it."""

    type: Literal["http"]
    url: str
    """http:// or https://, where the endpoint is; redirects are not followed."""
    secret: SecretStr
    """What requests are signed with: whsec_ and 24 to 64 bytes in base64, known to both sides."""
    previous_secret: SecretStr | None = None
    """The secret before a rotation that is under way: requests carry a signature of each."""
    synchronous: bool = False
    """Whether the endpoint is asked in place of a handler: the JSON object it answers in time is
    the reply to the user."""

    @field_validator("url")
    @classmethod
    def _check_url(cls, url: str) -> str:
        return _check_scheme(url, "http", "https")

    @field_validator("secret", "previous_secret")
    @classmethod
    def _check_secret(cls, secret: SecretStr | None) -> SecretStr | None:
        return check_secret(secret)

    @model_validator(mode="after")
    def _check_together(self) -> "HttpSink":
        if self.previous_secret == self.secret:
            raise ValueError("previous_secret is the same as secret; remove it")
        return self


class RedisSection(SinkSection):
    """What both kinds of sink in Redis have."""

    url: SecretStr
    """redis://[[USER]:PASSWORD@]HOST[:PORT][/DB], rediss:// or unix:///PATH."""

    @field_validator("url")
    @classmethod
    def _check_url(cls, url: SecretStr) -> SecretStr:
        _check_scheme(url.get_secret_value(), "redis", "rediss", "unix")
        return url


class RedisPubSubSink(RedisSection):
    """A Redis Pub/Sub channel: whoever listens at that moment gets the event, nobody later."""

    type: Literal["redis_pubsub"]
    channel: str = Field(default="wechat.events", min_length=1)
    """The channel's name."""


class RedisStreamSink(RedisSection):
    """A Redis stream: an entry has the fields id, type, key (the openid) and event (the JSON)."""

    type: Literal["redis_stream"]
    stream: str = Field(default="wechat.events", min_length=1)
    """The stream's key; made with the first event."""
    max_length: int | None = Field(default=None, ge=1)
    """About how many entries stay in the stream; all of them if not given."""


class RabbitMQSink(SinkSection):
    """A RabbitMQ exchange; needs the extra "rabbitmq"."""

    type: Literal["rabbitmq"]
    url: SecretStr
    """amqp://USER:PASSWORD@HOST[:PORT]/VHOST or amqps://."""
    exchange: str = Field(default="wechat.events", min_length=1)
    """The exchange's name; it must be there. An event that no queue is bound for is tried again."""
    routing_key: str | None = Field(default=None, max_length=255)
    """The routing key of every event; the event's type if not given, as for a topic exchange."""

    @field_validator("url")
    @classmethod
    def _check_url(cls, url: SecretStr) -> SecretStr:
        _check_scheme(url.get_secret_value(), "amqp", "amqps")
        return url


class KafkaSink(SinkSection):
    """A Kafka topic, its records keyed by openid; needs the extra "kafka"."""

    type: Literal["kafka"]
    servers: str = Field(min_length=1)
    """Brokers to begin with: HOST:PORT, with commas between them."""
    topic: str = Field(default="wechat.events", pattern=r"^[a-zA-Z0-9._-]{1,249}$")
    """The topic's name; it must be there."""
    options: dict[str, SecretStr] = Field(default_factory=dict)
    """Further options of librdkafka's producer by its names, such as "security.protocol" and
    "sasl.password"; they override what the gateway sets itself."""


class NatsSink(SinkSection):
    """A NATS JetStream stream; needs the extra "nats"."""

    type: Literal["nats"]
    url: SecretStr
    """nats://[USER:PASSWORD@]HOST[:PORT] or tls://; several servers with commas between them."""
    stream: str = Field(default="wechat", pattern=r"^[^\s.*>/\\]+$")
    """The stream's name; it must be there."""
    prefix: str = Field(default="wechat", pattern=r"^[^\s.*>]+(\.[^\s.*>]+)*$")
    """What an event's subject begins with: PREFIX.TYPE, such as wechat.user.subscribed. The stream
    must take PREFIX.>."""

    @field_validator("url")
    @classmethod
    def _check_url(cls, url: SecretStr) -> SecretStr:
        for server in url.get_secret_value().split(","):
            _check_scheme(server.strip(), "nats", "tls")
        return url


SinkSettings = Annotated[
    HttpSink | RedisPubSubSink | RedisStreamSink | RabbitMQSink | KafkaSink | NatsSink,
    Field(discriminator="type"),
]
"""Any sink, told apart by its type."""


SINKS: Final[tuple[type[SinkSection], ...]] = (
    HttpSink,
    RedisStreamSink,
    RedisPubSubSink,
    RabbitMQSink,
    KafkaSink,
    NatsSink,
)
"""The kinds of sink, in the order in which they are explained."""


def sink_type(kind: type[SinkSection]) -> str:
    """Return what ``type`` says for a kind of sink."""
    return str(get_args(kind.model_fields["type"].annotation)[0])


def check_sinks(sinks: Sequence[SinkSection], accounts: Collection[str]) -> None:
    """Look whether the sinks fit together, and to the accounts of these names.

    Raise SettingsError with a line for each thing that is wrong.
    """
    if wrong := [*_repeated(sinks), *_strangers(sinks, accounts), *_rivals(sinks)]:
        raise SettingsError(*wrong)


def _repeated(sinks: Sequence[SinkSection]) -> Iterator[str]:
    names = [sink.name for sink in sinks]
    for name in sorted({name for name in names if names.count(name) > 1}):
        yield f"sinks.{name}: there are {names.count(name)} of this name; rename all but one"


def _strangers(sinks: Sequence[SinkSection], accounts: Collection[str]) -> Iterator[str]:
    for sink in sinks:
        for account in sink.accounts or ():
            if account not in accounts:
                known = ", ".join(sorted(accounts))
                yield f"sinks.{sink.name}.accounts: no account {account}; there are: {known}"


def _rivals(sinks: Sequence[SinkSection]) -> Iterator[str]:
    """Name the synchronous sinks that would both answer the same message."""
    asked = [sink for sink in sinks if isinstance(sink, HttpSink) and sink.synchronous]
    for one, other in combinations(asked, 2):
        both = [
            each
            for each in TYPES.values()
            if matches_any(one.types, each) and matches_any(other.types, each)
        ]
        if both and _share_an_account(one, other):
            yield (
                f"sinks.{other.name}.synchronous: {one.name} answers {both[0]} too, and only one "
                "can; narrow their types or accounts"
            )


def _share_an_account(one: SinkSection, other: SinkSection) -> bool:
    if one.accounts is None or other.accounts is None:
        return True
    return not set(one.accounts).isdisjoint(other.accounts)


def _check_scheme(url: str, *schemes: str) -> str:
    parts = split_url(url)
    if parts.scheme not in schemes:
        raise ValueError(f"must begin with {' or '.join(f'{each}://' for each in schemes)}")
    if not parts.hostname and parts.scheme != "unix":
        raise ValueError(f"names no host; write {parts.scheme}://HOST")
    return url
