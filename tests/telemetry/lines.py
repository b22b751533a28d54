"""Log lines as they are written, for the tests."""

import io
import json
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from gateway.telemetry.logs import LineFormatter, LogFormat
from gateway.telemetry.masking import Mask


class Lines:
    """What a logging handler wrote so far."""

    def __init__(self, stream: io.StringIO) -> None:
        self._stream = stream

    @property
    def text(self) -> str:
        """All of it."""
        return self._stream.getvalue()

    @property
    def objects(self) -> list[dict[str, Any]]:
        """Its lines, as JSON."""
        return [json.loads(line) for line in self.text.split("\n")[:-1]]

    @property
    def only(self) -> dict[str, Any]:
        """Its one line, as JSON."""
        (one,) = self.objects
        return one


@contextmanager
def written(form: LogFormat = "json", mask: Callable[[str], str] | None = None) -> Iterator[Lines]:
    """Have all that is logged meanwhile written in this form."""
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(LineFormatter(form, mask or Mask()))
    root = logging.getLogger()
    level = root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    try:
        yield Lines(stream)
    finally:
        root.removeHandler(handler)
        root.setLevel(level)
