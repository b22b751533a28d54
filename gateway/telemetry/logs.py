"""Log lines: an event, which is a constant sentence, and fields.

The standard library carries them, so that a bot's own lines and those of libraries come out in the
same form, with the ids of what they are about, and masked.
"""

import logging
import sys
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final, Literal

from opentelemetry.trace import format_span_id, format_trace_id, get_current_span
from structlog.processors import format_exc_info
from structlog.stdlib import BoundLogger, ExtraAdder, ProcessorFormatter
from structlog.typing import EventDict, WrappedLogger

from gateway.telemetry.rendering import (
    EVENT,
    LEVEL,
    LOGGER,
    TIMESTAMP,
    Said,
    console_line,
    json_line,
    timestamp,
)
from gateway.telemetry.subject import SUBJECT

LogFormat = Literal["auto", "json", "console"]

_RENDERERS: Final[dict[str, Callable[[EventDict], str]]] = {
    "json": json_line,
    "console": console_line,
}

_LEVELS: Final = {
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "warning": logging.WARNING,
    "critical": logging.CRITICAL,
}
"""The levels by the methods' names; those of the other methods are ERROR."""

_STACK_LEVEL: Final = 5
"""How far up from the standard library's logger the call is: structlog has its frames between."""


def get_logger(name: str) -> BoundLogger:
    """Return the logger of this name: ``logger.warning("callback refused", reason=reason)``.

    Fields that are None are left out.
    """
    # Not structlog.get_logger(), which goes by a global that is not ours, and prints without it.
    return _Logger(logging.getLogger(name), [_hand_over], {})


def configure_logging(level: str, form: LogFormat, mask: Callable[[str], str]) -> None:
    """Send log lines of ``level`` and above to standard error, masked.

    auto: as for the console where standard error is a terminal, else as JSON.
    """
    handler = logging.StreamHandler()
    handler.setFormatter(LineFormatter(form, mask))
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)


class _Logger(BoundLogger):
    """structlog's, which costs next to nothing where its level is off."""

    def _proxy_to_logger(
        self, method_name: str, event: str | None = None, *event_args: str, **event_kw: Any
    ) -> Any:
        if self._logger.isEnabledFor(_LEVELS.get(method_name, logging.ERROR)):
            super()._proxy_to_logger(method_name, event, *event_args, **event_kw)


class LineFormatter(ProcessorFormatter):
    """Makes the lines of all loggers."""

    def __init__(self, form: LogFormat, mask: Callable[[str], str]) -> None:
        """``mask`` returns a line without what must not be shown."""
        if form == "auto":
            form = "console" if sys.stderr.isatty() else "json"
        self._mask = mask
        self._render = _RENDERERS[form]
        super().__init__(
            processors=[format_exc_info, _begin, _add_ids, self._rendered],
            foreign_pre_chain=[ExtraAdder(), _forget_others_work],
        )

    def format(self, record: logging.LogRecord) -> str:
        """Return a record's line; of one that cannot be rendered, where it was logged."""
        try:
            line = super().format(record)
        except Exception as error:
            # A wrong call in a bot, or in a library. The standard library would show its arguments.
            at = f"{record.pathname}:{record.lineno}"
            wrong = {EVENT: "a line cannot be logged", "error": type(error).__name__, "at": at}
            line = self._render({**_headed(record), **wrong})
        return self._mask(line)

    def _rendered(self, _logger: WrappedLogger, _method: str, line: EventDict) -> str:
        return self._render(line)


def granian_log_config() -> dict[str, Any]:
    """Return what leaves the lines of Granian, in each of its processes, to the root's handler."""
    ours = {"handlers": [], "propagate": True}
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {},
        "handlers": {},
        "loggers": {"_granian": {**ours}, "granian.access": {**ours}},
    }


def _hand_over(
    _logger: WrappedLogger, method: str, given: EventDict
) -> tuple[tuple[Said], dict[str, Any]]:
    """Make the standard library's record, so that whatever reads those can tell what happened."""
    exc_info = given.get("exc_info")
    if exc_info is True:
        exc_info = given["exc_info"] = sys.exc_info()
    extra = {"_logger": _logger, "_name": method}
    return (Said(given),), {"extra": extra, "exc_info": exc_info, "stacklevel": _STACK_LEVEL}


def _headed(record: logging.LogRecord) -> EventDict:
    return {
        TIMESTAMP: timestamp(record.created),
        LEVEL: record.levelname.lower(),
        LOGGER: record.name,
    }


def _forget_others_work(_logger: WrappedLogger, _method: str, given: EventDict) -> EventDict:
    """Remove what another handler's formatter left in the record."""
    for name in ("message", "asctime"):
        given.pop(name, None)
    return given


def _begin(_logger: WrappedLogger, _method: str, given: EventDict) -> EventDict:
    """Put first what every line has; a field of the same name gets another one."""
    record: logging.LogRecord = given.pop("_record")
    del given["_from_structlog"]
    line: EventDict = {**_headed(record), EVENT: given.pop(EVENT)}
    for name, value in given.items():
        line[f"{name}_" if name in line else name] = value
    return line


def _add_ids(_logger: WrappedLogger, _method: str, line: EventDict) -> EventDict:
    """Add the ids of what the line is about; what the line says itself stays."""
    for name, value in _ids(line):
        if line.get(name) is None:
            line[name] = value
    return line


def _ids(line: EventDict) -> Iterator[tuple[str, str]]:
    subject = SUBJECT.get()
    fields: Mapping[str, str] = {} if subject is None else subject.log_fields()
    yield from fields.items()
    if "trace_id" in fields or "trace_id" in line:
        return
    context = get_current_span().get_span_context()
    if context.is_valid:
        yield "trace_id", format_trace_id(context.trace_id)
        yield "span_id", format_span_id(context.span_id)
