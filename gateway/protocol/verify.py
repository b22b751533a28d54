"""Who sent it, and when: signatures against the account's tokens, timestamps against a window."""

from gateway.errors import Reason, Refused
from gateway.kernels import signature_matches
from gateway.protocol.account import Account
from gateway.protocol.query import Query, required


def verify_signature(account: Account, query: Query) -> bytes:
    """Return the token that made ``signature``, which covers the query alone, not the body."""
    return _verify(account, query, required(query, b"signature"), b"")


def verify_msg_signature(account: Account, query: Query, encrypt: bytes) -> bytes:
    """Return the token that made ``msg_signature``, which covers the sealed text too."""
    return _verify(account, query, required(query, b"msg_signature"), encrypt)


def verify_timestamp(account: Account, query: Query, now: float) -> None:
    """Raise Refused unless the request's timestamp is within the account's window of ``now``.

    ``now`` is in Unix seconds. The window limits what a leaked URL is good for, and how far digits
    can be moved between timestamp and nonce without changing the signature (PROTOCOL 1.3).
    """
    if account.timestamp_window == 0:
        return
    timestamp = required(query, b"timestamp")
    # 20 digits hold any 64-bit number; more would only cost time to convert.
    if not timestamp.isdigit() or len(timestamp) > 20:
        raise Refused(Reason.TIMESTAMP)
    if abs(int(timestamp) - now) > account.timestamp_window:
        raise Refused(Reason.TIMESTAMP)


def _verify(account: Account, query: Query, signature: bytes, encrypt: bytes) -> bytes:
    timestamp, nonce = required(query, b"timestamp"), required(query, b"nonce")
    for token in account.tokens:
        if signature_matches(signature, token, timestamp, nonce, encrypt):
            return token
    raise Refused(Reason.SIGNATURE)
