"""The sections of the settings: what an operator may set, and what each means."""

import re
from pathlib import Path
from typing import Annotated, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    PlainValidator,
    SecretStr,
    ValidationInfo,
    field_validator,
    model_validator,
)

from gateway.protocol.account import Mode, decode_aes_key
from gateway.settings.rates import SendRate, check_limited, parse_rate
from gateway.settings.urls import split_url


class Section(BaseModel):
    """A section: nothing unknown in it, and no value of it in an error."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, hide_input_in_errors=True, use_attribute_docstrings=True
    )


class ServerSettings(Section):
    """Where and how the gateway listens."""

    host: str = Field(default="127.0.0.1", min_length=1)
    """The address, or a name that has one, to listen on; 0.0.0.0 for all, behind a TLS proxy."""
    port: int = Field(default=8000, ge=1, le=65535)
    """The TCP port. WeChat itself calls ports 80 and 443 only: a proxy maps them here."""
    workers: int = Field(default=1, ge=1, le=256)
    """Worker processes; as many as cores is enough."""
    max_body: int = Field(default=65536, ge=1024, le=1 << 20)
    """Bytes of a callback's body; a longer one is answered 413. WeChat's stay below 10 KiB."""
    direct: bool = True
    """Whether callbacks are taken from Granian without a task for each, by a part of it that is not
    public; false leaves them to Granian's own scheduling, which is slower and else the same."""
    scheduling: Literal["batch", "normal"] = "batch"
    """How Linux schedules the processes of `gateway serve`. batch: the threads of one do not
    interrupt each other, so each works on what has gathered, which takes far less processor time
    under load. normal: as other programs, where they share a core with those and latency counts."""
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    """The least that is logged."""
    log_format: Literal["auto", "json", "console"] = "auto"
    """How log lines look. json: one object per line, for programs. console: text, for people. auto:
    console where standard error is a terminal, else json. In both, secrets of these settings that
    have 8 characters or more are masked, and users' open ids stand as hashes."""


class InboundSettings(Section):
    """How messages are answered in time, and what is handled later."""

    reply_deadline: float = Field(default=4.5, gt=0, lt=5)
    """Seconds after which a delivery is answered without the handler's reply, or left to WeChat's
    next try; WeChat itself waits 5."""
    late_reply: Literal["join", "customer_service", "success"] = "join"
    """What becomes of a reply that is not there by then. join: WeChat tries again, and the reply
    goes out with a later delivery; behind the last one it becomes a customer-service message.
    customer_service: it becomes one at once. success: it is dropped."""
    concurrency: int = Field(default=32, ge=0, le=10_000)
    """Background messages that each process of `gateway serve` and `gateway worker` handles at a
    time; with 0, `serve` leaves all of them to `gateway worker`."""
    max_deliveries: int = Field(default=8, ge=1, le=1000)
    """How often a background message is tried before it is a dead letter."""
    retry_base: float = Field(default=1.0, gt=0, le=3600)
    """Seconds: before its n-th retry, a background message waits a random time of up to this times
    2 to the n-1 (full jitter)."""
    retry_cap: float = Field(default=300.0, gt=0, le=86_400)
    """Seconds that such a wait is never longer than."""

    @model_validator(mode="after")
    def _check_together(self) -> "InboundSettings":
        if self.retry_cap < self.retry_base:
            raise ValueError("retry_cap is less than retry_base; raise it, or lower retry_base")
        return self


class StoreSettings(Section):
    """Where messages are kept: in one SQLite file, or in Redis and Postgres."""

    url: str = "sqlite:///var/gateway.db"
    """The SQLite file, for all that is not given to one of the two below: sqlite:///PATH is below
    the working directory, sqlite:////PATH is absolute. memory:// keeps claims in each process and
    takes nothing that must not be lost: for measuring, and for trying things out."""
    redis_url: SecretStr | None = None
    """redis://[[USER]:PASSWORD@]HOST[:PORT][/DB], rediss:// or unix:///PATH: Redis 6.2 or newer
    then holds claims and waiting messages, for any number of machines."""
    postgres_dsn: SecretStr | None = None
    """postgresql://USER:PASSWORD@HOST[:PORT]/DATABASE: Postgres 13 or newer then holds dead letters
    and the archive."""
    timeout: float = Field(default=1.0, gt=0, le=4)
    """Seconds after which a store that does not answer counts as down."""
    spill: Path = Path("var/spill")
    """The folder where messages wait on this machine's disk while the store is down."""
    dedupe_seconds: int = Field(default=600, ge=60, le=86_400)
    """How long a message's key and reply are remembered. WeChat's tries are over in 15 seconds;
    what refuse_replays goes by is remembered as long."""
    archive: bool = False
    """Whether every callback is kept, with what the user wrote."""
    archive_days: int = Field(default=30, ge=1)
    """How long."""

    @model_validator(mode="after")
    def _check_together(self) -> "StoreSettings":
        if self.url == "memory://" and self.postgres_dsn is None:
            if self.archive:
                raise ValueError("archive needs a postgres_dsn, or a url that is sqlite:///PATH")
            if self.redis_url is not None:
                raise ValueError(
                    "url is memory://, which would lose dead letters; give sqlite:///PATH, or a "
                    "postgres_dsn"
                )
        return self

    @field_validator("url")
    @classmethod
    def _check_url(cls, url: str) -> str:
        if url != "memory://" and not re.fullmatch(r"sqlite:///.*[^/]", url):
            raise ValueError("must be sqlite:///PATH or memory://")
        return url

    @field_validator("redis_url", "postgres_dsn")
    @classmethod
    def _check_server(cls, url: SecretStr | None, info: ValidationInfo) -> SecretStr | None:
        schemes = {
            "redis_url": ("redis", "rediss", "unix"),
            "postgres_dsn": ("postgresql", "postgres"),
        }[info.field_name or ""]
        if url is None:
            return None
        # Of a Postgres there may be several: HOST:PORT,HOST:PORT.
        parts = split_url(url.get_secret_value(), several_hosts=info.field_name == "postgres_dsn")
        if parts.scheme not in schemes:
            raise ValueError(f"must begin with {schemes[0]}://")
        return url


class ApiSettings(Section):
    """How WeChat's API is called."""

    connect_timeout: float = Field(default=3.0, gt=0, le=60)
    """Seconds until there must be a connection."""
    timeout: float = Field(default=10.0, gt=0, le=300)
    """Seconds from then until there must be an answer."""
    connections: int = Field(default=64, ge=1, le=1000)
    """Connections that each process has at most, to each base URL."""


class PushSettings(Section):
    """What is pushed to users."""

    templates: Path = Path("templates")
    """The folder of message templates: a TOML file each, its name the template's."""
    concurrency: int = Field(default=64, ge=0, le=10_000)
    """Messages that each process of `gateway serve` and `gateway worker` sends at a time; with 0,
    `serve` leaves all of them to `gateway worker`."""
    max_attempts: int = Field(default=8, ge=1, le=1000)
    """How often a message is tried before it is a dead letter. Waiting for a limit of WeChat's is
    no attempt."""
    retry_base: float = Field(default=1.0, gt=0, le=3600)
    """Seconds: before its n-th retry, a message waits a random time of up to this times 2 to the
    n-1 (full jitter)."""
    retry_cap: float = Field(default=300.0, gt=0, le=86_400)
    """Seconds that such a wait is never longer than."""
    max_age: int = Field(default=86_400, ge=60)
    """Seconds from its creation, after which a message that failed is not tried again. One that
    waits for a limit of WeChat's has not failed."""
    lease: float = Field(default=30.0, ge=1, le=600)
    """Seconds after which the messages of a worker that does not report any more are another one's:
    it died, or its store is out of its reach. It reports three times in that time."""
    keep_days: int = Field(default=30, ge=1)
    """How long it is kept what became of each message; what a message said is gone once it is
    sent."""
    max_body: int = Field(default=8_388_608, ge=1024, le=1 << 26)
    """Bytes of what is sent to /push/messages at once; more is answered 413. Batches have no
    bound."""

    @model_validator(mode="after")
    def _check_together(self) -> "PushSettings":
        if self.retry_cap < self.retry_base:
            raise ValueError("retry_cap is less than retry_base; raise it, or lower retry_base")
        return self


class AccountSettings(Section):
    """One Official Account, as its page in WeChat's console has it (设置与开发 > 基本配置)."""

    app_id: str = Field(min_length=1, max_length=64, pattern=r"^[!-~]+$")
    """开发者ID (AppID). A third-party platform puts its component app id here."""
    platform: Literal["official_account", "mini_program", "mobile_app", "website"] = (
        "official_account"
    )
    """What it is: an official account, or an app that users sign in to. Mobile apps and websites
    have no callbacks; a mini program has some where it has a token."""
    token: SecretStr | None = Field(default=None, validate_default=True)
    """令牌 (Token), 3 to 32 characters: the same text as in the console. An official account needs
    it."""
    mode: Mode = Mode.SAFE
    """消息加解密方式, as chosen in the console: plain (明文), compat (兼容) or safe (安全)."""
    encoding_aes_key: SecretStr | None = None
    """消息加解密密钥 (EncodingAESKey), 43 characters; needed in compat and safe mode."""
    app_secret: SecretStr | None = None
    """开发者密码 (AppSecret); needed for calls to WeChat's API, not for callbacks."""
    api_url: str = "https://api.weixin.qq.com"
    """Where WeChat's API is: a proxy, another domain of its, or `gateway simulate platform`."""
    token_source: Literal["stable", "plain"] = "stable"  # noqa: S105  # no token
    """Which endpoint access tokens come from. stable: /cgi-bin/stable_token, which gives all that
    ask the same one. plain: /cgi-bin/token, where each ends the one before; for accounts whose
    other software uses it, and has to stay in step."""
    jssdk_hosts: tuple[str, ...] = ()
    """The hosts whose pages are signed at /jssdk/NAME?url=, for WeChat's JS-SDK; with the port
    where there is one. Needs app_secret."""
    sign_in_hosts: tuple[str, ...] = ()
    """The hosts of pages that users are signed in for, at /oauth/NAME/authorize?redirect=URL; with
    the port where there is one. Exactly these: no host below them. Of official accounts and
    websites; needs app_secret, identity.secret and identity.public_url."""
    authorize_url: str = "https://open.weixin.qq.com"
    """Where WeChat's page is on which users agree, without its path."""
    tenant: str | None = Field(default=None, min_length=1, max_length=64, pattern=r"^[!-~]+$")
    """Whose account it is, where one gateway serves several companies; sessions tell it. The
    account's name by default."""
    rates: dict[
        Annotated[str, AfterValidator(check_limited)],
        Annotated[SendRate, PlainValidator(parse_rate)],
    ] = {}
    """How fast messages are pushed at most, by channel, over all processes: a number of sends in a
    time, such as template = "200/s", custom = "60/min" or mass = "100/d"; the channels are
    template, notice, mini_program, custom and mass. And how often an endpoint is called, by its
    path: "/cgi-bin/user/info" = "50/s". At once go as many as go in a second, and one at least.
    Without a rate all goes as fast as it can, until WeChat tells of a limit: that one is waited
    for, with a rate or without."""
    previous_token: SecretStr | None = None
    """The token before a rotation that is under way: signatures made with it are still taken."""
    previous_encoding_aes_key: SecretStr | None = None
    """The key before a rotation that is under way: messages sealed with it are still opened."""
    original_id: str | None = Field(default=None, pattern=r"^[!-~]{1,64}$")
    """原始ID (gh_…): if given, callbacks addressed to any other are refused."""
    timestamp_window: int = Field(default=600, ge=0)
    """Seconds that a callback's timestamp may be off from this machine's clock; 0: not checked."""
    refuse_replays: bool = True
    """In plain mode no signature covers the body: whoever saw one callback's URL could send any
    body with it. Whether the same timestamp and nonce are refused with another body. Each worker
    process remembers what it saw itself."""

    @field_validator("api_url", "authorize_url")
    @classmethod
    def _check_api_url(cls, url: str) -> str:
        parts = split_url(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError("must be a URL such as https://api.weixin.qq.com")
        if parts.query or parts.fragment or parts.username:
            raise ValueError("must have nothing behind its path, and no user")
        return url.rstrip("/")

    @field_validator("jssdk_hosts")
    @classmethod
    def _check_hosts(cls, hosts: tuple[str, ...]) -> tuple[str, ...]:
        for host in hosts:
            if not re.fullmatch(r"[^\s/@?#\\]+", host):
                raise ValueError("must be hosts such as shop.example or shop.example:8443")
        return hosts

    @field_validator("sign_in_hosts")
    @classmethod
    def _check_sign_in_hosts(cls, hosts: tuple[str, ...]) -> tuple[str, ...]:
        for host in hosts:
            if not re.fullmatch(
                r"([a-z0-9]([a-z0-9.-]*[a-z0-9])?|\[[0-9a-f:]+\])(:\d{1,5})?", host
            ):
                raise ValueError(
                    "must be hosts in lower case, such as shop.example or shop.example:8443; of "
                    "one in Chinese the form that begins with xn--"
                )
        return hosts

    @field_validator("token", "previous_token")
    @classmethod
    def _check_token(cls, token: SecretStr | None, info: ValidationInfo) -> SecretStr | None:
        if token is None and info.field_name == "token":
            if info.data.get("platform") == "official_account":
                raise ValueError("missing; copy it from WeChat's console")
            return None
        text = token.get_secret_value() if token is not None else "abc"
        if not 3 <= len(text) <= 32 or not text.isascii() or not text.isprintable() or " " in text:
            raise ValueError("must be 3 to 32 letters and digits; copy it from WeChat's console")
        return token

    @field_validator("encoding_aes_key", "previous_encoding_aes_key")
    @classmethod
    def _check_key(cls, key: SecretStr | None) -> SecretStr | None:
        if key is not None:
            try:
                decode_aes_key(key.get_secret_value())
            except ValueError as wrong:
                raise ValueError(f"{wrong}; copy it from WeChat's console") from None
        return key

    @model_validator(mode="after")
    def _check_together(self) -> "AccountSettings":
        self._check_sign_in()
        if self.token is None:
            return self
        if self.mode is not Mode.PLAIN and self.encoding_aes_key is None:
            raise ValueError(
                f"encoding_aes_key is missing, which {self.mode} mode needs; copy it from WeChat's "
                'console, or set mode = "plain" there and here'
            )
        if self.jssdk_hosts and self.app_secret is None:
            raise ValueError(
                "app_secret is missing, which jssdk_hosts needs; copy it from WeChat's console"
            )
        if self.previous_token is not None and self.previous_token == self.token:
            raise ValueError("previous_token is the same as token; remove it")
        if self.previous_encoding_aes_key is not None:
            if self.encoding_aes_key is None:
                raise ValueError(
                    "encoding_aes_key is missing beside previous_encoding_aes_key; "
                    "give the current key too"
                )
            if self.previous_encoding_aes_key == self.encoding_aes_key:
                raise ValueError(
                    "previous_encoding_aes_key is the same as encoding_aes_key; remove it"
                )
        return self

    def _check_sign_in(self) -> None:
        if self.platform in ("mobile_app", "website") and self.token is not None:
            raise ValueError(f"token is of no use to a {self.platform}, which has no callbacks")
        if self.sign_in_hosts and self.platform not in ("official_account", "website"):
            raise ValueError(
                f"sign_in_hosts is of no use to a {self.platform}; its users sign in by code"
            )
        if self.sign_in_hosts and self.app_secret is None:
            raise ValueError(
                "app_secret is missing, which sign_in_hosts needs; copy it from WeChat's console"
            )
