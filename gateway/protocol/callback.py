"""The whole pure path of a callback: verified, opened, decoded; and its answer encoded, sealed."""

from typing import Any

import msgspec

from gateway.errors import Reason, Refused
from gateway.kernels import EnvelopeCipher, extract
from gateway.protocol.account import Account, Mode
from gateway.protocol.decode import decode
from gateway.protocol.envelope import open_envelope, seal_reply
from gateway.protocol.events import ComponentPush
from gateway.protocol.messages import Message
from gateway.protocol.query import Query, required
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
        opened = open_envelope(account, echostr)[0]
        if not opened.isalnum() or len(opened) > MAX_ECHOSTR:
            raise Refused(Reason.DOCUMENT)
        return opened
    verify_signature(account, query)
    return echostr


def receive(account: Account, query: Query, body: bytes, now: float) -> Received:
    """Return the message of a callback; raise Refused where it is not WeChat's to this account.

    The account's mode decides what is believed, never the request: in plain mode the body, in
    compat and safe mode only what is sealed in it.
    """
    verify_timestamp(account, query, now)
    nonce = required(query, b"nonce")
    if account.mode is Mode.PLAIN:
        cipher = None
        token = verify_signature(account, query)
        fields, as_json = _read(body)
        if "Encrypt" in fields and "MsgType" not in fields:
            raise Refused(Reason.MODE)
    else:
        encrypt = _encrypt_of(_read(body)[0])
        token = verify_msg_signature(account, query, encrypt)
        document, cipher = open_envelope(account, encrypt)
        fields, as_json = _read(document)
    message = decode(fields)
    pushed = isinstance(message, ComponentPush)
    if not message.msg_type and not pushed:
        raise Refused(Reason.DOCUMENT)
    if (
        account.original_id is not None
        and message.to_user_name != account.original_id
        and not pushed
    ):
        raise Refused(Reason.TO_USER_NAME)
    return Received(message, as_json, token, cipher, nonce)


def respond(
    account: Account, received: Received, reply: Reply | None, now: int, random: bytes
) -> bytes:
    """Return the body that answers a received message: ``success``, or the reply, sealed or plain.

    ``now`` is in Unix seconds; ``random`` is 16 bytes, used where the reply is sealed.
    """
    if reply is None:
        return SUCCESS
    encode = encode_json if received.as_json else encode_xml
    document = encode(reply, received.message, now)
    if received.cipher is None:
        return document
    return seal_reply(
        document,
        app_id=account.app_id,
        token=received.token,
        cipher=received.cipher,
        nonce=received.nonce,
        now=now,
        random=random,
        as_json=received.as_json,
    )


def _read(document: bytes) -> tuple[dict[str, Any], bool]:
    """Return the fields of an XML or JSON document, and whether it is JSON."""
    try:
        # XML is the rule; what begins with neither is told apart behind its white space.
        if document[:1] == b"<" or not document.lstrip().startswith(b"{"):
            return extract(document), False
        fields = msgspec.json.decode(document)
    except (ValueError, RecursionError):
        raise Refused(Reason.DOCUMENT) from None
    return fields, True


def _encrypt_of(fields: dict[str, Any]) -> bytes:
    """Return the base64 text of a sealed body, the white space around it removed."""
    encrypt = fields.get("Encrypt")
    if not isinstance(encrypt, str):
        raise Refused(Reason.MODE)
    try:
        return encrypt.strip().encode("ascii")
    except UnicodeEncodeError:
        raise Refused(Reason.BASE64) from None
