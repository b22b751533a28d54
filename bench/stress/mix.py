"""What WeChat's users do, and how often: the one place where the mix is set."""

from collections.abc import Mapping
from typing import Final, NamedTuple


class Kind(NamedTuple):
    """One kind of callback."""

    share: int
    """Of all messages that are not part of a burst, in percent."""
    message: str = ""
    """Its MsgType, or nothing where it is an event."""
    event: str = ""
    key: str | None = None
    """The event's EventKey; of a subscribe by QR code, the scene."""


TEXT: Final = "text"

KINDS: Final[Mapping[str, Kind]] = {
    TEXT: Kind(45, message="text"),
    "image": Kind(3, message="image"),
    "voice": Kind(2, message="voice"),
    "CLICK": Kind(14, event="CLICK", key="V1001"),
    "VIEW": Kind(10, event="VIEW", key="https://example.com"),
    "LOCATION": Kind(8, event="LOCATION"),
    "template receipt": Kind(8, event="TEMPLATESENDJOBFINISH"),
    "subscribe": Kind(3, event="subscribe"),
    "subscribe by QR code": Kind(2, event="subscribe", key="1001"),
    "SCAN": Kind(3, event="SCAN", key="1001"),
    "unsubscribe": Kind(2, event="unsubscribe"),
}
"""An account with a menu that people write to: half messages, half events. WeChat publishes no such
figures; these are an estimate, to be changed to those of your own account."""

BROADCAST_OVER: Final = "broadcast over"
"""The event MASSSENDJOBFINISH, with which each burst begins."""

BURST: Final = 20
"""Texts of as many followers, all at once, after a broadcast."""

BURSTS: Final = 0.002
"""Share of a user's turns that are a broadcast with its burst: about 4 % of all callbacks."""

REDELIVERED: Final = 0.05
"""Share of the messages that are sent again although they were answered, as happens where the
answer is lost on its way back."""

PHRASES: Final = (
    "你好",
    "请问今天几点关门呢",
    "我的订单到哪儿了",
    "想预约周六下午的课程",
    "谢谢啦😀",
    "👍🏻收到",
    "🚀🎉",
    "退款什么时候到账",
    "hello there",
    "order no. 8841-22",
    "price < 100 & in stock?",
    "引号 \"'，和 ]]> 也要原样",
    "天气不错☀️",
    "第一行\n第二行",
)
"""What a text is made of; each gets a number behind it."""
