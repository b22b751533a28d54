"""Sealed bodies: opened under the account's keys, and replies sealed under the one that opened."""

from typing import NamedTuple

import msgspec

from gateway.errors import Reason, Refused
from gateway.kernels import EnvelopeCipher, open_signed, sign
from gateway.protocol.account import Account


class Seal(NamedTuple):
    """What a reply is sealed with, beside the account's secrets."""

    random: bytes
    """16 bytes."""
    nonce: bytes
    """Letters and digits."""
    timestamp: int
    """Unix seconds."""


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


def seal_reply_json(
    message: bytes, receiver_id: bytes, token: bytes, cipher: EnvelopeCipher, seal: Seal
) -> bytes:
    """Return a reply sealed and signed in JSON, as seal_signed makes it in XML (PROTOCOL 2)."""
    encrypt = cipher.seal(seal.random, message, receiver_id)
    signature = sign(token, b"%d" % seal.timestamp, seal.nonce, encrypt)
    return msgspec.json.encode(
        {
            "Encrypt": encrypt.decode(),
            "MsgSignature": signature.decode(),
            "TimeStamp": seal.timestamp,
            "Nonce": seal.nonce.decode(),
        }
    )
