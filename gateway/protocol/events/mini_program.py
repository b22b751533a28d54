"""Mini programs: audits, media checks, and the test tool's event. PROTOCOL 6.6."""

from msgspec import field

from gateway.protocol.events.base import Event
from gateway.protocol.messages import Part


class WeappAuditSuccess(Event, frozen=True, kw_only=True):
    """A version passed its audit, at ``succ_time`` (Unix seconds). See PROTOCOL 6.6."""

    succ_time: int = 0


class WeappAuditFail(Event, frozen=True, kw_only=True):
    """A version was refused, at ``fail_time`` (Unix seconds).

    ``screen_shot`` holds media ids with ``|`` between them. See PROTOCOL 6.6.
    """

    reason: str = ""
    fail_time: int = 0
    screen_shot: str = ""


class WeappAuditDelay(Event, frozen=True, kw_only=True):
    """A version's audit takes longer, since ``delay_time`` (Unix seconds). See PROTOCOL 6.6."""

    reason: str = ""
    delay_time: int = 0


class MediaCheckDetail(Part, frozen=True, kw_only=True, rename="lower"):
    """What one check found; ``prob`` is its confidence, 0 to 100."""

    strategy: str = ""
    errcode: int = 0
    suggest: str = ""
    label: int = 0
    prob: float = 0.0


class MediaCheckResult(Part, frozen=True, kw_only=True, rename="lower"):
    """What the checks come to: ``suggest`` is pass, review or risky."""

    suggest: str = ""
    label: int = 0


class WxaMediaCheck(Event, frozen=True, kw_only=True, rename="lower"):
    """The check of a picture or a recording is over.

    Version 2 of the interface fills ``version`` to ``result``, version 1 ``isrisky`` (0 or 1),
    ``extra_info_json`` and ``status_code``. See PROTOCOL 6.6.
    """

    appid: str = ""
    trace_id: str = ""
    version: int | None = None
    errcode: int | None = None
    errmsg: str | None = None
    detail: list[MediaCheckDetail] = field(default_factory=list)
    result: MediaCheckResult | None = None
    isrisky: int | None = None
    extra_info_json: str | None = None
    status_code: int | None = None


class DebugDemo(Event, frozen=True, kw_only=True, rename="lower"):
    """What WeChat's own test tool sends. See PROTOCOL 6.6."""

    debug_str: str = ""
