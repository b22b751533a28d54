"""Every command explains itself, with examples that can be copied."""

from collections.abc import Iterator

import click
import pytest

from gateway import __version__
from gateway.cli import gateway
from gateway.kernels import IMPLEMENTATION
from gateway.settings import SECTIONS
from gateway.settings.sinks import SINKS
from gateway.simulator.documents import EVENTS
from tests.cli.running import Command, run_process


def _commands(command: click.Command, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    yield path
    if isinstance(command, click.Group):
        for name, inner in command.commands.items():
            yield from _commands(inner, (*path, name))


COMMANDS = list(_commands(gateway))


def test_the_commands_are_those_that_were_promised() -> None:
    own = "serve worker inbox push users migrate token templates simulate check doctor settings"
    simulated = "text image voice video shortvideo location link event verify platform"
    people = "sync show find merges count grant revoke tag sessions sign-out export erase"
    pushing = "template text batch show list status outcomes cancel retry resume dead-letters"
    assert set(COMMANDS) == {
        (),
        *((name,) for name in (*own.split(), "demo", "version")),
        *(("simulate", name) for name in simulated.split()),
        *(("inbox", name) for name in ("status", "dead-letters", "retry", "discard")),
        *(("push", name) for name in pushing.split()),
        *(("push", "dead-letters", name) for name in ("list", "show", "retry", "discard")),
        *(("users", name) for name in people.split()),
        *(("token", name) for name in ("status", "refresh")),
        *(("tail",), ("trace",), ("api-key",), ("api-key", "new")),
        *(("templates", name) for name in ("check", "preview", "show")),
    }


@pytest.mark.parametrize("option", ["--help", "-h"])
@pytest.mark.parametrize("path", COMMANDS, ids=" ".join)
def test_help_shows_examples(path: tuple[str, ...], option: str, command: Command) -> None:
    ran = command(*path, option)
    assert (ran.code, ran.err) == (0, "")
    assert "Usage: " in ran.out
    example = " ".join(("gateway", *path))
    assert any(line.strip().startswith(example) for line in ran.out.splitlines())


@pytest.mark.parametrize(
    "path",
    [p for p in COMMANDS if len(p) == 2 and p[0] == "simulate" and p[1] != "platform"],
    ids=" ".join,
)
def test_each_simulated_callback_takes_what_all_take(
    path: tuple[str, ...], command: Command
) -> None:
    shown = command(*path, "--help").out
    for option in ("--config", "--account", "--url", "--mode", "--from", "--msg-id", "--repeat"):
        assert option in shown
    assert "[plain|compat|safe]" in shown
    assert "[signature|timestamp|padding|appid|xml]" in shown


def test_the_help_of_event_names_the_events_with_fields_of_their_own(command: Command) -> None:
    shown = command("simulate", "event", "--help").out
    for name in EVENTS:
        assert name in shown


def test_without_a_command_the_help_is_shown(command: Command) -> None:
    for path in ((), ("simulate",)):
        ran = command(*path)
        assert ran.code == 2
        assert "simulate text" in ran.out + ran.err


@pytest.mark.parametrize(
    "arguments",
    [
        *(("nonsense",), ("simulate", "nonsense"), ("serve", "--nonsense"), ("check", "a:b", "c")),
        *(("serve", "--port", "0"), ("serve", "--workers", "x"), ("demo", "--port", "65536")),
        *(("simulate", "text"), ("simulate", "event"), ("simulate", "location", "north")),
        *(("simulate", "text", "a", "--mode", "open"), ("simulate", "text", "a", "--bad", "luck")),
        *(("simulate", "text", "a", "--repeat", "0"), ("simulate", "text", "a", "--msg-id", "x")),
    ],
    ids=" ".join,
)
def test_wrong_usage_exits_with_2(arguments: tuple[str, ...], command: Command) -> None:
    ran = command(*arguments)
    assert ran.code == 2
    assert ran.out == ""
    assert "Usage: " in ran.err


def test_settings_lists_every_setting(command: Command) -> None:
    ran = command("settings")
    assert (ran.code, ran.err) == (0, "")
    for section in (*SECTIONS.values(), *SINKS):
        for name, field in section.model_fields.items():
            if name == "type":
                continue
            assert f"| `{name}` | " in ran.out
            assert " ".join((field.description or "no meaning given").split()) in ran.out


def test_version_tells_the_version_and_the_kernels(command: Command) -> None:
    assert command("version") == (
        0,
        f"wechat-gateway {__version__} ({IMPLEMENTATION} kernels)\n",
        "",
    )


def test_the_package_runs_as_a_module() -> None:
    ran = run_process("version", GATEWAY_NO_EXTENSIONS="1")
    assert ran == (0, f"wechat-gateway {__version__} (pure kernels)\n", "")
