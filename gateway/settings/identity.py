"""Who users are: what signing in, sessions and identities go by."""

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import Field, SecretStr, StringConstraints, field_validator, model_validator

from gateway.errors import SettingsError
from gateway.settings.sections import AccountSettings, Section, StoreSettings
from gateway.settings.urls import is_loopback, split_url

Word = Annotated[str, StringConstraints(pattern=r"^[a-z0-9]+([._:-][a-z0-9]+)*$", max_length=64)]


class IdentitySettings(Section):
    """Who users are, in which sessions, with which rights."""

    secret: SecretStr | None = None
    """32 characters or more that nobody guesses, as of `openssl rand -hex 32`: keys are made of it
    that session tokens are signed and users' secrets are sealed with. Without it there are no
    identities, no sessions and no sign-in. The same for all processes that share a store."""
    previous_secret: SecretStr | None = None
    """The secret before a rotation: what was signed and sealed with it still counts. Sessions need
    it for session_seconds, users' tokens, session keys and phone numbers until they are stored
    anew."""
    public_url: str | None = None
    """Where browsers find this gateway, such as https://wx.shop.example, without a path: WeChat
    leads users back to a page there. Its host stands in the console as 网页授权域名. Session tokens
    are good there alone."""
    session_seconds: int = Field(default=7200, ge=60, le=86_400)
    """How long a session is good for that is not used. One that is used is renewed when half of
    this is over."""
    session_max_seconds: int = Field(default=2_592_000, ge=60)
    """How long a session can be renewed; then its user signs in again."""
    cache_seconds: float = Field(default=1.0, ge=0, le=60)
    """How long a process goes by what it read of a session: so late, at most, another process
    learns that a session was ended or that its rights changed. With 0 each request asks the
    store."""
    cookie: str = Field(default="gateway_session", pattern=r"^[A-Za-z0-9_-]{1,64}$")
    """The name of the cookie that holds the session token."""
    cookie_domain: str | None = Field(default=None, pattern=r"^[a-z0-9-]+(\.[a-z0-9-]+)+$")
    """The domain whose hosts all get the cookie, such as shop.example; without it, the gateway's
    own alone."""
    secure_cookies: bool = True
    """Whether cookies go by https only; false is for http on this machine, to try things out."""
    same_site: Literal["lax", "strict", "none"] = "lax"
    """Which requests of other sites' pages bring the cookie: lax those that open a page, strict
    none, none all."""
    learn_union_ids: bool = True
    """Whether WeChat is asked for the union id of each new follower (/cgi-bin/user/info/batchget),
    where their account has an app_secret."""
    roles: Mapping[Word, tuple[Word, ...]] = {}
    """The roles that people can have, each with its permissions: staff = ["orders:read"]. Who has
    which is not a setting: see `gateway users grant`."""

    @field_validator("secret", "previous_secret")
    @classmethod
    def _check_secret(cls, secret: SecretStr | None) -> SecretStr | None:
        if secret is not None and len(secret.get_secret_value()) < 32:
            raise ValueError("must be 32 characters or more; `openssl rand -hex 32` makes one")
        return secret

    @field_validator("public_url")
    @classmethod
    def _check_public_url(cls, url: str | None) -> str | None:
        if url is None:
            return None
        parts = split_url(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError("must be a URL such as https://wx.shop.example")
        if parts.path.strip("/") or parts.query or parts.fragment or parts.username:
            raise ValueError("must have nothing behind its host, and no user")
        if parts.scheme == "http" and not is_loopback(parts.hostname):
            raise ValueError("must begin with https://, as sessions are not safe without")
        return url.rstrip("/")

    @model_validator(mode="after")
    def _check_together(self) -> "IdentitySettings":
        if self.previous_secret is not None:
            if self.secret is None:
                raise ValueError("secret is missing beside previous_secret; give the current one")
            if self.previous_secret == self.secret:
                raise ValueError("previous_secret is the same as secret; remove it")
        if self.session_max_seconds < self.session_seconds:
            raise ValueError(
                "session_max_seconds is less than session_seconds; raise it, or lower that"
            )
        if self.same_site == "none" and not self.secure_cookies:
            raise ValueError("same_site is none, which browsers take with secure_cookies only")
        return self


def check_identity(
    identity: IdentitySettings, accounts: Mapping[str, AccountSettings], store: StoreSettings
) -> None:
    """Raise SettingsError where the settings of identity do not fit the others."""
    wrong = []
    servers = store.postgres_dsn is not None and store.redis_url is not None
    if identity.secret is not None and store.url == "memory://" and not servers:
        wrong.append(
            "store.url: memory:// would lose identities and sessions; give "
            "sqlite:///var/gateway.db, or both a store.redis_url and a store.postgres_dsn"
        )
    for name, account in accounts.items():
        if account.sign_in_hosts and identity.public_url is None:
            wrong.append(
                f"identity.public_url: missing, which accounts.{name}.sign_in_hosts needs; give "
                "the URL where browsers find this gateway"
            )
        if account.sign_in_hosts and identity.secret is None:
            wrong.append(
                f"identity.secret: missing, which accounts.{name}.sign_in_hosts needs; "
                "`openssl rand -hex 32` makes one"
            )
    if wrong:
        raise SettingsError(*dict.fromkeys(wrong))
