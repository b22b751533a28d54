"""The trace that a caller says its request is part of."""

import re
from typing import Final

# https://www.w3.org/TR/trace-context/#traceparent-header; a trace id of zeros is invalid.
_TRACEPARENT: Final = re.compile(
    r"[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}(-.*)?"
)


def trace_of(traceparent: str | None) -> str | None:
    """Return the trace id, 32 hex digits, in a ``traceparent`` header; None where there is none."""
    match = _TRACEPARENT.fullmatch(traceparent or "")
    return None if match is None else match[1]
