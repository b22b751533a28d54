"""The pre-signed callbacks, and what a right reply to one of them is.

A set is written to a file as records: the request's length as seven digits and a line end, then the
request itself, byte for byte as it goes over the wire. Both generators read that file in order, so
neither signs nor seals while it measures.
"""

from array import array
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random
from typing import Final, Literal, NamedTuple

from bench.load.account import ACCOUNT_ID, APP_ID, CALLBACK_PATH, KEY, TOKEN
from gateway.kernels import EnvelopeCipher, Fields, extract, sign

_SEED: Final = 20
_BASE64_URL: Final = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
_FIRST_MSG_ID: Final = 24_500_000_000_000_000
_PHRASES: Final = (
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
    "天气不错☀️",
)
_SHORTEST: Final = 20
"""Characters of a text before its closing number; the longest come to about 50."""

_RECORD_HEAD: Final = 8

_MESSAGE: Final = """<xml><ToUserName><![CDATA[{account}]]></ToUserName>
<FromUserName><![CDATA[{openid}]]></FromUserName>
<CreateTime>{time}</CreateTime>
<MsgType><![CDATA[text]]></MsgType>
<Content><![CDATA[{text}]]></Content>
<MsgId>{msg_id}</MsgId>
</xml>"""

_BODY: Final = b"""<xml>
    <ToUserName><![CDATA[%b]]></ToUserName>
    <Encrypt><![CDATA[%b]]></Encrypt>
</xml>
"""

# The order of the query and the headers are those WeChat sends.
_REQUEST: Final = (
    b"POST %b?signature=%b&timestamp=%b&nonce=%b&openid=%b&encrypt_type=aes&msg_signature=%b"
    b" HTTP/1.1\r\n"
    b"User-Agent: Mozilla/4.0\r\n"
    b"Accept: */*\r\n"
    b"Host: 127.0.0.1\r\n"
    b"Pragma: no-cache\r\n"
    b"Connection: Keep-Alive\r\n"
    b"Content-Length: %d\r\n"
    b"Content-Type: text/xml\r\n"
    b"\r\n"
    b"%b"
)


class Sender(NamedTuple):
    """Who sent a callback, and the text that stood in it."""

    openid: str
    text: str


class CallbackSet:
    """Distinct callbacks, signed at one moment (Unix seconds), written to a file."""

    def __init__(self, path: Path, count: int, signed_at: int) -> None:
        self.path = path
        self.senders: list[Sender] = []
        self._positions = array("Q")
        random = Random(_SEED)  # noqa: S311  # the same set each time, and no secret
        cipher = EnvelopeCipher(KEY)
        with path.open("wb") as file:
            for number in range(count):
                sender = Sender(_openid(random), _text(random))
                request = _request(sender, number, signed_at, random, cipher)
                self._positions.append(file.tell())
                self.senders.append(sender)
                file.write(b"%07d\n%b" % (len(request), request))
        self.texts = dict(self.senders)
        if len(self.texts) != count:
            raise ValueError("two callbacks of one openid")

    def __len__(self) -> int:
        return len(self.senders)

    def position(self, index: int) -> int:
        """Return where a callback's record begins in the file; an index past the end wraps."""
        return self._positions[index % len(self)]

    def requests(self, start: int = 0) -> Iterator[tuple[int, bytes]]:
        """Yield the callbacks' indexes and requests from one on, round and round."""
        index = start % len(self)
        with self.path.open("rb") as file:
            file.seek(self.position(index))
            while True:
                if not (head := file.read(_RECORD_HEAD)):
                    index = file.seek(0)
                    continue
                yield index, file.read(int(head))
                index += 1


def _openid(random: Random) -> str:
    return "o" + "".join(random.choices(_BASE64_URL, k=27))


def _text(random: Random) -> str:
    text = random.choice(_PHRASES)
    while len(text) < _SHORTEST:
        text += f" {random.choice(_PHRASES)}"
    return f"{text} {random.randrange(1000)}"


def _request(
    sender: Sender, number: int, signed_at: int, random: Random, cipher: EnvelopeCipher
) -> bytes:
    message = _MESSAGE.format(
        account=ACCOUNT_ID,
        openid=sender.openid,
        time=signed_at,
        text=sender.text,
        msg_id=_FIRST_MSG_ID + number,
    )
    sealed = cipher.seal(random.randbytes(16), message.encode(), APP_ID.encode())
    token, timestamp = TOKEN.encode(), b"%d" % signed_at
    nonce = b"%d" % random.randrange(10**8, 2 * 10**9)
    body = _BODY % (ACCOUNT_ID.encode(), sealed)
    return _REQUEST % (
        CALLBACK_PATH.encode(),
        sign(token, timestamp, nonce),
        timestamp,
        nonce,
        sender.openid.encode(),
        sign(token, timestamp, nonce, sealed),
        len(body),
        body,
    )


class Fault(NamedTuple):
    """What is not right about a reply."""

    kind: Literal["wrong", "unreadable"]
    why: str


Check = Callable[[bytes, int | None], Fault | None]
"""Judges a reply's body, knowing the index of the callback it answers, or None."""


def echo_check(callbacks: CallbackSet, instant: str | None = None) -> Check:
    """Make the check for servers that must answer each user with the echo of what they sent.

    With ``instant`` they must answer each user with this text.
    """
    cipher = EnvelopeCipher(KEY)

    def check(body: bytes, callback: int | None) -> Fault | None:
        if body in (b"", b"success"):
            return Fault("wrong", f"{body!r} and no echo")
        try:
            fields = _open(body, cipher)
        except (ValueError, KeyError, AttributeError) as error:
            return Fault("unreadable", f"{error!r} in {body[:80]!r}")
        wrong = _what_is_wrong(fields, callbacks, callback, instant)
        return Fault("wrong", wrong) if wrong else None

    return check


def _open(body: bytes, cipher: EnvelopeCipher) -> Fields:
    """Return the fields sealed in a reply, its signature and receiver verified."""
    outer = {name: value.encode() for name, value in extract(body).items()}
    encrypt = outer["Encrypt"]
    signature = sign(TOKEN.encode(), outer["TimeStamp"], outer["Nonce"], encrypt)
    if outer["MsgSignature"] != signature:
        raise ValueError("MsgSignature does not match")
    message, receiver = cipher.open(encrypt)
    if receiver != APP_ID.encode():
        raise ValueError(f"sealed for {receiver!r}")
    return extract(message)


def _what_is_wrong(
    fields: Fields, callbacks: CallbackSet, callback: int | None, instant: str | None
) -> str:
    """Return what keeps a message from being what its receiver waits for, or nothing."""
    openid, account = fields.get("ToUserName"), fields.get("FromUserName")
    if account != ACCOUNT_ID or fields.get("MsgType") != "text":
        return f"{fields.get('MsgType')} from {account}"
    if callback is not None and openid != callbacks.senders[callback].openid:
        return "answers another user's callback"
    if openid not in callbacks.texts:
        return f"to {openid}, who sent nothing"
    expected = f"echo: {callbacks.texts[openid]}" if instant is None else instant
    if fields.get("Content") != expected:
        return f"{fields.get('Content')!r} is not what its receiver is due"
    return ""


def success_check(body: bytes, _callback: int | None) -> Fault | None:
    """Judge the reply of a server that only says `success`."""
    return None if body == b"success" else Fault("wrong", f"{body[:80]!r}")


def check_of(answers: str, callbacks: CallbackSet) -> Check:
    """Make the check for servers that answer with the echo, an instant text or `success`."""
    if answers == "success":
        return success_check
    return echo_check(callbacks, "in a moment" if answers == "instant" else None)
