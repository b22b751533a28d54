"""How a send or a publication ended: PROTOCOL 6.2."""

from typing import Annotated

from msgspec import field

from gateway.protocol.events.base import ITEMS, Event
from gateway.protocol.messages import Part


class TemplateSendJobFinish(Event, frozen=True, kw_only=True):
    """A template message was delivered, or not.

    ``status`` is ``success``, ``failed:user block`` or ``failed: system failed``: compare the
    beginning. See PROTOCOL 6.2.
    """

    msg_id: int = field(default=0, name="MsgID")
    status: str = ""


class CopyrightResult(Part, frozen=True, kw_only=True):
    """The original check of one article; the last three are 0 or 1.

    ``user_declare_state``: 0 none, 1 original, 2 reprint. ``audit_state``: 0 not checked,
    1 checking, 11 passed, any other failed. See PROTOCOL 6.2.
    """

    article_idx: int = 0
    user_declare_state: int = 0
    audit_state: int = 0
    original_article_url: str = ""
    original_article_type: int = 0
    can_reprint: int = 0
    need_replace_content: int = 0
    need_show_reprint_source: int = 0


class CopyrightCheckResult(Part, frozen=True, kw_only=True):
    """The original check of a mass send.

    ``check_state``: 1 not a reprint, 2 a reprint that may be sent, 3 one that may not.
    """

    count: int = 0
    result_list: Annotated[list[CopyrightResult], ITEMS] = field(default_factory=list)
    check_state: int = 0


class ArticleUrl(Part, frozen=True, kw_only=True):
    """Where one article of a mass send is read; ``article_idx`` counts from 1."""

    article_idx: int = 0
    article_url: str = ""


class ArticleUrlResult(Part, frozen=True, kw_only=True):
    """Where the articles of a mass send are read."""

    count: int = 0
    result_list: Annotated[list[ArticleUrl], ITEMS] = field(default_factory=list)


class MassSendJobFinish(Event, frozen=True, kw_only=True):
    """A mass send is over.

    ``status`` is ``send success``, ``send fail`` (in old accounts without the blank) or
    ``err(n)``. The counts are of followers. See PROTOCOL 6.2.
    """

    msg_id: int = field(default=0, name="MsgID")
    status: str = ""
    total_count: int = 0
    filter_count: int = 0
    sent_count: int = 0
    error_count: int = 0
    copyright_check_result: CopyrightCheckResult = field(default_factory=CopyrightCheckResult)
    article_url_result: ArticleUrlResult = field(default_factory=ArticleUrlResult)


class PublishedArticle(Part, frozen=True, kw_only=True, rename="lower"):
    """Where one published article is read; ``idx`` counts from 1."""

    idx: int = 0
    article_url: str = ""


class ArticleDetail(Part, frozen=True, kw_only=True, rename="lower"):
    """The articles of a publication."""

    count: int = 0
    item: list[PublishedArticle] = field(default_factory=list)


class PublishEventInfo(Part, frozen=True, kw_only=True, rename="lower"):
    """How a publication ended.

    ``publish_status``: 0 published, 1 running, 2 original check failed, 3 failed, 4 refused,
    5 deleted by the user afterwards, 6 banned afterwards. ``fail_idx`` are the numbers of the
    articles at fault, from 1. See PROTOCOL 6.2.
    """

    publish_id: int = 0
    publish_status: int = 0
    article_id: str | None = None
    article_detail: ArticleDetail | None = None
    fail_idx: list[int] = field(default_factory=list)


class PublishJobFinish(Event, frozen=True, kw_only=True):
    """A publication is over. See PROTOCOL 6.2."""

    publish_event_info: PublishEventInfo = field(default_factory=PublishEventInfo)
