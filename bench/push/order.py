"""What a sender is told to send, and the messages: each to a user of its own."""

from typing import Any, Final

import msgspec

APP_ID: Final = "wx1234567890abcdef"
SECRET: Final = "s3cr3t-of-the-app"
TEMPLATE_ID: Final = "T1"
TEMPLATE_TEXT: Final = "{{thing1.DATA}}\n金额: {{amount2.DATA}}\n时间: {{time3.DATA}}"
PATH: Final = "/cgi-bin/message/template/send"

_ENCODE: Final = msgspec.json.Encoder().encode


class Order(msgspec.Struct, frozen=True):
    """What a sender is told."""

    url: str
    """Of the platform."""
    token: str
    """One that holds, for clients that fetch none."""
    in_flight: int
    """Messages under way at a time."""
    warm_up: int
    """Messages that are sent before the clock runs; their numbers come after the others'."""
    count: int
    """Messages numbered from 0."""

    @property
    def address(self) -> str:
        """Where a message is posted to."""
        return f"{self.url}{PATH}?access_token={self.token}"


def open_id(number: int) -> str:
    """Return the user that a message goes to."""
    return f"oPush{number:020}"


def data(number: int) -> dict[str, Any]:
    """Return what fills a message's fields."""
    return {
        "thing1": {"value": "巧克力礼盒"},
        "amount2": {"value": f"{number % 1000}.80元"},
        "time3": {"value": "2019年10月1日 15:01"},
    }


def body(number: int) -> bytes:
    """Return a message as it is posted."""
    return _ENCODE(
        {
            "touser": open_id(number),
            "template_id": TEMPLATE_ID,
            "data": data(number),
            "client_msg_id": f"push-{number}",
        }
    )


def check(answer: bytes) -> None:
    """Raise ValueError for an answer that is no success."""
    code = msgspec.json.decode(answer)["errcode"]
    if code != 0:
        raise ValueError(f"errcode {code}")
