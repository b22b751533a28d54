"""What the work at hand is about: the message or job whose ids stand on each line logged by it."""

from collections.abc import Mapping
from contextvars import ContextVar
from typing import Protocol


class Subject(Protocol):
    """A callback, a message or a job that is worked on."""

    def log_fields(self) -> Mapping[str, str]:
        """Return what tells it from others: trace_id, message_id, account, job_id.

        Asked for once per line, so that nothing is made where nothing is logged.
        """


SUBJECT: ContextVar[Subject | None] = ContextVar("SUBJECT", default=None)
"""What this task or thread works on; tasks that it starts have it too."""
