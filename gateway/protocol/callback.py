"""The whole pure path of a callback: verified, opened, decoded; and its answer encoded, sealed."""

from typing import Any

import msgspec

from gateway.errors import Reason, Refused
from gateway.kernels import EnvelopeCipher, extract, seal_signed, text_of
from gateway.protocol.account import Account
from gateway.protocol.decode import decode
from gateway.protocol.envelope import Seal, open_callback, open_envelope, seal_reply_json
from gateway.protocol.events import ComponentPush
from gateway.protocol.messages import Message
from gateway.protocol.query import Query, parse_query, required
from gateway.protocol.replies import Reply, encode_json, encode_xml
from gateway.protocol.verify import verify_msg_signature, verify_signature, verify_timestamp

SUCCESS = b"success"
"""The answer that stops WeChat's retries without a reply; never sealed (PROTOCOL 2)."""


MAX_ECHOSTR = 64
"""Bytes of an opened echostr; the platform's have about 20 digits."""


class Received(msgspec.Struct, frozen=True, gc=False):
    """A message that is WeChat's own, and what its reply must be made with."""

    message: Message
    as_json: bool
    """Whether the message came as JSON; its reply is of the same format."""
    token: bytes
    """The token that signed it; the reply is signed with the same."""
    cipher: EnvelopeCipher | None
    """The cipher that opened it; None for a plain message, whose reply is plain."""
    nonce: bytes

    def __repr__(self) -> str:
        return f"Received({type(self.message).__name__})"


def echo(account: Account, query: Query, now: float) -> bytes:
    """Return the answer to the console's URL verification (PROTOCOL 1.1); raise Refused.

    An encrypted ``echostr``, the enterprise style, is opened first. What comes out must be letters
    and digits, as a verification's is: else anyone who saw a sealed body could have it opened here,
    for its msg_signature has the same form.
    """
    verify_timestamp(account, query, now)
    echostr = required(query, b"echostr")
    if b"msg_signature" in query and b"signature" not in query:
        verify_msg_signature(account, query, echostr)
        opened = open_envelope(account, echostr)
        if not opened.isalnum() or len(opened) > MAX_ECHOSTR:
            raise Refused(Reason.DOCUMENT)
        return opened
    verify_signature(account, query)
    return echostr


def receive(account: Account, query: bytes, body: bytes, now: float) -> Received:
    """Return the message of a callback; raise Refused where it is not WeChat's to this account.

    ``query`` is the raw query string. The account's mode decides what is believed, never the
    request: in plain mode the body, in compat and safe mode only what is sealed in it.
    """
    cipher: EnvelopeCipher | None = None
    if account.is_plain:
        token, nonce = _verify_plain(account, query, now)
        document = body
    else:
        try:
            encrypt = text_of(body, "Encrypt")
        except ValueError as wrong:
            encrypt = _encrypt_of_json(body, wrong.args[0])
        document, token, cipher, nonce = open_callback(account, query, encrypt, now)
    try:
        fields, as_json = extract(document), False
    except ValueError:
        fields, as_json = _json(document), True
    if cipher is None and "Encrypt" in fields and "MsgType" not in fields:
        raise Refused(Reason.MODE)
    message = decode(fields)
    if not message.msg_type or account.original_id is not None:
        _check_kind(account, message)
    return Received(message, as_json, token, cipher, nonce)


def respond(
    account: Account, received: Received, reply: Reply | None, now: int, random: bytes
) -> bytes:
    """Return the body that answers a received message: ``success``, or the reply, sealed or plain.

    ``now`` is in Unix seconds; ``random`` is 16 bytes, used where the reply is sealed.
    """
    if reply is None:
        return SUCCESS
    message, cipher, nonce = received.message, received.cipher, received.nonce
    if not nonce.isalnum():
        # It goes into XML as it is; and any nonce will do.
        nonce = b"%d" % now
    if received.as_json:
        document = encode_json(reply, message, now)
        if cipher is None:
            return document
        seal = Seal(random, nonce, now)
        return seal_reply_json(document, account.receiver_id, received.token, cipher, seal)
    document = encode_xml(reply, message, now)
    if cipher is None:
        return document
    return seal_signed(random, document, account.receiver_id, received.token, cipher, nonce, now)


def _check_kind(account: Account, message: Message) -> None:
    """Raise Refused for what is no message, or one to another account than the pinned one."""
    if isinstance(message, ComponentPush):
        # To the platform, which has no ToUserName.
        return
    if not message.msg_type:
        raise Refused(Reason.DOCUMENT)
    if account.original_id is not None and message.to_user_name != account.original_id:
        raise Refused(Reason.TO_USER_NAME)


def _verify_plain(account: Account, raw: bytes, now: float) -> tuple[bytes, bytes]:
    """Return the token that signed a request whose body is not sealed, and the nonce."""
    query = parse_query(raw)
    verify_timestamp(account, query, now)
    return verify_signature(account, query), required(query, b"nonce")


def _encrypt_of_json(body: bytes, wrong_as_xml: str) -> bytes:
    """Return the base64 text of a sealed body that is not what it is due to be in XML."""
    encrypt = None if wrong_as_xml == "absent" else _json(body).get("Encrypt")
    if not isinstance(encrypt, str):
        raise Refused(Reason.MODE)
    # Lone surrogates, which JSON can hold, are no base64 either.
    return encrypt.strip().encode("utf-8", "replace")


def _json(document: bytes) -> dict[str, Any]:
    """Return the fields of what is no sound XML, but may be a JSON object."""
    try:
        fields = msgspec.json.decode(document)
    except (ValueError, RecursionError):
        raise Refused(Reason.DOCUMENT) from None
    if not isinstance(fields, dict):
        raise Refused(Reason.DOCUMENT)
    return fields
