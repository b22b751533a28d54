"""Sealed bodies: opened under the account's keys, and replies sealed under the one that opened."""

import msgspec

from gateway.errors import Reason, Refused
from gateway.kernels import EnvelopeCipher, open_signed, seal_signed, sign
from gateway.protocol.account import Account


def open_callback(
    account: Account, query: bytes, encrypt: bytes, now: float
) -> tuple[bytes, bytes, EnvelopeCipher, bytes]:
    """Return what is sealed in ``encrypt``, the token and cipher that fit, and the nonce.

    ``query`` is the request's own, which signs it. The previous token and key are tried where the
    current ones fail: messages in flight may still use them (PROTOCOL 2). Raises Refused with what
    was wrong under the current ones.
    """
    try:
        return open_signed(
            query,
            encrypt,
            account.tokens,
            account.ciphers,
            account.receiver_id,
            account.timestamp_window,
            now,
        )
    except ValueError as wrong:
        raise Refused(Reason(wrong.args[0])) from None


def open_envelope(account: Account, encrypt: bytes) -> bytes:
    """Return what is sealed in ``encrypt``, whoever signed it; raise Refused as open_callback."""
    first: Reason | None = None
    for cipher in account.ciphers:
        try:
            message, receiver_id = cipher.open(encrypt)
        except ValueError as wrong:
            first = first or Reason(wrong.args[0])
            continue
        if receiver_id == account.receiver_id:
            return message
        first = first or Reason.APP_ID
    raise Refused(first or Reason.MODE)


def seal_reply(  # noqa: PLR0913 - what an envelope is made of
    message: bytes,
    *,
    receiver_id: bytes,
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
    if not as_json:
        return seal_signed(random, message, receiver_id, token, cipher, nonce, timestamp)
    encrypt = cipher.seal(random, message, receiver_id)
    return msgspec.json.encode(
        {
            "Encrypt": encrypt.decode(),
            "MsgSignature": sign(token, timestamp, nonce, encrypt).decode(),
            "TimeStamp": now,
            "Nonce": nonce.decode(),
        }
    )
