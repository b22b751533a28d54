"""What the timed code is given: a text message of a usual size as WeChat sends it, and an event."""

from typing import Final

from gateway.kernels import sign
from gateway.protocol.account import decode_aes_key
from gateway.simulator.sealing import seal
from tests.support import ACCOUNT_ID, AES_KEY, NOW, OPEN_ID, TOKEN, VECTORS, make_sender

CONTENT: Final = "几点关门? 想预约周六 😀👍🏻"
ECHO: Final = "echo: " + CONTENT

TEXT_MESSAGE: Final = f"""<xml><ToUserName><![CDATA[{ACCOUNT_ID}]]></ToUserName>
<FromUserName><![CDATA[{OPEN_ID}]]></FromUserName>
<CreateTime>{NOW}</CreateTime>
<MsgType><![CDATA[text]]></MsgType>
<Content><![CDATA[{CONTENT}]]></Content>
<MsgId>24500000000000101</MsgId>
</xml>""".encode()
"""About 300 bytes, with a line to an element as WeChat has it."""

NESTED_EVENT: Final = (VECTORS / "messages" / "event_scancode-push_1.xml").read_bytes()
"""A published event whose ScanCodeInfo has elements of its own."""

KEY: Final = decode_aes_key(AES_KEY)
RANDOM: Final = b"0123456789abcdef"
ENCRYPT: Final = seal(make_sender(), TEXT_MESSAGE, RANDOM)
"""The base64 text that seals TEXT_MESSAGE: about 470 bytes."""

TIMESTAMP: Final = b"%d" % NOW
NONCE: Final = b"1372623149"
SIGNED: Final = (TOKEN.encode(), TIMESTAMP, NONCE, ENCRYPT)
"""What a msg_signature is made over."""
SIGNED_TEXT: Final = (TOKEN, TIMESTAMP.decode(), NONCE.decode(), ENCRYPT.decode())
"""The same for wechatpy, which takes str."""
MSG_SIGNATURE: Final = sign(*SIGNED)

BODY: Final = b"""<xml>
    <ToUserName><![CDATA[%b]]></ToUserName>
    <Encrypt><![CDATA[%b]]></Encrypt>
</xml>
""" % (ACCOUNT_ID.encode(), ENCRYPT)

QUERY: Final = (
    b"signature=%b&timestamp=%b&nonce=%b&openid=%b&encrypt_type=aes&msg_signature=%b"
) % (sign(*SIGNED[:3]), TIMESTAMP, NONCE, OPEN_ID.encode(), MSG_SIGNATURE)
