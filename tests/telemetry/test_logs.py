"""Every logger's lines have one form, and the ids of what they are about."""

import asyncio
import json
import logging
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags, use_span

from gateway.telemetry.logs import (
    LineFormatter,
    LogFormat,
    configure_logging,
    get_logger,
    granian_log_config,
)
from gateway.telemetry.masking import Mask
from gateway.telemetry.subject import SUBJECT
from tests.telemetry.lines import written

log = get_logger("gateway.test")
foreign = logging.getLogger("shop")

TRACE = "0af7651916cd43dd8448eb211c80319c"
SPAN = NonRecordingSpan(SpanContext(0xABC, 0xDEF, is_remote=False, trace_flags=TraceFlags(1)))


class Callback:
    """A subject with an id."""

    def __init__(self, number: int = 1, trace: str | None = TRACE) -> None:
        self._fields = {"message_id": str(number), "account": "main"}
        if trace is not None:
            self._fields["trace_id"] = trace

    def log_fields(self) -> Mapping[str, str]:
        """Return them."""
        return self._fields


@contextmanager
def about(subject: Callback) -> Iterator[None]:
    before = SUBJECT.set(subject)
    try:
        yield
    finally:
        SUBJECT.reset(before)


class TestJson:
    """Lines for programs."""

    def test_a_line_is_one_object_that_begins_with_what_every_line_has(self) -> None:
        with written() as lines:
            log.warning("callback refused", account="main", count=2, accounts=("a", "b"))
        line = lines.only
        assert list(line) == [
            *("timestamp", "level", "logger", "event", "account", "count", "accounts")
        ]
        assert line["level"] == "warning"
        assert line["logger"] == "gateway.test"
        assert line["event"] == "callback refused"
        assert (line["account"], line["count"], line["accounts"]) == ("main", 2, ["a", "b"])

    def test_its_time_is_utc(self) -> None:
        before = datetime.now(UTC)
        with written() as lines:
            log.info("now")
        stamp = lines.only["timestamp"]
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", stamp)
        # The record's time is cut to its fraction.
        assert before.replace(microsecond=0) <= datetime.fromisoformat(stamp) <= datetime.now(UTC)

    @pytest.mark.parametrize("level", ["debug", "info", "warning", "error", "critical"])
    def test_levels_have_the_standard_librarys_names(self, level: str) -> None:
        with written() as lines:
            getattr(log, level)("said")
            getattr(foreign, level)("said")
        assert [line["level"] for line in lines.objects] == [level, level]

    def test_a_field_that_is_none_is_left_out(self) -> None:
        with written() as lines:
            log.info("said", hint=None, count=0)
        assert "hint" not in lines.only
        assert lines.only["count"] == 0

    def test_a_field_called_like_a_part_of_the_line_gets_another_name(self) -> None:
        with written() as lines:
            log.info("said", level="deep", timestamp=1, logger="x")
        line = lines.only
        assert (line["level"], line["level_"]) == ("info", "deep")
        assert (line["timestamp_"], line["logger_"], line["logger"]) == (1, "x", "gateway.test")

    def test_what_json_has_no_form_for_is_text(self) -> None:
        with written() as lines:
            log.info("said", path=Path("var"), error=ValueError("odd"), names={1})
        assert (lines.only["path"], lines.only["error"], lines.only["names"]) == (
            *("var", "odd", "{1}"),
        )

    @given(st.text(), st.dictionaries(st.text(), st.text() | st.integers() | st.floats()))
    def test_whatever_is_said_a_line_is_one_line(self, said: str, more: dict[str, object]) -> None:
        with written() as lines:
            log.info(said, field=said, more=more)
            foreign.info("%s", said)
        assert [line["logger"] for line in lines.objects] == ["gateway.test", "shop"]


class TestConsole:
    """Lines for people."""

    def test_a_line_is_time_level_logger_event_and_fields(self) -> None:
        with written("console") as lines:
            log.warning("callback refused", account="main", hint="does it differ?", count=1)
        assert re.fullmatch(
            r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3} WARNING gateway\.test: callback refused "
            r'account=main hint="does it differ\?" count=1\n',
            lines.text,
        )

    @pytest.mark.parametrize(
        ("value", "shown"),
        [
            ("main", "main"),
            ("", '""'),
            ("a b", '"a b"'),
            ("a=b", '"a=b"'),
            ('a"b', r'"a\"b"'),
            ("a\nb", r'"a\nb"'),
            ("\x1b[31m", r'"\u001b[31m"'),
            ("你好", "你好"),
            (["a", "b"], "a,b"),
            (1.5, "1.5"),
            (True, "True"),
        ],
    )
    def test_a_value_cannot_be_taken_for_another_field(self, value: object, shown: str) -> None:
        with written("console") as lines:
            log.info("said", value=value, after=1)
        assert lines.text.endswith(f": said value={shown} after=1\n")

    @given(st.text())
    def test_nothing_that_is_said_begins_a_line_or_reaches_the_terminal(self, said: str) -> None:
        with written("console") as lines:
            log.info("said", value=said)
            foreign.info("heard %s", said)
        first, *more = lines.text.split("\n")[:-1]
        assert first.partition(" gateway.test: said value=")[2]
        assert " shop: heard" in more[0]
        assert all(line.startswith("    ") for line in more[1:])
        assert all(c.isprintable() or c in "\n\t" for c in lines.text)


@pytest.mark.parametrize("form", ["json", "console"])
def test_a_traceback_is_part_of_its_line(form: LogFormat) -> None:
    with written(form) as lines:
        for logger in (log, foreign):
            try:
                int("odd")
            except ValueError:
                logger.exception("broke")
    if form == "json":
        ours, theirs = lines.objects
        assert ours["exception"].endswith(
            "ValueError: invalid literal for int() with base 10: 'odd'"
        )
        assert theirs["exception"] == ours["exception"]
        assert ours["level"] == theirs["level"] == "error"
    else:
        assert lines.text.count("\n    Traceback (most recent call last):\n") == 2
        assert lines.text.count("    ValueError: invalid literal") == 2


def test_a_bots_own_lines_keep_their_arguments_and_extras() -> None:
    with written() as lines:
        foreign.info("order %d of %s", 5, "main", extra={"order": 5, "level": "high"})
    line = lines.only
    assert (line["event"], line["order"], line["level_"]) == ("order 5 of main", 5, "high")


def test_a_record_that_another_handler_has_written_has_no_more_fields(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with written() as lines:
        foreign.warning("said")
    assert caplog.messages == ["said"]
    assert list(lines.only) == ["timestamp", "level", "logger", "event"]


def test_a_line_that_cannot_be_rendered_says_where_it_was_logged() -> None:
    """The standard library would show what it was given."""

    class Odd:
        def __str__(self) -> str:
            raise ValueError("SECRET")

    formatter = LineFormatter("json", Mask())
    for count, error in (("SECRET", "TypeError"), (Odd(), "ValueError")):
        record = logging.LogRecord("shop", logging.INFO, "shop.py", 7, "%d of %s", (1, count), None)
        if error == "TypeError":
            record.args = (count, 1)
        line = json.loads(formatter.format(record))
        assert (line["event"], line["error"]) == ("a line cannot be logged", error)
        assert (line["logger"], line["level"], line["at"]) == ("shop", "info", "shop.py:7")
        assert "SECRET" not in str(line)


def test_what_is_logged_with_the_level_off_is_not_looked_at() -> None:
    with written() as lines:
        logging.getLogger().setLevel(logging.WARNING)
        log.info("said")
        log.debug("said")
        log.warning("said")
    assert [line["level"] for line in lines.objects] == ["warning"]


def test_other_handlers_and_programs_read_words(caplog: pytest.LogCaptureFixture) -> None:
    log.warning("callback refused", account="main", hint="does it differ?", none=None)
    assert caplog.messages == ['callback refused account=main hint="does it differ?"']


def test_a_record_knows_where_it_was_logged(caplog: pytest.LogCaptureFixture) -> None:
    log.warning("said")
    log.error("said", exc_info=ValueError("odd"))
    assert {record.pathname for record in caplog.records} == {__file__}
    assert {record.funcName for record in caplog.records} == {
        "test_a_record_knows_where_it_was_logged"
    }


def test_a_program_without_logging_set_up_says_warnings_in_words_and_prints_nothing_else() -> None:
    program = (
        "from gateway.telemetry.logs import get_logger as g; "
        "g('gateway').warning('odd', account='main'); g('gateway').info('fine')"
    )
    ran = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, encoding="utf-8", check=True
    )
    assert (ran.stdout, ran.stderr) == ("", "odd account=main\n")


class TestIds:
    """The ids of what a line is about."""

    def test_every_line_has_those_of_what_it_is_about(self) -> None:
        with written() as lines, about(Callback()):
            log.info("ours", count=1)
            foreign.info("theirs")
        for line in lines.objects:
            assert (line["message_id"], line["account"], line["trace_id"]) == ("1", "main", TRACE)
        assert list(lines.objects[0])[4:] == ["count", "message_id", "account", "trace_id"]

    def test_in_the_console_too(self) -> None:
        with written("console") as lines, about(Callback()):
            log.info("ours")
        assert lines.text.endswith(f": ours message_id=1 account=main trace_id={TRACE}\n")

    def test_there_are_none_outside(self) -> None:
        with written() as lines:
            with about(Callback()):
                pass
            log.info("ours")
        assert list(lines.only) == ["timestamp", "level", "logger", "event"]

    def test_what_the_line_says_itself_stays(self) -> None:
        with written() as lines, about(Callback()):
            log.info("ours", account="other", message_id=None)
        assert (lines.only["account"], lines.only["message_id"]) == ("other", "1")

    def test_tasks_do_not_mix_them_up(self) -> None:
        async def work(number: int) -> None:
            SUBJECT.set(Callback(number))
            for _ in range(3):
                await asyncio.sleep(0)
                log.info("at work", number=str(number))
                await asyncio.to_thread(foreign.info, "in a thread", extra={"number": str(number)})

        async def all_of_them() -> None:
            await asyncio.gather(*(work(number) for number in range(20)))

        with written() as lines:
            asyncio.run(all_of_them())
        ours = [line for line in lines.objects if line["logger"] in ("gateway.test", "shop")]
        assert len(ours) == 120
        assert all(line["message_id"] == line["number"] for line in ours)

    def test_a_span_gives_them_where_nothing_else_does(self) -> None:
        with written() as lines, use_span(SPAN):
            log.info("ours")
            with about(Callback(trace=None)):
                log.info("ours")
        for line in lines.objects:
            assert (line["trace_id"], line["span_id"]) == (f"{0xABC:032x}", f"{0xDEF:016x}")

    def test_a_span_gives_none_where_the_subject_or_the_line_does(self) -> None:
        with written() as lines, use_span(SPAN):
            log.info("ours", trace_id=TRACE)
            with about(Callback()):
                log.info("ours")
        for line in lines.objects:
            assert line["trace_id"] == TRACE
            assert "span_id" not in line


class TestConfiguring:
    """What the process writes."""

    def test_lines_go_to_standard_error_from_a_level_on(
        self, capfd: pytest.CaptureFixture[str]
    ) -> None:
        configure_logging("warning", "json", Mask(["Secret-12"]))
        log.info("no")
        foreign.warning("yes, Secret-12")
        out, err = capfd.readouterr()
        assert out == ""
        assert json.loads(err)["event"] == "yes, ***"

    @pytest.mark.parametrize("is_terminal", [True, False])
    def test_auto_goes_by_the_terminal(
        self, is_terminal: bool, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(sys.stderr, "isatty", lambda: is_terminal)
        configure_logging("info", "auto", Mask())
        log.info("said")
        err = capfd.readouterr().err
        assert err.startswith("{") is not is_terminal
        assert (" INFO    gateway.test: said\n" in err) is is_terminal

    def test_granians_lines_are_as_the_others(self) -> None:
        """As its server and its workers set it up, before and behind us."""
        program = (
            "import logging; from granian.log import LogLevels, configure_logging as granian; "
            "from gateway.telemetry.logs import configure_logging, granian_log_config; "
            "granian(LogLevels.info, granian_log_config()); "
            "configure_logging('info', 'json', str); "
            "granian(LogLevels.info, granian_log_config()); "
            "logging.getLogger('_granian').info('Listening'); "
            "logging.getLogger('_granian.workers').warning('slow')"
        )
        ran = subprocess.run(
            [sys.executable, "-c", program], capture_output=True, encoding="utf-8", check=True
        )
        assert ran.stdout == ""
        lines = [json.loads(line) for line in ran.stderr.splitlines()]
        assert [(line["logger"], line["event"]) for line in lines] == [
            ("_granian", "Listening"),
            ("_granian.workers", "slow"),
        ]

    def test_what_granian_is_given_is_new_each_time(self) -> None:
        """It writes into it."""
        granian_log_config()["loggers"]["_granian"]["level"] = "CRITICAL"
        assert "level" not in granian_log_config()["loggers"]["_granian"]
