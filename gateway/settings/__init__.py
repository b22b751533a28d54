"""The settings: what an operator may set, what each means, and how it must fit the others.

Read once, at start, from these places; a later one overrides an earlier one:

1. ``gateway.toml``, or the file named by ``--config`` or ``GATEWAY_CONFIG``;
2. ``.env`` in the working directory;
3. environment variables, ``GATEWAY_`` before the name and ``__`` between levels:
   ``GATEWAY_ACCOUNTS__MAIN__TOKEN``;
4. a directory of mounted secret files, named by ``GATEWAY_SECRETS_DIR``: each file is named like
   such a variable and holds its value.
"""

import os
import re
import tomllib
from collections.abc import Iterable
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, Final

from pydantic import BaseModel, Field, StringConstraints, ValidationError
from pydantic_settings import (
    BaseSettings,
    DotEnvSettingsSource,
    EnvSettingsSource,
    NestedSecretsSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)
from pydantic_settings.exceptions import SettingsError as SourceError

from gateway.errors import SettingsError
from gateway.settings.api_keys import ApiKeySettings, check_api_keys
from gateway.settings.identity import IdentitySettings, check_identity
from gateway.settings.producers import REPLAY_SECONDS, EventsSettings, ProducerSettings
from gateway.settings.sections import (
    AccountSettings,
    ApiSettings,
    InboundSettings,
    PushSettings,
    ServerSettings,
    StoreSettings,
)
from gateway.settings.sinks import SINKS, SinkSettings, check_sinks, sink_type
from gateway.settings.telemetry import TelemetrySettings

DEFAULT_CONFIG: Final = Path("gateway.toml")
CONFIG_VARIABLE: Final = "GATEWAY_CONFIG"
BOT_VARIABLE: Final = "GATEWAY_BOT"
SECRETS_VARIABLE: Final = "GATEWAY_SECRETS_DIR"
CELLS_VARIABLE: Final = "GATEWAY_CELLS_DIR"
"""The folder in which the workers of `gateway serve` count; set by it, for them."""

_PREFIX: Final = "GATEWAY_"
_NOT_SETTINGS: Final = frozenset(
    (
        *(CONFIG_VARIABLE, BOT_VARIABLE, SECRETS_VARIABLE, CELLS_VARIABLE),
        *("GATEWAY_NO_EXTENSIONS", "GATEWAY_SANITIZE"),
    )
)

# Kubernetes sets these in every pod next to a Service called "gateway"; they are not meant for us.
_SERVICE_LINK = re.compile(r"GATEWAY_(SERVICE_HOST|(SERVICE_)?PORT(_\w+)?)")

Name = Annotated[str, StringConstraints(pattern=r"^[a-z0-9]+([_-][a-z0-9]+)*$")]


class Settings(BaseSettings):
    """Everything that can be set."""

    model_config = SettingsConfigDict(
        env_prefix=_PREFIX,
        env_nested_delimiter="__",
        env_file=".env",
        extra="forbid",
        frozen=True,
        hide_input_in_errors=True,
        use_attribute_docstrings=True,
    )

    server: ServerSettings = ServerSettings()
    """Where and how the gateway listens."""
    inbound: InboundSettings = InboundSettings()
    """How messages are answered in time, and what is handled later."""
    store: StoreSettings = StoreSettings()
    """Where messages are kept."""
    api: ApiSettings = ApiSettings()
    """How WeChat's API is called."""
    push: PushSettings = PushSettings()
    """What is pushed to users."""
    identity: IdentitySettings = IdentitySettings()
    """Who users are: signing in, sessions, identities."""
    telemetry: TelemetrySettings = TelemetrySettings()
    """What is seen from outside."""
    sinks: tuple[SinkSettings, ...] = ()
    """Where events go, beside the bot's own handlers: one [[sinks]] each."""
    events: EventsSettings = EventsSettings()
    """What is taken at /events, from whoever [producers] names."""
    producers: dict[Name, ProducerSettings] = {}
    """The services that may POST events to /events, by name; without one there is no /events. Names
    are as those of accounts."""
    api_keys: dict[Name, ApiKeySettings] = {}
    """Who may use the HTTP API of pushing; without one there is no /push. Names are as those of
    accounts, and stand in log lines."""
    accounts: dict[Name, AccountSettings] = Field(min_length=1)
    """The accounts by name. Each is served at /wechat/NAME; while it is the only one, at /wechat
    too. A name is of lower-case letters, digits, and single ``-`` or ``_`` between them."""


SECTIONS: Final[dict[str, type[BaseModel]]] = {
    "server": ServerSettings,
    "inbound": InboundSettings,
    "store": StoreSettings,
    "api": ApiSettings,
    "push": PushSettings,
    "identity": IdentitySettings,
    "telemetry": TelemetrySettings,
    "events": EventsSettings,
    "producers": ProducerSettings,
    "api_keys": ApiKeySettings,
    "accounts": AccountSettings,
}
"""The sections by name."""

NAMED: Final = frozenset(("producers", "api_keys", "accounts"))
"""The sections of which there are many, each with a name."""


def load_settings(config: Path | None = None) -> Settings:
    """Read the settings; raise SettingsError with a line for each thing that is wrong.

    ``config`` must exist where it is given, by argument or by GATEWAY_CONFIG; the default file
    need not.
    """
    try:
        return _load(config)
    except OSError as wrong:
        raise SettingsError(
            f"{wrong.filename or 'the settings'}: cannot be read: {wrong.strerror or wrong}; let "
            "the user that runs the gateway read it"
        ) from None


def _load(config: Path | None) -> Settings:
    toml = _toml_file(config)
    secrets = _secrets_directory()
    _refuse_unknown_variables(name for name in os.environ if not _SERVICE_LINK.fullmatch(name))
    if secrets is not None:
        _refuse_unknown_variables(path.name for path in secrets.iterdir())

    class Located(Settings):
        @classmethod
        def settings_customise_sources(  # the names are the base class's
            cls,
            settings_cls: type[BaseSettings],
            init_settings: PydanticBaseSettingsSource,  # noqa: ARG003
            env_settings: PydanticBaseSettingsSource,
            dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003
            file_secret_settings: PydanticBaseSettingsSource,
        ) -> tuple[PydanticBaseSettingsSource, ...]:
            sources = [env_settings, _DotEnv(settings_cls)]
            if toml is not None:
                sources.append(TomlConfigSettingsSource(settings_cls, toml_file=toml))
            if secrets is not None:
                sources.insert(
                    0,
                    NestedSecretsSettingsSource(
                        file_secret_settings,
                        secrets_dir=secrets,
                        secrets_prefix=_PREFIX,
                        secrets_nested_delimiter="__",
                    ),
                )
            return tuple(sources)

    try:
        settings = Located()  # type: ignore[call-arg]  # every value comes from the sources
        check_sinks(settings.sinks, settings.accounts)
        _check_producers(settings)
        _check_lease(settings)
        check_api_keys(settings.api_keys, settings.accounts)
        check_identity(settings.identity, settings.accounts, settings.store)
        return settings
    except ValidationError as wrong:
        raise SettingsError(*(_line(error) for error in wrong.errors())) from None
    except tomllib.TOMLDecodeError as wrong:
        raise SettingsError(f"{toml}: not TOML: {wrong}") from None
    except UnicodeDecodeError:
        files = [toml, Path(".env"), *([] if secrets is None else secrets.iterdir())]
        raise SettingsError(
            *(f"{file}: not UTF-8; save it as UTF-8" for file in files if not _is_utf8(file))
        ) from None
    except SourceError as wrong:
        raise SettingsError(_unread(str(wrong))) from None


def _check_producers(settings: Settings) -> None:
    if settings.producers and settings.store.dedupe_seconds < REPLAY_SECONDS:
        raise SettingsError(
            f"store.dedupe_seconds: with [producers] it must be {REPLAY_SECONDS} or more, for a "
            "signed event can come again that long"
        )


def _check_lease(settings: Settings) -> None:
    call = settings.api.connect_timeout + settings.api.timeout
    if settings.push.lease * 2 / 3 <= call:
        raise SettingsError(
            f"push.lease: must be more than {1.5 * call:g}, for a call may take {call:g} seconds "
            "(api.connect_timeout and api.timeout), and has to end while its worker holds it"
        )


class _DotEnv(DotEnvSettingsSource):
    """The ``.env`` file, its other variables left alone: they are other programs'."""

    def __call__(self) -> dict[str, Any]:
        for variable in self.env_vars:
            if variable.upper() in _NOT_SETTINGS:
                raise SettingsError(
                    f"{variable.upper()}: no setting, so .env cannot set it; put it into the "
                    "environment"
                )
        _refuse_unknown_variables(self.env_vars)
        return EnvSettingsSource.__call__(self)


def _toml_file(config: Path | None) -> Path | None:
    if config is None and (named := os.environ.get(CONFIG_VARIABLE)):
        config = Path(named)
    if config is None:
        return DEFAULT_CONFIG if DEFAULT_CONFIG.is_file() else None
    if not config.is_file():
        raise SettingsError(f"{config}: no such file; give --config the path of a gateway.toml")
    return config


def _secrets_directory() -> Path | None:
    named = os.environ.get(SECRETS_VARIABLE)
    if not named:
        return None
    if not Path(named).is_dir():
        raise SettingsError(f"{SECRETS_VARIABLE}: {named} is no directory; mount it, or unset it")
    if not any(path.name.upper().startswith(_PREFIX) for path in Path(named).iterdir()):
        raise SettingsError(
            f"{SECRETS_VARIABLE}: {named} holds no secret of the gateway; name files like "
            "GATEWAY_ACCOUNTS__MAIN__TOKEN"
        )
    return Path(named)


def _refuse_unknown_variables(variables: Iterable[str]) -> None:
    """Raise for a variable that looks like ours and is none: pydantic-settings passes it over."""
    known = [name.upper() for name in Settings.model_fields]
    for variable in variables:
        name = variable.upper()
        if not name.startswith(_PREFIX) or name in _NOT_SETTINGS:
            continue
        top = name.removeprefix(_PREFIX).split("__")[0]
        if top not in known:
            raise SettingsError(f"{name}: no such setting{_suggestion(top, known)}")


def _line(error: Any) -> str:
    """Return one line for an error: the setting, how to write it as a variable, what to do."""
    path = [str(part) for part in error["loc"] if part != "[key]"]
    name = ".".join(path)
    variable = _PREFIX + "__".join(path).upper()
    if path[0] == "sinks" and len(path) > 1:
        return _sink_line(path[1], path[2:], error)
    if error["type"] in ("missing", "too_short") and name == "accounts":
        return (
            "accounts: none is configured; write [accounts.main] into gateway.toml (the README "
            "shows how), or run `gateway demo` to look around"
        )
    if error["type"] == "missing":
        return f"{name}: missing; set it in gateway.toml or as {variable}"
    if error["type"] == "extra_forbidden":
        return f"{name}: no such setting{_suggestion(path[-1], _known(path))}"
    if error["type"] == "string_pattern_mismatch" and "[key]" in error["loc"]:
        return f"{name}: name {path[0]} with lower-case letters, digits, and - or _ between them"
    message = _message(error)
    first, _, rest = message.partition(" ")
    if len(path) == 1 + (path[0] in NAMED) and first in _known([*path, first]):
        # Said of a section whose settings do not fit each other: it begins with the one to mend.
        name, variable, message = f"{name}.{first}", f"{variable}__{first.upper()}", rest
    return f"{name}: {message} (also set by {variable})"


def _message(error: Any) -> str:
    """Return what is wrong: in our own words, or in Pydantic's, which begin a sentence."""
    message = str(error["msg"])
    own = message.removeprefix("Value error, ")
    return own if own != message else f"{message[:1].lower()}{message[1:]}"


def _sink_line(number: str, path: list[str], error: Any) -> str:
    """Return one line for an error in the ``number``-th of the sinks, counted from 0."""
    known = {sink_type(kind): kind for kind in SINKS}
    sink = f"sinks[{number}]"
    if error["type"].startswith("union_tag"):
        tag = error.get("ctx", {}).get("tag")
        said = "missing" if tag is None else f"there is none called {tag}"
        return f"{sink}.type: {said}; give one of: {', '.join(known)}"
    if not path:
        return f"{sink}: no table; begin each sink with a line [[sinks]]"
    kind, fields = known[path[0]], path[1:]
    name = ".".join([sink, *fields])
    if error["type"] == "missing":
        return f"{name}: missing; a sink of type {path[0]} needs it"
    if error["type"] == "extra_forbidden":
        return f"{name}: no such setting{_suggestion(fields[-1], list(kind.model_fields))}"
    message = _message(error)
    first, _, rest = message.partition(" ")
    if not fields and first in kind.model_fields:
        name, message = f"{name}.{first}", rest
    return f"{name}: {message}"


def _unread(said: str) -> str:
    """Return one line for a source that cannot be read; what it said holds no value."""
    field = re.search('field "(.+?)"', said)
    if field is None:
        return f"{SECRETS_VARIABLE}: {said}"
    if field[1] == "sinks":
        return (
            f"sinks: {_PREFIX}SINKS is not JSON; make it a list of objects, or write [[sinks]] "
            "into gateway.toml"
        )
    example = {
        "server": "SERVER__PORT",
        "inbound": "INBOUND__LATE_REPLY",
        "store": "STORE__URL",
        "api": "API__TIMEOUT",
        "push": "PUSH__TEMPLATES",
        "identity": "IDENTITY__SECRET",
        "events": "EVENTS__MAX_BODY",
        "producers": "PRODUCERS__BILLING__SECRET",
        "api_keys": "API_KEYS__CRM__HASH",
    }.get(field[1], "ACCOUNTS__MAIN__TOKEN")
    return (
        f"{field[1]}: {_PREFIX}{field[1].upper()} is not JSON; "
        f"set what is in it one by one, as {_PREFIX}{example}"
    )


def _is_utf8(file: Path | None) -> bool:
    try:
        if file is not None and file.is_file():
            file.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        return False
    return True


def _known(path: list[str]) -> list[str]:
    if len(path) == 1:
        return list(Settings.model_fields)
    section = SECTIONS.get(path[0])
    return list(section.model_fields) if section is not None else []


def _suggestion(name: str, known: list[str]) -> str:
    close = get_close_matches(name, known, n=1)
    if close:
        return f"; did you mean {close[0]}?"
    return f"; there are: {', '.join(known)}" if known else ""
