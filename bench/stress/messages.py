"""The messages of virtual users, and each delivery of one as WeChat signs and seals it."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count
from random import Random
from typing import Final, NamedTuple

from bench.load.account import ACCOUNT_ID, APP_ID, CALLBACK_PATH, KEY, TOKEN
from bench.stress.mix import BROADCAST_OVER, KINDS, PHRASES, TEXT, Kind
from gateway.protocol.account import Mode
from gateway.simulator.documents import EVENTS, MESSAGES, Document, event, message
from gateway.simulator.sealing import Sender, make_callback

SENDER: Final = Sender(APP_ID, TOKEN.encode(), KEY, Mode.SAFE)
"""What WeChat knows of the account that the benchmarks' servers answer for."""

_BASE64_URL: Final = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
_BROADCAST: Final = Kind(0, event="MASSSENDJOBFINISH")


@dataclass(frozen=True, slots=True)
class Message:
    """What one follower sent; each of its deliveries is signed anew, the message stays the same."""

    kind: str
    document: Document

    @property
    def openid(self) -> str:
        """Who sent it, and is answered."""
        return str(self.document["FromUserName"])

    @property
    def echo(self) -> str | None:
        """The text that a bot which echoes texts answers; None where it says `success`."""
        return f"echo: {self.document['Content']}" if self.kind == TEXT else None


class Delivery(NamedTuple):
    """A request as it goes out."""

    target: str
    headers: dict[str, str]
    body: bytes


class Followers:
    """Makes messages, each of a follower of its own, so that no two of them are the same."""

    def __init__(self, random: Random, first_id: int) -> None:
        """``first_id`` is the first message id; those after it count up."""
        self._random = random
        self._ids: Iterator[int] = count(first_id)
        self._shares = [kind.share for kind in KINDS.values()]

    def one(self, now: int) -> Message:
        """Return a message of the mix; ``now`` is its CreateTime in Unix seconds."""
        name = self._random.choices(list(KINDS), self._shares)[0]
        return self._make(name, KINDS[name], now)

    def text(self, now: int) -> Message:
        """Return a text."""
        return self._make(TEXT, KINDS[TEXT], now)

    def broadcast_over(self, now: int) -> Message:
        """Return WeChat's notice that a broadcast went out."""
        return self._make(BROADCAST_OVER, _BROADCAST, now)

    def _make(self, name: str, kind: Kind, now: int) -> Message:
        openid = "o" + "".join(self._random.choices(_BASE64_URL, k=27))
        number = next(self._ids)
        if kind.message:
            own = MESSAGES[kind.message]
            if name == TEXT:
                words = self._random.choices(PHRASES, k=self._random.randint(1, 3))
                own = {"Content": f"{' '.join(words)} {self._random.randrange(1000)}"}
            document = message(
                kind.message, own, to=ACCOUNT_ID, sender=openid, now=now, msg_id=number
            )
            return Message(name, document)
        document = event(kind.event, kind.key, to=ACCOUNT_ID, sender=openid, now=now)
        if "MsgID" in EVENTS.get(kind.event, {}):
            document["MsgID"] = number
        return Message(name, document)


def deliver(sent: Message, now: int, random: Random) -> Delivery:
    """Return one delivery of a message, signed and sealed at ``now`` (Unix seconds)."""
    callback = make_callback(
        SENDER,
        sent.document,
        now=now,
        nonce=str(random.randrange(10**8, 2 * 10**9)),
        random=random.randbytes(16),
    )
    trace = f"00-{random.getrandbits(128) or 1:032x}-{random.getrandbits(64) or 1:016x}-01"
    headers = callback.headers | {"traceparent": trace}
    return Delivery(f"{CALLBACK_PATH}?{callback.query}", headers, callback.body)
