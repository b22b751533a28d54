"""The sections of what is kept, done later and taken in: each bound, and how they fit together."""

import base64
import traceback
from pathlib import Path
from typing import Any, Final

import pytest
from pydantic import SecretStr

from gateway.errors import SettingsError
from gateway.settings import Settings, load_settings
from gateway.settings.producers import REPLAY_SECONDS, EventsSettings, ProducerSettings
from gateway.settings.sections import InboundSettings, StoreSettings
from tests.settings.writing import ACCOUNT, refusal, write_account, write_toml

MARK: Final = "MARKER"
SECRET: Final = "whsec_" + base64.b64encode(b"0" * 32).decode()
OTHER_SECRET: Final = "whsec_" + base64.b64encode(b"1" * 32).decode()
MAKE: Final = "make one with: echo whsec_$(openssl rand -base64 32)"

HTTP: Final = {"name": "crm", "type": "http", "url": "https://h", "secret": SECRET}
PUBSUB: Final = {"name": "live", "type": "redis_pubsub", "url": "redis://h"}
KAFKA: Final = {"name": "lake", "type": "kafka", "servers": "h:9092"}
SINK_NAME: Final = "^[a-z0-9]+([_-][a-z0-9]+)*$"
SINK_TYPES: Final = "http, redis_stream, redis_pubsub, rabbitmq, kafka, nats"


def _set_by(name: str) -> str:
    return f"(also set by GATEWAY_{name.replace('.', '__').upper()})"


def _write(tree: dict[str, Any]) -> Path:
    """Write a settings file with an account and what the tree says."""
    return write_toml({"accounts": {"main": ACCOUNT}} | tree)


def _refused(tree: dict[str, Any]) -> str:
    _write(tree)
    return refusal()


def _read(tree: dict[str, Any]) -> Settings:
    _write(tree)
    return load_settings()


def _tree(setting: str, value: Any, **beside: Any) -> dict[str, Any]:
    section, name = setting.split(".")
    return {section: beside | {name: value}}


def _value(settings: Settings, setting: str) -> Any:
    section, name = setting.split(".")
    return getattr(getattr(settings, section), name)


def test_an_account_is_all_that_must_be_set() -> None:
    settings = _read({})
    assert settings.inbound.model_dump() == {
        "reply_deadline": 4.5,
        "late_reply": "join",
        "concurrency": 32,
        "max_deliveries": 8,
        "retry_base": 1.0,
        "retry_cap": 300.0,
    }
    assert settings.store.model_dump() == {
        "url": "sqlite:///var/gateway.db",
        "redis_url": None,
        "postgres_dsn": None,
        "timeout": 1.0,
        "spill": Path("var/spill"),
        "dedupe_seconds": 600,
        "archive": False,
        "archive_days": 30,
    }
    assert settings.events.model_dump() == {
        "max_body": 262_144,
        "content_types": {
            "application/json": "generic/json",
            "application/x-transfer+json": "command/transfer",
        },
    }
    assert settings.producers == {}
    assert settings.sinks == ()


def test_every_setting_can_stand_in_the_file() -> None:
    given: dict[str, dict[str, Any]] = {
        "inbound": {
            "reply_deadline": 2.5,
            "late_reply": "success",
            "concurrency": 0,
            "max_deliveries": 3,
            "retry_base": 0.5,
            "retry_cap": 60.0,
        },
        "store": {
            "url": "sqlite:////srv/gateway.db",
            "redis_url": "rediss://:password@redis.example/1",
            "postgres_dsn": "postgresql://user:password@pg.example/gateway",
            "timeout": 0.5,
            "spill": "spill",
            "dedupe_seconds": 3600,
            "archive": True,
            "archive_days": 7,
        },
        "events": {"max_body": 4096, "content_types": {"text/csv": "table/rows"}},
    }
    producer = {"secret": SECRET, "previous_secret": OTHER_SECRET}
    settings = _read({**given, "producers": {"billing": producer}})
    for name, section in given.items():
        read = getattr(settings, name).model_dump()
        assert {k: _plain(v) for k, v in read.items()} == section
    assert {k: _plain(v) for k, v in settings.producers["billing"]} == producer
    for section, model in (
        *((given["inbound"], InboundSettings), (given["store"], StoreSettings)),
        *((given["events"], EventsSettings), (producer, ProducerSettings)),
    ):
        assert set(section) == set(model.model_fields)


def _plain(value: Any) -> Any:
    if isinstance(value, SecretStr):
        return value.get_secret_value()
    return str(value) if isinstance(value, Path) else value


def test_every_section_can_come_from_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    write_account()
    for name, value in {
        "INBOUND__RETRY_BASE": "2",
        "STORE__REDIS_URL": "redis://h",
        "STORE__SPILL": "elsewhere",
        "EVENTS__CONTENT_TYPES": '{"text/csv": "table/rows"}',
        "PRODUCERS__BILLING__SECRET": SECRET,
        "PRODUCERS__POINT_OF_SALE__SECRET": OTHER_SECRET,
    }.items():
        monkeypatch.setenv(f"GATEWAY_{name}", value)
    settings = load_settings()
    assert settings.inbound.retry_base == 2.0
    assert _plain(settings.store.redis_url) == "redis://h"
    assert settings.store.spill == Path("elsewhere")
    assert settings.events.content_types == {"text/csv": "table/rows"}
    secrets = {name: _plain(given.secret) for name, given in settings.producers.items()}
    assert secrets == {"billing": SECRET, "point_of_sale": OTHER_SECRET}


@pytest.mark.parametrize(
    ("setting", "last", "beyond", "said", "beside"),
    [
        ("inbound.reply_deadline", 0.001, 0, "greater than 0", {}),
        ("inbound.reply_deadline", 4.999, 5, "less than 5", {}),
        ("inbound.concurrency", 0, -1, "greater than or equal to 0", {}),
        ("inbound.concurrency", 10_000, 10_001, "less than or equal to 10000", {}),
        ("inbound.max_deliveries", 1, 0, "greater than or equal to 1", {}),
        ("inbound.max_deliveries", 1000, 1001, "less than or equal to 1000", {}),
        ("inbound.retry_base", 0.001, 0, "greater than 0", {}),
        ("inbound.retry_base", 3600, 3600.5, "less than or equal to 3600", {"retry_cap": 3600}),
        ("inbound.retry_cap", 0.001, 0, "greater than 0", {"retry_base": 0.001}),
        ("inbound.retry_cap", 86_400, 86_400.5, "less than or equal to 86400", {}),
        ("store.timeout", 0.001, 0, "greater than 0", {}),
        ("store.timeout", 4, 4.001, "less than or equal to 4", {}),
        ("store.dedupe_seconds", 60, 59, "greater than or equal to 60", {}),
        ("store.dedupe_seconds", 86_400, 86_401, "less than or equal to 86400", {}),
        ("store.archive_days", 1, 0, "greater than or equal to 1", {}),
        ("events.max_body", 1024, 1023, "greater than or equal to 1024", {}),
        ("events.max_body", 2**20, 2**20 + 1, "less than or equal to 1048576", {}),
        ("inbound.reply_deadline", 1, float("nan"), "less than 5", {}),
        ("inbound.retry_cap", 1, float("inf"), "less than or equal to 86400", {}),
        ("store.timeout", 1, float("nan"), "less than or equal to 4", {}),
    ],
)
def test_a_number_is_taken_up_to_its_bound(
    setting: str,
    last: float,
    beyond: float,
    said: str,
    beside: dict[str, Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert _value(_read(_tree(setting, last, **beside)), setting) == last
    # NaN and Infinity are spelt differently in JSON and in TOML, alike in a variable.
    monkeypatch.setenv(f"GATEWAY_{setting.replace('.', '__').upper()}", str(beyond))
    assert refusal() == f"{setting}: input should be {said} {_set_by(setting)}"


@pytest.mark.parametrize(
    ("setting", "value", "said"),
    [
        (
            "inbound.late_reply",
            "later",
            "input should be 'join', 'customer_service' or 'success'",
        ),
        (
            "inbound.max_deliveries",
            1.5,
            "input should be a valid integer, got a number with a fractional part",
        ),
        (
            "inbound.retry_base",
            "soon",
            "input should be a valid number, unable to parse string as a number",
        ),
        *(
            ("store.url", url, "must be sqlite:///PATH or memory://")
            for url in (
                *("", "gateway.db", "memory:", "memory:///", "MEMORY://", "sqlite:///"),
                *("sqlite:////", "sqlite:///var/", "sqlite://gateway.db", "redis://h"),
            )
        ),
        *(
            ("store.redis_url", url, "must begin with redis://")
            for url in ("", "h:6379", "http://h", "valkey://h")
        ),
        *(
            ("store.postgres_dsn", dsn, "must begin with postgresql://")
            for dsn in ("", "host=h", "mysql://h", "postgresql+asyncpg://h")
        ),
        ("store.redis_url", 6379, "input should be a valid string"),
        ("store.postgres_dsn", ["postgresql://h"], "input should be a valid string"),
        (
            "store.archive",
            "maybe",
            "input should be a valid boolean, unable to interpret input",
        ),
        *(
            (
                "events.content_types",
                {"text/csv": type_},
                (
                    "text/csv has no type such as command/transfer: FAMILY/NAME, up to 128 "
                    "letters, digits, and - or _"
                ),
            )
            for type_ in (
                "",
                "rows",
                "table/",
                "/rows",
                "a b/c",
                "table/*",
                "表/行",
                "t/" + "x" * 127,
            )
        ),
        (
            "events.content_types",
            {"Text/CSV": "rows"},
            (
                "Text/CSV has no type such as command/transfer: FAMILY/NAME, up to 128 letters, "
                "digits, and - or _"
            ),
        ),
        ("events.content_types", "table/rows", "input should be a valid dictionary"),
    ],
    ids=str,
)
def test_a_wrong_value_is_refused(setting: str, value: Any, said: str) -> None:
    assert _refused(_tree(setting, value)) == f"{setting}: {said} {_set_by(setting)}"


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        *(("inbound.late_reply", late) for late in ("join", "customer_service", "success")),
        *(
            ("store.url", url)
            for url in ("memory://", "sqlite:///g.db", "sqlite:////srv/a b.db", "sqlite:///../g")
        ),
        *(
            ("store.redis_url", url)
            for url in ("redis://h", "rediss://:p@h:1/2", "unix:///run/redis.sock?db=1")
        ),
        *(
            ("store.postgres_dsn", dsn)
            for dsn in ("postgresql://h/d", "postgres://u:p@h:1/d?a=b", "postgresql://a:1,b:2/d")
        ),
        ("events.content_types", {}),
        ("events.content_types", {"text/csv": "t/" + "x" * 126}),
    ],
    ids=str,
)
def test_a_sound_value_is_kept_as_it_is(setting: str, value: Any) -> None:
    assert _plain(_value(_read(_tree(setting, value)), setting)) == value


def test_content_types_are_looked_up_in_lower_case() -> None:
    settings = _read(_tree("events.content_types", {"Text/CSV": "Table/Rows"}))
    assert settings.events.content_types == {"text/csv": "Table/Rows"}


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ("inbound.retry_bas", "did you mean retry_base?"),
        (
            "inbound.zzz",
            (
                "there are: reply_deadline, late_reply, concurrency, max_deliveries, retry_base, "
                "retry_cap"
            ),
        ),
        ("store.postgres_url", "did you mean postgres_dsn?"),
        ("events.content_type", "did you mean content_types?"),
        ("producers.billing.secrt", "did you mean secret?"),
        ("producers.billing.zzz", "there are: secret, previous_secret"),
    ],
)
def test_an_unknown_setting_is_refused(setting: str, said: str) -> None:
    *sections, name = setting.split(".")
    tree: dict[str, Any] = {"producers": {"billing": {"secret": SECRET}}}
    table = tree
    for section in sections:
        table = table.setdefault(section, {})
    table[name] = 1
    assert _refused(tree) == f"{setting}: no such setting; {said}"


@pytest.mark.parametrize(
    ("section", "example"),
    [
        ("inbound", "INBOUND__LATE_REPLY"),
        ("store", "STORE__URL"),
        ("events", "EVENTS__MAX_BODY"),
        ("producers", "PRODUCERS__BILLING__SECRET"),
    ],
)
def test_a_whole_section_in_one_variable_must_be_json(
    section: str, example: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_account()
    monkeypatch.setenv(f"GATEWAY_{section.upper()}", MARK)
    assert refusal() == (
        f"{section}: GATEWAY_{section.upper()} is not JSON; "
        f"set what is in it one by one, as GATEWAY_{example}"
    )


class TestTogether:
    """Settings that do not fit each other."""

    @pytest.mark.parametrize(("base", "cap"), [(10.0, 9.99), (301.0, None), (None, 0.5)])
    def test_a_wait_is_never_longer_than_its_cap(
        self, base: float | None, cap: float | None
    ) -> None:
        given = {"retry_base": base, "retry_cap": cap}
        assert _refused({"inbound": {k: v for k, v in given.items() if v is not None}}) == (
            "inbound.retry_cap: is less than retry_base; raise it, or lower retry_base "
            f"{_set_by('inbound.retry_cap')}"
        )
        even = {"retry_base": 10.0, "retry_cap": 10.0}
        assert _read({"inbound": even}).inbound.retry_cap == 10.0

    @pytest.mark.parametrize(
        ("archive", "said"),
        [
            (
                False,
                (
                    "store.url: is memory://, which would lose dead letters; give sqlite:///PATH, "
                    "or a postgres_dsn (also set by GATEWAY_STORE__URL)"
                ),
            ),
            (
                True,
                (
                    "store.archive: needs a postgres_dsn, or a url that is sqlite:///PATH (also "
                    "set by GATEWAY_STORE__ARCHIVE)"
                ),
            ),
        ],
    )
    def test_memory_keeps_nothing_for_good_beside_a_redis(self, archive: bool, said: str) -> None:
        """What Redis holds outlives the process, and so must what failed for good."""
        store = {"url": "memory://", "redis_url": "redis://h", "archive": archive}
        assert _refused({"store": store}) == said
        for fix in ({"url": "sqlite:///g.db"}, {"postgres_dsn": "postgresql://h/d"}):
            assert _read({"store": store | fix}).store.archive is archive

    def test_memory_archives_nothing(self) -> None:
        store = {"url": "memory://", "archive": True}
        assert _refused({"store": store}) == (
            "store.archive: needs a postgres_dsn, or a url that is sqlite:///PATH "
            f"{_set_by('store.archive')}"
        )

    def test_what_producers_sign_is_remembered_as_long_as_it_holds(self) -> None:
        tree = {"producers": {"billing": {"secret": SECRET}}}
        assert _refused(tree | {"store": {"dedupe_seconds": 599}}) == (
            "store.dedupe_seconds: with [producers] it must be 600 or more, for a signed event can "
            "come again that long"
        )
        assert REPLAY_SECONDS == 600
        assert _read(tree | {"store": {"dedupe_seconds": 600}}).producers
        assert not _read({"store": {"dedupe_seconds": 60}}).producers

    def test_a_rotation_is_of_two_secrets(self) -> None:
        billing = {"secret": SECRET, "previous_secret": SECRET}
        assert _refused({"producers": {"billing": billing}}) == (
            "producers.billing.previous_secret: is the same as secret; remove it "
            f"{_set_by('producers.billing.previous_secret')}"
        )


class TestProducers:
    """Who may send events in."""

    @pytest.mark.parametrize("name", ["billing", "b", "pos-2", "point_of_sale", "0"])
    def test_a_producer_may_be_called_so(self, name: str) -> None:
        assert list(_read({"producers": {name: {"secret": SECRET}}}).producers) == [name]

    @pytest.mark.parametrize(
        "name", ["", "Billing", "a b", "a/b", "-a", "a-", "a__b", "账单", "a\n"]
    )
    def test_a_producer_may_not_be_called_so(self, name: str) -> None:
        assert _refused({"producers": {name: {"secret": SECRET}}}) == (
            f"producers.{name}: name producers with lower-case letters, digits, and - or _ between "
            "them"
        )

    @pytest.mark.parametrize("setting", ["secret", "previous_secret"])
    @pytest.mark.parametrize(
        "secret",
        [
            *("", "whsec_", MARK, SECRET[6:], SECRET.upper(), f" {SECRET}", f"{SECRET}\n"),
            *("whsec_" + base64.b64encode(bytes(size)).decode() for size in (23, 65)),
            *(f"whsec_{SECRET[6:-1]}", f"whsec_{'密' * 40}", f"whsec_{SECRET[6:-2]}-_"),
        ],
        ids=ascii,
    )
    def test_a_secret_is_what_standard_webhooks_makes_of_one(
        self, setting: str, secret: str
    ) -> None:
        billing = {"secret": OTHER_SECRET, setting: secret}
        assert _refused({"producers": {"billing": billing}}) == (
            f"producers.billing.{setting}: must be whsec_ and 24 to 64 bytes in base64; {MAKE} "
            f"{_set_by(f'producers.billing.{setting}')}"
        )

    @pytest.mark.parametrize("size", [24, 64])
    def test_a_secret_may_be_as_short_and_as_long(self, size: int) -> None:
        secret = "whsec_" + base64.b64encode(bytes(size)).decode()
        settings = _read({"producers": {"billing": {"secret": secret}}})
        assert _plain(settings.producers["billing"].secret) == secret

    @pytest.mark.parametrize(
        ("producers", "said"),
        [
            (
                {"billing": {}},
                (
                    "producers.billing.secret: missing; set it in gateway.toml or as "
                    "GATEWAY_PRODUCERS__BILLING__SECRET"
                ),
            ),
            (
                {"billing": SECRET},
                (
                    "producers.billing: input should be a valid dictionary or instance of "
                    f"ProducerSettings {_set_by('producers.billing')}"
                ),
            ),
            (
                {"billing": {"secret": 1}},
                (
                    "producers.billing.secret: input should be a valid string "
                    f"{_set_by('producers.billing.secret')}"
                ),
            ),
            (
                [{"secret": SECRET}],
                f"producers: input should be a valid dictionary {_set_by('producers')}",
            ),
        ],
        ids=str,
    )
    def test_a_producer_is_a_table_with_a_secret(self, producers: Any, said: str) -> None:
        assert _refused({"producers": producers}) == said


class TestSinks:
    """What is said of [[sinks]]: which one it is, counted from 0."""

    @pytest.mark.parametrize(
        ("sink", "lines"),
        [
            ({}, [f".type: missing; give one of: {SINK_TYPES}"]),
            ({"name": "crm"}, [f".type: missing; give one of: {SINK_TYPES}"]),
            (
                HTTP | {"type": "https"},
                [f".type: there is none called https; give one of: {SINK_TYPES}"],
            ),
            (HTTP | {"type": 1}, [f".type: there is none called 1; give one of: {SINK_TYPES}"]),
            (
                {"type": "http"},
                [
                    ".name: missing; a sink of type http needs it",
                    ".url: missing; a sink of type http needs it",
                    ".secret: missing; a sink of type http needs it",
                ],
            ),
            (
                {"type": "kafka", "name": "lake"},
                [".servers: missing; a sink of type kafka needs it"],
            ),
            (PUBSUB | {"chanel": "x"}, [".chanel: no such setting; did you mean channel?"]),
            (
                # Another type of sink has it.
                PUBSUB | {"secret": SECRET},
                [
                    (
                        ".secret: no such setting; there are: name, types, accounts, timeout, "
                        "max_bytes, url, type, channel"
                    )
                ],
            ),
            (HTTP | {"name": "My Sink"}, [f".name: string should match pattern '{SINK_NAME}'"]),
            (HTTP | {"name": "x" * 65}, [".name: string should have at most 64 characters"]),
            (HTTP | {"timeout": 0}, [".timeout: input should be greater than 0"]),
            (HTTP | {"timeout": 20.5}, [".timeout: input should be less than or equal to 20"]),
            (
                HTTP | {"max_bytes": 1023},
                [".max_bytes: input should be greater than or equal to 1024"],
            ),
            (
                HTTP | {"synchronous": "maybe"},
                [".synchronous: input should be a valid boolean, unable to interpret input"],
            ),
            (
                HTTP | {"secret": MARK},
                [f".secret: must be whsec_ and 24 to 64 bytes in base64; {MAKE}"],
            ),
            (HTTP | {"url": "h"}, [".url: must begin with http:// or https://"]),
            (
                HTTP | {"types": ["user.subscribe"]},
                [".types: user.subscribe is no type of event; did you mean user.subscribed?"],
            ),
            (
                HTTP | {"types": ["User.*"]},
                [".types: User.* is no type of event; did you mean user.*?"],
            ),
            (
                HTTP | {"accounts": []},
                [".accounts: tuple should have at least 1 item after validation, not 0"],
            ),
            (
                HTTP | {"previous_secret": SECRET},
                [".previous_secret: is the same as secret; remove it"],
            ),
            (
                KAFKA | {"options": {"sasl.password": 1}},
                [".options.sasl.password: input should be a valid string"],
            ),
            (
                KAFKA | {"topic": "a b", "timeout": 60},
                [
                    ".timeout: input should be less than or equal to 20",
                    ".topic: string should match pattern '^[a-zA-Z0-9._-]{1,249}$'",
                ],
            ),
        ],
        ids=str,
    )
    def test_a_sink_that_is_wrong_is_named_by_its_place(
        self, sink: dict[str, Any], lines: list[str]
    ) -> None:
        said = _refused({"sinks": [PUBSUB | {"name": "sound"}, sink]})
        assert said.splitlines() == [f"sinks[1]{line}" for line in lines]

    def test_everything_wrong_is_said_at_once(self) -> None:
        tree = {"sinks": [{}, HTTP, HTTP | {"timeout": 0}], "inbound": {"concurrency": -1}}
        names = [line.partition(": ")[0] for line in _refused(tree).splitlines()]
        assert sorted(names) == ["inbound.concurrency", "sinks[0].type", "sinks[2].timeout"]

    def test_sinks_that_do_not_fit_each_other_are_named_by_their_names(self) -> None:
        one = HTTP | {"synchronous": True, "types": ["message.*"]}
        other = one | {"name": "bot"}
        assert _refused({"sinks": [one, other, PUBSUB, PUBSUB | {"accounts": ["mian"]}]}) == (
            "sinks.live: there are 2 of this name; rename all but one\n"
            "sinks.live.accounts: no account mian; there are: main\n"
            "sinks.bot.synchronous: crm answers message.text too, and only one can; narrow their "
            "types or accounts"
        )

    @pytest.mark.parametrize("sink", ["x", 1, True, [HTTP]], ids=str)
    def test_a_sink_is_a_table(self, sink: Any) -> None:
        said = "sinks[1]: no table; begin each sink with a line [[sinks]]"
        assert _refused({"sinks": [HTTP, sink]}) == said

    def test_a_single_table_is_no_list_of_sinks(self) -> None:
        said = f"sinks: input should be a valid tuple {_set_by('sinks')}"
        assert _refused({"sinks": HTTP}) == said

    def test_sinks_may_come_in_one_variable(self, monkeypatch: pytest.MonkeyPatch) -> None:
        write_account()
        monkeypatch.setenv("GATEWAY_SINKS", '[{"name": "live", "type": "kafka", "servers": "h"}]')
        (sink,) = load_settings().sinks
        assert (sink.name, sink.type) == ("live", "kafka")
        monkeypatch.setenv("GATEWAY_SINKS", '[{"name": "live"}]')
        assert refusal() == f"sinks[0].type: missing; give one of: {SINK_TYPES}"
        monkeypatch.setenv("GATEWAY_SINKS", MARK)
        assert refusal() == (
            "sinks: GATEWAY_SINKS is not JSON; make it a list of objects, or write [[sinks]] into "
            "gateway.toml"
        )


HIDDEN: Final[dict[str, Any]] = {
    "store": {
        "redis_url": f"redis://u:{MARK}@h",
        "postgres_dsn": f"postgresql://u:{MARK}@h/d",
    },
    "producers": {"billing": {"secret": SECRET, "previous_secret": OTHER_SECRET}},
    "sinks": [
        HTTP | {"previous_secret": OTHER_SECRET},
        PUBSUB | {"url": f"redis://:{MARK}@h"},
        {"name": "log", "type": "redis_stream", "url": f"redis://:{MARK}@h"},
        {"name": "rabbit", "type": "rabbitmq", "url": f"amqp://u:{MARK}@h"},
        {"name": "nats", "type": "nats", "url": f"nats://u:{MARK}@h"},
        KAFKA | {"options": {"sasl.password": MARK}},
    ],
}
SECRETS: Final = (MARK, SECRET, OTHER_SECRET)


def _shown() -> list[str]:
    """Return how the settings, or their refusal, can come before somebody's eyes."""
    try:
        settings = load_settings()
    except SettingsError as wrong:
        return [str(wrong), repr(wrong), *traceback.format_exception(wrong)]
    return [str(settings), repr(settings), str(settings.model_dump()), settings.model_dump_json()]


def test_no_secret_of_sound_settings_is_shown() -> None:
    _write(HIDDEN)
    text = "\n".join(_shown())
    assert "h:9092" in text
    assert not [secret for secret in SECRETS if secret in text]


@pytest.mark.parametrize(
    ("place", "value"),
    [
        *((("store", name), f"http://{MARK}") for name in ("redis_url", "postgres_dsn")),
        *((("store", name), [MARK]) for name in ("redis_url", "postgres_dsn")),
        *((("store", name), {MARK: MARK}) for name in ("redis_url", "postgres_dsn")),
        (("store", "timeout"), 9),
        (("store", "redis_ur"), f"redis://:{MARK}@h"),
        (("store",), f"redis://:{MARK}@h"),
        (("store", "url"), "memory:"),
        *(
            (("producers", "billing", name), value)
            for name in ("secret", "previous_secret")
            for value in (MARK, f"whsec_{MARK}", [MARK], {"x": MARK})
        ),
        (("producers", "billing", "previous_secret"), SECRET),
        (("producers", "billing"), SECRET),
        (("producers", "billing", "secre"), SECRET),
        (("producers",), SECRET),
        (("producers", "Billing"), {"secret": SECRET}),
        (("store", "dedupe_seconds"), 60),
        *((("sinks", number, "timeout"), 0) for number in range(6)),
        *((("sinks", number, "type"), "x") for number in range(6)),
        *((("sinks", number, "url"), f"ftp://{MARK}") for number in range(5)),
        *((("sinks", number, "secrets"), MARK) for number in range(6)),
        (("sinks", 0, "secret"), MARK),
        (("sinks", 0, "previous_secret"), SECRET),
        (("sinks", 5, "options"), MARK),
        (("sinks", 5, "options"), {"sasl.password": [MARK]}),
        (("sinks", 1, "name"), "log"),
        (("sinks",), MARK),
    ],
    ids=str,
)
def test_no_secret_beside_a_mistake_is_shown(place: tuple[str | int, ...], value: Any) -> None:
    _write(_with(HIDDEN, place, value))
    text = "\n".join(_shown())
    assert "SettingsError" in text
    assert not [secret for secret in SECRETS if secret in text]


# What urlsplit itself stumbles over, and names: parts of the password.
BROKEN: Final = (f"{MARK}：", f"＃{MARK}", f"[{MARK}]", f"[{MARK}", f"{MARK}]", f"{MARK}/x")


@pytest.mark.parametrize("password", BROKEN)
@pytest.mark.parametrize(
    ("place", "scheme"),
    [
        (("store", "redis_url"), "redis"),
        (("store", "postgres_dsn"), "postgresql"),
        (("sinks", 0, "url"), "https"),
        (("sinks", 1, "url"), "redis"),
        (("sinks", 2, "url"), "unix"),
        (("sinks", 3, "url"), "amqps"),
        (("sinks", 4, "url"), "tls"),
    ],
    ids=str,
)
def test_no_password_of_a_url_that_cannot_be_read_is_shown(
    place: tuple[str | int, ...], scheme: str, password: str
) -> None:
    if place[-1] == "postgres_dsn":
        # Its driver takes several hosts, and refuses a wrong port itself.
        password = password.replace("/", "[")
    _write(_with(HIDDEN, place, f"{scheme}://u:{password}@h"))
    said = refusal()
    assert said.count("\n") == 0
    assert ": cannot be read as a URL; percent-encode all but letters and digits in user " in said
    assert MARK not in "\n".join(_shown())


@pytest.mark.parametrize("port", ["port", "65536", "1,h:2"])
def test_a_port_that_is_no_number_is_refused(port: str) -> None:
    assert _refused({"store": {"redis_url": f"redis://h:{port}"}}) == (
        "store.redis_url: cannot be read as a URL; percent-encode all but letters and digits in "
        f"user and password, and give the port as a number {_set_by('store.redis_url')}"
    )


def _with(tree: Any, place: tuple[str | int, ...], value: Any) -> Any:
    """Return a copy of the tree with another value in a place."""
    if not place:
        return value
    copy = tree.copy()
    inner = copy.get(place[0], {}) if isinstance(copy, dict) else copy[int(place[0])]
    copy[place[0]] = _with(inner, place[1:], value)
    return copy


@pytest.mark.parametrize("source", ["environment", ".env", "secrets"])
@pytest.mark.parametrize(
    "name", ["STORE__REDIS_URL", "STORE__POSTGRES_DSN", "PRODUCERS__B__SECRET"]
)
def test_no_secret_of_another_source_is_shown(
    name: str, source: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_account()
    variable, value = f"GATEWAY_{name}", f"http://u:{MARK}@h"
    if source == "environment":
        monkeypatch.setenv(variable, value)
    elif source == ".env":
        (folder / ".env").write_text(f"{variable}={value}\n", encoding="utf-8")
    else:
        (folder / "secrets").mkdir()
        (folder / "secrets" / variable).write_text(value, encoding="utf-8")
        monkeypatch.setenv("GATEWAY_SECRETS_DIR", "secrets")
    text = "\n".join(_shown())
    assert f"(also set by {variable})" in text
    assert MARK not in text
