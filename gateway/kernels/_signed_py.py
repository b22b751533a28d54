"""Signed envelopes: opened where the signature is right; sealed and signed (PROTOCOL 1.3, 2)."""

from gateway.kernels._envelope_py import EnvelopeCipher
from gateway.kernels._query import parse_query
from gateway.kernels._signature_py import sign, signature_matches


def open_signed(
    query: bytes,
    encrypt: bytes,
    tokens: tuple[bytes, ...],
    ciphers: tuple[EnvelopeCipher, ...],
    app_id: bytes,
    window: int,
    now: float,
) -> tuple[bytes, bytes, EnvelopeCipher, bytes]:
    """Return the message sealed in ``encrypt``, the token and the cipher that fit, and the nonce.

    ``query`` is the raw query string that signs it; ``window`` the seconds that its timestamp may
    be off from ``now``, Unix seconds, or 0 for no check. Of the tokens the first that signed it
    counts, of the ciphers the first that opens it for ``app_id``.

    Raises ValueError with one word for what is wrong, in this order: "query", "timestamp",
    "signature", and "base64", "block", "padding", "length" or "app_id" under the first cipher.
    """
    parameters = parse_query(query)
    timestamp, nonce = parameters.get(b"timestamp"), parameters.get(b"nonce")
    signature = parameters.get(b"msg_signature")
    if not timestamp or not nonce or not signature:
        raise ValueError("query")
    if window:
        # 20 digits hold any 64-bit number; more would only cost time to convert.
        if not timestamp.isdigit() or len(timestamp) > 20:
            raise ValueError("timestamp")
        if abs(int(timestamp) - now) > window:
            raise ValueError("timestamp")
    for token in tokens:
        if signature_matches(signature, token, timestamp, nonce, encrypt):
            break
    else:
        raise ValueError("signature")
    # The reason is kept, not the exception: one that is held by its own frame makes a cycle, and
    # holds the whole message until a collection comes by.
    first = ""
    for cipher in ciphers:
        try:
            message, receiver_id = cipher.open(encrypt)
        except ValueError as wrong:
            first = first or wrong.args[0]
            continue
        if receiver_id == app_id:
            return message, token, cipher, nonce
        first = first or "app_id"
    raise ValueError(first or "mode")


def seal_signed(
    random: bytes,
    message: bytes,
    app_id: bytes,
    token: bytes,
    cipher: EnvelopeCipher,
    nonce: bytes,
    timestamp: int,
) -> bytes:
    """Return the XML that carries a message sealed and signed, as a passive reply is.

    ``random`` is 16 bytes, else ValueError("random"); ``timestamp`` is in Unix seconds. The nonce
    stands in the XML as it is: letters and digits, please.
    """
    encrypt, at = cipher.seal(random, message, app_id), b"%d" % timestamp
    return (
        b"<xml><Encrypt><![CDATA[%b]]></Encrypt><MsgSignature><![CDATA[%b]]></MsgSignature>"
        b"<TimeStamp>%b</TimeStamp><Nonce><![CDATA[%b]]></Nonce></xml>"
    ) % (encrypt, sign(token, at, nonce, encrypt), at, nonce)
