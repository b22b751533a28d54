"""The whole pure path: from a request's query and body to the body of the sealed answer."""

from wechatpy import create_reply, parse_message
from wechatpy.crypto import WeChatCrypto

from bench.micro.samples import BODY, ECHO, KEY, MSG_SIGNATURE, NONCE, TIMESTAMP
from bench.micro.sides import WHOLE_PATH, Timed, by_wechatpy, row
from bench.micro.whole import whole_path
from tests.support import AES_KEY, APP_ID, OPEN_ID, TOKEN, Kernels, load_kernels


@row(WHOLE_PATH)
def test_a_sealed_text_is_answered_with_its_echo(kernels: Kernels, timed: Timed) -> None:
    """Verified, opened, decoded; answered, encoded, sealed. wechatpy must be able to open it."""
    sealed = timed(whole_path(kernels))
    signature = load_kernels("pure").extract(sealed)["MsgSignature"]
    document = _crypto().decrypt_message(sealed, signature, TIMESTAMP.decode(), NONCE.decode())
    reply = load_kernels("pure").extract(document.encode())
    assert (reply["ToUserName"], reply["Content"]) == (OPEN_ID, ECHO)


@row(WHOLE_PATH)
@by_wechatpy
def test_wechatpy_answers_the_same_text(timed: Timed) -> None:
    """As its documentation shows it; the query is already parsed, which a web framework does.

    The plain signature is not checked: in safe mode it is msg_signature that counts, and
    decrypt_message verifies that one.
    """
    crypto = _crypto()
    signature, timestamp, nonce = MSG_SIGNATURE.decode(), TIMESTAMP.decode(), NONCE.decode()

    def answer() -> str:
        document = crypto.decrypt_message(BODY, signature, timestamp, nonce)
        message = parse_message(document)
        reply = create_reply("echo: " + message.content, message)
        sealed: str = crypto.encrypt_message(reply.render(), nonce, timestamp)
        return sealed

    pure = load_kernels("pure")
    outer = {name: value.encode() for name, value in pure.extract(timed(answer).encode()).items()}
    encrypt = outer["Encrypt"]
    assert outer["MsgSignature"] == pure.sign(TOKEN.encode(), TIMESTAMP, NONCE, encrypt)
    document, receiver = pure.EnvelopeCipher(KEY).open(encrypt)
    reply = pure.extract(document)
    assert (receiver.decode(), reply["ToUserName"], reply["Content"]) == (APP_ID, OPEN_ID, ECHO)


def _crypto() -> WeChatCrypto:
    return WeChatCrypto(TOKEN, AES_KEY, APP_ID)
