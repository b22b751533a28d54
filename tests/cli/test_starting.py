"""What ``serve`` and ``worker`` look at before they start: what they refuse, what they warn of."""

import logging
import sys
from pathlib import Path
from typing import Any, Final

import pytest

from gateway.app.bots import load_bot
from gateway.cli.starting import look_first
from gateway.demo import bot as demo_bot
from gateway.errors import SettingsError
from gateway.inbound.bot import Bot
from gateway.settings import load_settings
from tests.cli.running import Command, run_process
from tests.cli.test_migrate import NAMES
from tests.contracts.records import PASSWORD, migrated
from tests.services import Database, free_port, redis_server

MEMORY: Final = '[store]\nurl = "memory://"\n'
SECRET: Final = f"whsec_{'M' * 32}"
REDIS_SINK: Final = '[[sinks]]\nname = "out"\ntype = "redis_stream"\nurl = "redis://h"\n'
HTTP_SINK: Final = (
    f'[[sinks]]\nname = "out"\ntype = "http"\nurl = "http://h"\nsecret = "{SECRET}"\n'
)
PRODUCER: Final = f'[producers.billing]\nsecret = "{SECRET}"\n'

FORGETFUL: Final = (
    "redis durability: appendonly no: a crash loses all messages since the last snapshot; CONFIG "
    "SET appendonly yes, and in redis.conf"
)
VOLATILE: Final = (
    "store: memory: whatever waits is lost with the process; give store.url = "
    "sqlite:///var/gateway.db, or a store.redis_url"
)

# What memory would lose, by what is set and what the bot does.
LOSERS: Final = {
    "background": (
        "",
        "bot.on(Text, background=True)(handle)",
        "the messages of background handlers",
    ),
    "included": (
        "",
        "inner = Bot()\ninner.on(Text, background=True)(handle)\nbot.include(inner)",
        "the messages of background handlers",
    ),
    "on_event": ("", 'bot.on_event("user.*")(handle)', "the events of bot.on_event"),
    "sink": (REDIS_SINK, "bot.on(Text)(handle)", "the events of sinks"),
    "producer": (PRODUCER, "bot.on(Text)(handle)", "the events of producers"),
}


def _set(folder: Path, more: str) -> None:
    """Write more into the settings file."""
    path = folder / "gateway.toml"
    path.write_text(more + path.read_text(encoding="utf-8"), encoding="utf-8")


def _warnings(caplog: pytest.LogCaptureFixture, bot: Bot = demo_bot) -> list[str]:
    """Return what is warned of; fail where the start is refused."""
    look_first(load_settings(), bot)
    found = [record for record in caplog.records if record.name == "gateway"]
    assert all(record.levelno == logging.WARNING for record in found)
    said: list[Any] = [record.msg for record in found]
    assert all(one["event"] == "a store has to be looked after" for one in said)
    return [f"{one['store']}: {one['found']}; {one['hint']}" for one in said]


def _write_bot(folder: Path, name: str, registered: str) -> str:
    """Write a module with a bot; return what names it on the command line."""
    lines = ("from gateway import Bot, Text", "async def handle(event): ...", "bot = Bot()")
    text = "\n".join([*lines, registered, ""])
    (folder / f"{name}_starting.py").write_text(text, encoding="utf-8")
    return f"{name}_starting:bot"


def _refusal(bot: Bot = demo_bot) -> str:
    with pytest.raises(SettingsError) as refused:
        look_first(load_settings(), bot)
    return str(refused.value)


@pytest.mark.parametrize("name", ["serve", "worker"])
def test_pending_migrations_refuse_the_start(name: str, postgres: Database) -> None:
    said = f"store.postgres_dsn: this database lacks {', '.join(NAMES)}; run: gateway migrate"
    ran = run_process(name, GATEWAY_STORE__POSTGRES_DSN=postgres.dsn)
    assert (ran.code, ran.out) == (2, "")
    *warned, last = ran.err.splitlines()
    assert last == f"gateway: {said}"
    assert "Traceback" not in "".join(warned)


def test_what_migrate_made_is_enough_to_start(
    postgres: Database, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GATEWAY_STORE__POSTGRES_DSN", postgres.dsn)
    assert _refusal().endswith("; run: gateway migrate")
    caplog.clear()
    migrated(postgres.dsn)
    assert _warnings(caplog) == []


def test_a_database_of_a_newer_gateway_refuses_the_start(
    postgres: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GATEWAY_STORE__POSTGRES_DSN", migrated(postgres.dsn))
    postgres.run("INSERT INTO gateway_migrations (name, checksum) VALUES ('9999_later.sql', '')")
    assert _refusal().startswith("store.postgres_dsn: this database is newer than this gateway, ")


def test_stores_that_cannot_be_reached_are_told_and_do_not_refuse_the_start(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Messages wait in the spill meanwhile."""
    postgres = f"postgresql://u:{PASSWORD}@127.0.0.1:{free_port()}/d"
    monkeypatch.setenv("GATEWAY_STORE__POSTGRES_DSN", postgres)
    monkeypatch.setenv("GATEWAY_STORE__REDIS_URL", f"redis://:{PASSWORD}@127.0.0.1:{free_port()}")
    redis_said, postgres_said = _warnings(caplog)
    assert redis_said == (
        "redis: not reachable: ConnectionError; start it, or correct store.redis_url; until then "
        "messages wait in store.spill"
    )
    assert postgres_said.startswith("postgres: ")
    assert postgres_said.endswith(
        "; does it run where store.postgres_dsn says, and may this machine reach it?"
    )
    assert "s3cr3t" not in redis_said + postgres_said


def test_a_file_that_cannot_be_written_is_told_and_does_not_refuse_the_start(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (folder / "var").mkdir()
    (folder / "var" / "gateway.db").write_text("no database" * 99, encoding="utf-8")
    (said,) = _warnings(caplog)
    assert said.startswith("sqlite: SQLite var/gateway.db: file is not a database; ")


@pytest.mark.parametrize(
    ("appendonly", "warned"),
    [
        ("always", []),
        ("everysec", []),
        (
            "no",
            [FORGETFUL],
        ),
    ],
)
def test_a_redis_that_would_forget_is_warned_of_by_name(
    appendonly: str,
    warned: list[str],
    folder: Path,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with redis_server(folder / "redis", appendonly=appendonly) as server:
        monkeypatch.setenv("GATEWAY_STORE__REDIS_URL", server.url)
        assert _warnings(caplog) == warned


def test_the_default_store_gives_nothing_to_warn_of(caplog: pytest.LogCaptureFixture) -> None:
    assert _warnings(caplog) == []


@pytest.mark.parametrize(
    ("module", "extra", "sink"),
    [
        ("aio_pika", "rabbitmq", 'type = "rabbitmq"\nurl = "amqp://h"'),
        ("confluent_kafka", "kafka", 'type = "kafka"\nservers = "h:9092"'),
        ("nats", "nats", 'type = "nats"\nurl = "nats://h"'),
    ],
    ids=["rabbitmq", "kafka", "nats"],
)
def test_a_sink_without_its_extra_is_named_with_the_command(
    module: str,
    extra: str,
    sink: str,
    folder: Path,
    command: Command,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    _set(folder, f'[[sinks]]\nname = "out"\n{sink}\n')
    look_first(load_settings(), demo_bot)
    assert command("check").code == 0
    # None is what Python itself keeps there for a module that must not be found.
    monkeypatch.setitem(sys.modules, module, None)
    said = f'sinks.out: needs the extra "{extra}"; pip install "wechat-gateway[{extra}]"'
    assert _refusal() == said
    assert command("check") == (2, "", f"gateway: {said}\n")


@pytest.mark.parametrize("name", ["serve", "worker", "check"])
def test_every_command_refuses_a_sink_without_its_extra(name: str, folder: Path) -> None:
    _set(folder, '[[sinks]]\nname = "out"\ntype = "nats"\nurl = "nats://h"\n')
    # In the place of the module that is not there.
    (folder / "nats.py").write_text("raise ModuleNotFoundError(name='nats')", encoding="utf-8")
    said = 'gateway: sinks.out: needs the extra "nats"; pip install "wechat-gateway[nats]"\n'
    assert run_process(name) == (2, "", said)


@pytest.mark.parametrize("name", LOSERS)
def test_memory_is_refused_for_whatever_it_would_lose(
    name: str, folder: Path, command: Command
) -> None:
    settings, registered, what = LOSERS[name]
    target = _write_bot(folder, name, registered)
    _set(folder, settings)
    # The default store keeps it.
    look_first(load_settings(), load_bot(target))
    assert command("check", target).code == 0
    _set(folder, MEMORY)
    said = (
        f"store.url: memory:// would lose {what}; give sqlite:///var/gateway.db, or a "
        "store.redis_url"
    )
    assert _refusal(load_bot(target)) == said
    assert command("check", target) == (2, "", f"gateway: {said}\n")


@pytest.mark.parametrize("name", ["serve", "worker"])
def test_every_command_refuses_what_memory_would_lose(name: str, folder: Path) -> None:
    target = _write_bot(folder, "background", LOSERS["background"][1])
    _set(folder, MEMORY)
    ran = run_process(name, target)
    assert (ran.code, ran.out) == (2, "")
    assert ran.err.startswith("gateway: store.url: memory:// would lose the messages of ")
    assert ran.err.count("\n") == 1


@pytest.mark.parametrize("sinks", ["", f"{HTTP_SINK}synchronous = true\n"], ids=["none", "asked"])
def test_memory_is_warned_of_where_it_loses_nothing(
    sinks: str, folder: Path, command: Command, caplog: pytest.LogCaptureFixture
) -> None:
    """A synchronous sink gets no events: it is asked while WeChat waits."""
    _set(folder, sinks + MEMORY)
    assert command("check").code == 0
    assert _warnings(caplog) == [VOLATILE]


def test_memory_loses_nothing_that_redis_and_postgres_keep(
    folder: Path, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GATEWAY_STORE__POSTGRES_DSN", f"postgresql://u@127.0.0.1:{free_port()}/d")
    _set(folder, MEMORY + REDIS_SINK + PRODUCER)
    assert _refusal().startswith("store.url: memory:// would lose the events of sinks; ")
    monkeypatch.setenv("GATEWAY_STORE__REDIS_URL", f"redis://127.0.0.1:{free_port()}")
    look_first(load_settings(), demo_bot)
    assert command("check").code == 0
