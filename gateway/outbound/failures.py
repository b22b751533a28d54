"""WeChat's refusals as errors: a class for each thing that can be done about one."""

import re
from typing import Final

from gateway.errors import (
    AccountRejected,
    Busy,
    Rejected,
    RequestRejected,
    Throttled,
    TokenRejected,
    UnknownErrcode,
    UserRejected,
)
from gateway.protocol.errcodes import ErrorClass, errcode

_CLASSES: Final[dict[ErrorClass, type[Rejected]]] = {
    ErrorClass.REFRESH_TOKEN: TokenRejected,
    ErrorClass.BACKOFF: Busy,
    ErrorClass.RATE_LIMITED: Throttled,
    ErrorClass.USER: UserRejected,
    ErrorClass.CONFIG: AccountRejected,
    ErrorClass.REQUEST: RequestRejected,
}

_RID: Final = re.compile(r"\brid: ?([0-9a-f-]{20,40})")

_SHOWN: Final = 200
"""Characters of what WeChat said: it names the wrong field, and may go on."""


def rejection(path: str, code: int, said: str) -> Rejected:
    """Return the error for an errcode that is none of success."""
    known = errcode(code)
    rid = _RID.search(said)
    kind = UnknownErrcode if known is None else _CLASSES[known.error_class]
    return kind(
        path,
        code,
        _RID.sub("", said).strip()[:_SHOWN],
        "" if known is None else known.meaning,
        "" if rid is None else rid[1],
    )
