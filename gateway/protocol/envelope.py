"""Sealed bodies: opened under the account's keys, and replies sealed under the one that opened."""

import msgspec

from gateway.errors import Reason, Refused
from gateway.kernels import EnvelopeCipher, sign
from gateway.protocol.account import Account


def open_envelope(account: Account, encrypt: bytes) -> tuple[bytes, EnvelopeCipher]:
    """Return the message sealed in ``encrypt`` and the cipher that opened it.

    The previous key is tried where the current one fails: messages in flight may still use it
    (PROTOCOL 2). Raises Refused with what was wrong under the current key.
    """
    # The reason is kept, not the exception: one that is held by its own frame makes a cycle, and
    # holds the whole message until a collection comes by.
    first: Reason | None = None
    for cipher in account.ciphers:
        try:
            message, receiver_id = cipher.open(encrypt)
        except ValueError as wrong:
            first = first or Reason(wrong.args[0])
            continue
        if receiver_id == account.app_id.encode():
            return message, cipher
        first = first or Reason.APP_ID
    raise Refused(first or Reason.MODE)


def seal_reply(  # noqa: PLR0913 - what an envelope is made of
    message: bytes,
    *,
    app_id: str,
    token: bytes,
    cipher: EnvelopeCipher,
    nonce: bytes,
    now: int,
    random: bytes,
    as_json: bool,
) -> bytes:
    """Return a reply sealed, signed and wrapped, in XML or JSON (PROTOCOL 2, "passive reply").

    ``now`` is in Unix seconds, ``random`` is 16 bytes. The nonce is the request's, or, where that
    one is not plain letters and digits, the timestamp.
    """
    timestamp = b"%d" % now
    if not nonce.isalnum():
        nonce = timestamp
    encrypt = cipher.seal(random, message, app_id.encode())
    signature = sign(token, timestamp, nonce, encrypt)
    if as_json:
        return msgspec.json.encode(
            {
                "Encrypt": encrypt.decode(),
                "MsgSignature": signature.decode(),
                "TimeStamp": now,
                "Nonce": nonce.decode(),
            }
        )
    return (
        b"<xml><Encrypt><![CDATA[%b]]></Encrypt><MsgSignature><![CDATA[%b]]></MsgSignature>"
        b"<TimeStamp>%b</TimeStamp><Nonce><![CDATA[%b]]></Nonce></xml>"
    ) % (encrypt, signature, timestamp, nonce)
