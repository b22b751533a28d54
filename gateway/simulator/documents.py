"""What WeChat would send: messages and events as trees of its own names (PROTOCOL 5 and 6)."""

from collections.abc import Mapping
from typing import Any, Final

Document = dict[str, Any]

USER: Final = "oSimulatedUser0000000000001"
"""The open id that messages come from where none is given."""

MESSAGES: Final[Mapping[str, Document]] = {
    "text": {"Content": "你好"},
    "image": {"PicUrl": "http://mmbiz.qpic.cn/simulated/0", "MediaId": "simulated-image"},
    "voice": {"MediaId": "simulated-voice", "Format": "amr"},
    "video": {"MediaId": "simulated-video", "ThumbMediaId": "simulated-thumb"},
    "shortvideo": {"MediaId": "simulated-shortvideo", "ThumbMediaId": "simulated-thumb"},
    "location": {"Location_X": 23.134521, "Location_Y": 113.358803, "Scale": 20, "Label": "广州"},
    "link": {
        "Title": "公众平台官网链接",
        "Description": "公众平台官网链接",
        "Url": "https://mp.weixin.qq.com",
    },
}
"""Each type of message with the fields of its own."""

_SCANNED = {"ScanCodeInfo": {"ScanType": "qrcode", "ScanResult": "https://example.com"}}
_PICTURES = {"SendPicsInfo": {"Count": 1, "PicList": {"item": [{"PicMd5Sum": "0" * 32}]}}}

EVENTS: Final[Mapping[str, Document]] = {
    "subscribe": {},
    "unsubscribe": {},
    "SCAN": {"EventKey": "1001", "Ticket": "SIMULATED_TICKET"},
    "LOCATION": {"Latitude": 23.137466, "Longitude": 113.352425, "Precision": 119.38504},
    "CLICK": {"EventKey": "V1001"},
    "VIEW": {"EventKey": "https://example.com", "MenuId": "101"},
    "view_miniprogram": {"EventKey": "pages/index", "MenuId": "101"},
    "scancode_push": {"EventKey": "6", **_SCANNED},
    "scancode_waitmsg": {"EventKey": "6", **_SCANNED},
    "pic_sysphoto": {"EventKey": "6", **_PICTURES},
    "pic_photo_or_album": {"EventKey": "6", **_PICTURES},
    "pic_weixin": {"EventKey": "6", **_PICTURES},
    "location_select": {
        "EventKey": "6",
        "SendLocationInfo": {
            "Location_X": "23",
            "Location_Y": "113",
            "Scale": "15",
            "Label": "广州市海珠区",
            "Poiname": "",
        },
    },
    "TEMPLATESENDJOBFINISH": {"MsgID": 200163836, "Status": "success"},
    "MASSSENDJOBFINISH": {
        "MsgID": 1988,
        "Status": "send success",
        "TotalCount": 100,
        "FilterCount": 80,
        "SentCount": 75,
        "ErrorCount": 5,
    },
    "subscribe_msg_popup_event": {
        "SubscribeMsgPopupEvent": {
            "List": [
                {
                    "TemplateId": "SIMULATED_TEMPLATE",
                    "SubscribeStatusString": "accept",
                    "PopupScene": "2",
                }
            ]
        }
    },
}
"""Each event that has fields of its own; any other name can be sent too."""


def message(
    msg_type: str, own: Document, *, to: str, sender: str, now: int, msg_id: int
) -> Document:
    """Return a message; ``now`` is its CreateTime in Unix seconds."""
    return {
        "ToUserName": to,
        "FromUserName": sender,
        "CreateTime": now,
        "MsgType": msg_type,
        **own,
        "MsgId": msg_id,
    }


def event_of(name: str, own: Document, *, to: str, sender: str, now: int) -> Document:
    """Return an event with these fields of its own."""
    return {
        "ToUserName": to,
        "FromUserName": sender,
        "CreateTime": now,
        "MsgType": "event",
        "Event": name,
        **own,
    }


def event(name: str, key: str | None, *, to: str, sender: str, now: int) -> Document:
    """Return an event by its name, in any case; ``key`` takes the place of its EventKey.

    A ``subscribe`` with a key is one by QR code: the key is the scene, and gets WeChat's prefix.
    """
    known = {known.lower(): known for known in EVENTS}
    name = known.get(name.lower(), name)
    own: Document = dict(EVENTS.get(name, {}))
    if name == "subscribe" and key is not None:
        own |= {"EventKey": f"qrscene_{key}", "Ticket": "SIMULATED_TICKET"}
    elif key is not None:
        own |= {"EventKey": key}
    return event_of(name, own, to=to, sender=sender, now=now)
