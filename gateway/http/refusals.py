"""Refused callbacks, counted by account and reason, and logged without a word of what was sent."""

from collections import Counter
from collections.abc import Callable
from typing import Final

from gateway.errors import Reason
from gateway.telemetry.logs import get_logger

_log = get_logger("gateway.callback")

Later = Callable[..., object]
"""Calls a function with arguments after a delay in seconds: an event loop's ``call_later``."""

LOG_INTERVAL: Final = 1.0
"""Seconds between two lines on the same account and reason: a flood makes no flood of lines."""

HINTS: Final = {
    Reason.TIMESTAMP: "check this machine's clock",
    Reason.SIGNATURE: "does the token differ from the console's?",
    Reason.MODE: "does the mode differ from the console's?",
    Reason.PADDING: "does encoding_aes_key differ from the console's?",
    Reason.APP_ID: "does app_id differ from the console's?",
    Reason.ACCOUNT: "the path is /wechat/NAME, NAME as in the settings' [accounts.NAME]",
    Reason.SIZE: "longer than server.max_body",
    Reason.TO_USER_NAME: "does original_id differ from the account's?",
}


class Refusals:
    """Counts refusals; logs the first of a kind at once and the others in sums."""

    def __init__(self, later: Callable[[], Later]) -> None:
        self.total: Counter[tuple[str, Reason]] = Counter()
        """How many there were, by account name and reason."""
        self._later = later
        self._waiting: Counter[tuple[str, Reason]] = Counter()

    def count(self, account: str, reason: Reason) -> None:
        """Count one refusal."""
        kind = (account, reason)
        self.total[kind] += 1
        if kind in self._waiting:
            self._waiting[kind] += 1
        else:
            self._report(kind, 1)

    def _report(self, kind: tuple[str, Reason], count: int) -> None:
        account, reason = kind
        _log.warning(
            "callback refused",
            account=account,
            reason=reason.value,
            count=count,
            total=self.total[kind],
            hint=HINTS.get(reason),
        )
        self._waiting[kind] = 0
        self._later()(LOG_INTERVAL, self._flush, kind)

    def _flush(self, kind: tuple[str, Reason]) -> None:
        if count := self._waiting.pop(kind):
            self._report(kind, count)
