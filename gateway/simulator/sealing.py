"""The sender's side of a callback: its query signed and its body sealed, or spoiled on purpose."""

import base64
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final
from urllib.parse import urlencode

import msgspec
from Crypto.Cipher import AES

from gateway.kernels import elements, sign
from gateway.protocol.account import Mode
from gateway.simulator.documents import Document

HEADERS: Final = {
    "Content-Type": "text/xml",
    "User-Agent": "Mozilla/4.0",
    "Accept": "*/*",
    "Pragma": "no-cache",
}
"""The headers WeChat was seen to send (PROTOCOL 1.2)."""


class Fault(StrEnum):
    """What can be wrong with a callback that is not WeChat's."""

    SIGNATURE = "signature"
    TIMESTAMP = "timestamp"
    PADDING = "padding"
    APPID = "appid"
    XML = "xml"


SEALED_ONLY: Final = frozenset((Fault.PADDING, Fault.APPID))
"""Faults that a plain body cannot have."""


@dataclass(frozen=True, slots=True)
class Sender:
    """What WeChat knows of an account. Secrets stay out of its repr."""

    app_id: str
    token: bytes
    aes_key: bytes | None
    mode: Mode
    as_json: bool = False

    def __repr__(self) -> str:
        return f"Sender({self.app_id}, {self.mode})"


@dataclass(frozen=True, slots=True)
class Callback:
    """A request as it goes out."""

    query: str
    body: bytes
    headers: dict[str, str]


def make_callback(
    sender: Sender,
    document: Document,
    *,
    now: int,
    nonce: str,
    random: bytes,
    fault: Fault | None = None,
) -> Callback:
    """Return the callback that brings a document; ``random`` is 16 bytes, ``now`` Unix seconds."""
    timestamp = str(now - 7 * 24 * 3600 if fault is Fault.TIMESTAMP else now)
    plain = _encode(document, sender.as_json)
    if fault is Fault.XML:
        plain = plain[: len(plain) // 2]
    signature = sign(sender.token, timestamp.encode(), nonce.encode()).decode()
    query = {
        "signature": signature,
        "timestamp": timestamp,
        "nonce": nonce,
        "openid": document["FromUserName"],
    }
    headers = HEADERS | ({"Content-Type": "application/json"} if sender.as_json else {})
    if sender.mode is Mode.PLAIN:
        if fault is Fault.SIGNATURE:
            query["signature"] = _spoil(signature)
        return Callback(urlencode(query), plain, headers)
    encrypt = seal(sender, plain, random, fault)
    msg_signature = sign(sender.token, timestamp.encode(), nonce.encode(), encrypt).decode()
    if fault is Fault.SIGNATURE:
        msg_signature = _spoil(msg_signature)
    query |= {"encrypt_type": "aes", "msg_signature": msg_signature}
    shown = document if sender.mode is Mode.COMPAT else {"ToUserName": document["ToUserName"]}
    body = _encode({**shown, "Encrypt": encrypt.decode()}, sender.as_json)
    return Callback(urlencode(query), body, headers)


def make_verification(sender: Sender, *, now: int, nonce: str, echostr: str) -> str:
    """Return the query with which the console verifies a URL (PROTOCOL 1.1)."""
    timestamp = str(now)
    signature = sign(sender.token, timestamp.encode(), nonce.encode()).decode()
    return urlencode(
        {"signature": signature, "echostr": echostr, "timestamp": timestamp, "nonce": nonce}
    )


def seal(sender: Sender, plain: bytes, random: bytes, fault: Fault | None = None) -> bytes:
    """Return the base64 text that seals ``plain``.

    Written from PROTOCOL 2 on pycryptodome's public interface, apart from the gateway's own
    kernels, so that each side is a check on the other.
    """
    if sender.aes_key is None:
        raise ValueError("encoding_aes_key is not set, and this mode seals")
    app_id = "wx0000000000000000" if fault is Fault.APPID else sender.app_id
    frame = random + len(plain).to_bytes(4, "big") + plain + app_id.encode()
    count = 32 - len(frame) % 32
    padding = bytes(count) if fault is Fault.PADDING else bytes((count,)) * count
    cipher = AES.new(sender.aes_key, AES.MODE_CBC, iv=sender.aes_key[:16])
    return base64.b64encode(cipher.encrypt(frame + padding))


def in_mode(sender: Sender, mode: Mode | None) -> Sender:
    """Return the sender in another mode, whatever the account's is."""
    return sender if mode is None else replace(sender, mode=mode)


def _encode(document: Document, as_json: bool) -> bytes:
    if as_json:
        return msgspec.json.encode(document)
    # WeChat passes on what users type, characters that XML forbids among them.
    return f"<xml>{elements(document, clean=str)}</xml>".encode()


def _spoil(signature: str) -> str:
    return ("0" if signature[0] != "0" else "1") + signature[1:]
