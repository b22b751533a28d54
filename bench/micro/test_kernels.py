"""Each kernel, and each step of the path without one, by itself."""

import pytest
from Crypto.Cipher import AES
from wechatpy import create_reply, parse_message
from wechatpy.crypto import PrpCrypto, _get_signature
from wechatpy.crypto.base import WeChatCipher
from wechatpy.crypto.pkcs7 import PKCS7Encoder
from wechatpy.parser import xmltodict

from bench.micro.samples import (
    BODY,
    CONTENT,
    ECHO,
    ENCRYPT,
    KEY,
    MSG_SIGNATURE,
    NESTED_EVENT,
    NONCE,
    QUERY,
    RANDOM,
    SIGNED,
    SIGNED_TEXT,
    TEXT_MESSAGE,
)
from bench.micro.sides import Timed, by_pure, by_wechatpy, row
from gateway.http.callback import RandomBlocks
from gateway.kernels import Fields
from gateway.kernels._aes import AesCbc
from gateway.kernels._fields_py import extract
from gateway.kernels._signature_py import sign
from gateway.protocol.decode import decode
from gateway.protocol.dedupe import dedupe_key
from gateway.protocol.events import ScanCodePush
from gateway.protocol.messages import Text
from gateway.protocol.query import parse_query
from gateway.protocol.replies import TextReply, encode_xml
from tests.support import APP_ID, NOW, OPEN_ID, TOKEN, Kernels, load_kernels

PLAIN = RANDOM + bytes(336)
"""22 AES blocks, as many as the sealed text message has."""
SEALED = AES.new(KEY, AES.MODE_CBC, iv=KEY[:16]).encrypt(PLAIN)

PADDED = load_kernels("pure").pad(TEXT_MESSAGE)
FIELDS = extract(TEXT_MESSAGE)


@row("sign")
def test_the_signature_of_a_sealed_message_is_computed(kernels: Kernels, timed: Timed) -> None:
    """A msg_signature, over 470 bytes of Encrypt."""
    assert timed(kernels.sign, *SIGNED) == MSG_SIGNATURE


@row("sign")
@by_wechatpy
def test_wechatpy_computes_the_same_signature(timed: Timed) -> None:
    """Out of str, which is what it is given by its callers."""
    assert timed(_get_signature, *SIGNED_TEXT).encode() == MSG_SIGNATURE


@row("signature_matches")
def test_the_signature_of_a_sealed_message_is_verified(kernels: Kernels, timed: Timed) -> None:
    """A msg_signature, over 470 bytes of Encrypt."""
    assert timed(kernels.signature_matches, MSG_SIGNATURE, *SIGNED) is True


@row("signature_matches")
@by_wechatpy
def test_wechatpy_verifies_the_same_signature(timed: Timed) -> None:
    """The comparison stands in the midst of decrypt_message, so it is written out here."""
    expected = MSG_SIGNATURE.decode()

    def verify() -> bool:
        return bool(_get_signature(*SIGNED_TEXT) == expected)

    assert timed(verify) is True


@row("pad")
def test_a_message_is_padded(kernels: Kernels, timed: Timed) -> None:
    """300 bytes to a multiple of 32."""
    assert timed(kernels.pad, TEXT_MESSAGE) == PADDED


@row("pad")
@by_wechatpy
def test_wechatpy_pads_the_same_message(timed: Timed) -> None:
    """Likewise."""
    assert timed(PKCS7Encoder.encode, TEXT_MESSAGE) == PADDED


@row("unpad")
def test_a_message_is_unpadded(kernels: Kernels, timed: Timed) -> None:
    """Every byte of the padding is looked at."""
    assert timed(kernels.unpad, PADDED) == TEXT_MESSAGE


@row("unpad")
@by_wechatpy
def test_wechatpy_unpads_the_same_message(timed: Timed) -> None:
    """It looks at the last byte alone."""
    assert timed(PKCS7Encoder.decode, PADDED) == TEXT_MESSAGE


def _read_by_wechatpy(document: bytes) -> Fields:
    fields: Fields = xmltodict.parse(document.decode())["xml"]
    return fields


@row("extract, envelope")
def test_the_fields_of_an_envelope_are_read(kernels: Kernels, timed: Timed) -> None:
    """The body of a request: two elements, one of 470 bytes."""
    assert timed(kernels.extract, BODY)["Encrypt"] == ENCRYPT.decode()


@row("extract, envelope")
@by_wechatpy
def test_wechatpy_reads_the_same_envelope(timed: Timed) -> None:
    """With xmltodict, on expat, which is C."""
    assert timed(_read_by_wechatpy, BODY)["Encrypt"] == ENCRYPT.decode()


@row("extract, text message")
def test_the_fields_of_a_text_message_are_read(kernels: Kernels, timed: Timed) -> None:
    """300 bytes of it, with Chinese and emoji."""
    assert timed(kernels.extract, TEXT_MESSAGE)["Content"] == CONTENT


@row("extract, text message")
@by_wechatpy
def test_wechatpy_reads_the_same_text_message(timed: Timed) -> None:
    """With xmltodict."""
    assert timed(_read_by_wechatpy, TEXT_MESSAGE)["Content"] == CONTENT


@row("text_of, envelope")
def test_the_sealed_text_of_an_envelope_is_read(kernels: Kernels, timed: Timed) -> None:
    """All that is wanted of a request's body, without its fields."""
    assert timed(kernels.text_of, BODY, "Encrypt") == ENCRYPT


@row("extract, nested event")
def test_the_fields_of_a_nested_event_are_read(kernels: Kernels, timed: Timed) -> None:
    """An element in it has elements of its own."""
    assert timed(kernels.extract, NESTED_EVENT)["ScanCodeInfo"]["ScanResult"] == "1"


@row("extract, nested event")
@by_wechatpy
def test_wechatpy_reads_the_same_nested_event(timed: Timed) -> None:
    """With xmltodict."""
    assert timed(_read_by_wechatpy, NESTED_EVENT)["ScanCodeInfo"]["ScanResult"] == "1"


@row("open")
def test_an_envelope_is_opened(kernels: Kernels, timed: Timed) -> None:
    """Base64, AES, padding, length; the cipher is made once, as an account's is."""
    cipher = kernels.EnvelopeCipher(KEY)
    assert timed(cipher.open, ENCRYPT) == (TEXT_MESSAGE, APP_ID.encode())


@row("open")
@by_wechatpy
def test_wechatpy_opens_the_same_envelope(timed: Timed) -> None:
    """It makes a cipher for each message."""

    def unseal() -> str:
        message: str = PrpCrypto(KEY).decrypt(SIGNED_TEXT[3], APP_ID)
        return message

    assert timed(unseal).encode() == TEXT_MESSAGE


@row("seal")
def test_an_envelope_is_sealed(kernels: Kernels, timed: Timed) -> None:
    """With fresh random bytes each time, fetched as the server does it."""
    cipher, random, receiver = kernels.EnvelopeCipher(KEY), RandomBlocks(), APP_ID.encode()

    def sealed() -> bytes:
        return cipher.seal(random(), TEXT_MESSAGE, receiver)

    assert cipher.open(timed(sealed)) == (TEXT_MESSAGE, receiver)


@row("seal")
@by_wechatpy
def test_wechatpy_seals_the_same_envelope(timed: Timed) -> None:
    """With random characters of its own; it makes a cipher for each message."""
    message = TEXT_MESSAGE.decode()

    def sealed() -> bytes:
        text: bytes = PrpCrypto(KEY).encrypt(message, APP_ID)
        return text

    opened = load_kernels("pure").EnvelopeCipher(KEY).open(timed(sealed))
    assert opened == (TEXT_MESSAGE, APP_ID.encode())


@row("open_signed")
def test_a_signed_envelope_is_opened(kernels: Kernels, timed: Timed) -> None:
    """The query parsed, its timestamp and signature verified, the envelope opened: in one call."""
    cipher, token = kernels.EnvelopeCipher(KEY), TOKEN.encode()
    given = (QUERY, ENCRYPT, (token,), (cipher,), APP_ID.encode(), 600, float(NOW))
    assert timed(kernels.open_signed, *given) == (TEXT_MESSAGE, token, cipher, NONCE)


@row("seal_signed")
def test_a_reply_is_sealed_and_signed(kernels: Kernels, timed: Timed) -> None:
    """To the XML that goes out, in one call."""
    cipher = kernels.EnvelopeCipher(KEY)
    given = (RANDOM, TEXT_MESSAGE, APP_ID.encode(), TOKEN.encode(), cipher, NONCE, NOW)
    fields = extract(timed(kernels.seal_signed, *given))
    assert fields["MsgSignature"].encode() == sign(*SIGNED[:3], fields["Encrypt"].encode())
    assert cipher.open(fields["Encrypt"].encode()) == (TEXT_MESSAGE, APP_ID.encode())


@row("AES decrypt, state kept")
@by_pure
def test_aes_decrypts_with_a_state_that_is_kept(timed: Timed) -> None:
    """How the pure kernel does it, in 352 bytes; the compiled one has it within `open`."""
    assert timed(AesCbc(KEY).decrypt, SEALED) == PLAIN


@row("AES decrypt, state per message")
@by_pure
def test_aes_decrypts_with_a_state_made_for_each_message(timed: Timed) -> None:
    """How pycryptodome is meant to be used; what keeping the state is measured against."""

    def decrypt() -> bytes:
        return AES.new(KEY, AES.MODE_CBC, iv=KEY[:16]).decrypt(SEALED)

    assert timed(decrypt) == PLAIN


@row("AES decrypt, state per message")
@by_wechatpy
def test_wechatpy_decrypts_with_a_state_made_for_each_message(timed: Timed) -> None:
    """With `cryptography` where that is installed."""

    def decrypt() -> bytes:
        plain: bytes = WeChatCipher(KEY).decrypt(SEALED)
        return plain

    assert timed(decrypt) == PLAIN


@row("AES encrypt, state kept")
@by_pure
def test_aes_encrypts_with_a_state_that_is_kept(timed: Timed) -> None:
    """How the pure kernel does it, in 352 bytes; the compiled one has it within `seal`."""
    assert timed(AesCbc(KEY).encrypt, PLAIN) == SEALED


@row("AES encrypt, state per message")
@by_pure
def test_aes_encrypts_with_a_state_made_for_each_message(timed: Timed) -> None:
    """How pycryptodome is meant to be used; what keeping the state is measured against."""

    def encrypt() -> bytes:
        return AES.new(KEY, AES.MODE_CBC, iv=KEY[:16]).encrypt(PLAIN)

    assert timed(encrypt) == SEALED


@row("AES encrypt, state per message")
@by_wechatpy
def test_wechatpy_encrypts_with_a_state_made_for_each_message(timed: Timed) -> None:
    """With `cryptography` where that is installed."""

    def encrypt() -> bytes:
        sealed: bytes = WeChatCipher(KEY).encrypt(PLAIN)
        return sealed

    assert timed(encrypt) == SEALED


@row("decode, text message")
def test_a_text_message_is_decoded(timed: Timed) -> None:
    """From its fields to a struct; wechatpy converts a field when it is asked for."""
    message = timed(decode, FIELDS)
    assert isinstance(message, Text)
    assert message.content == CONTENT


@row("decode, nested event")
def test_a_nested_event_is_decoded(timed: Timed) -> None:
    """From its fields to a struct that holds another."""
    message = timed(decode, extract(NESTED_EVENT))
    assert isinstance(message, ScanCodePush)
    assert message.scan_code_info.scan_result == "1"


@row("extract and decode")
def test_a_text_message_is_read_and_decoded(kernels: Kernels, timed: Timed) -> None:
    """From its bytes to a struct."""

    def read() -> object:
        return decode(kernels.extract(TEXT_MESSAGE))

    message = timed(read)
    assert isinstance(message, Text)
    assert message.content == CONTENT


@row("extract and decode")
@by_wechatpy
def test_wechatpy_reads_and_decodes_the_same_message(timed: Timed) -> None:
    """Its parse_message."""
    assert timed(parse_message, TEXT_MESSAGE).content == CONTENT


@row("dedupe key")
@pytest.mark.usefixtures("kernels")
def test_the_key_of_a_message_is_made(timed: Timed) -> None:
    """What tells it from every other message."""
    key = timed(dedupe_key, APP_ID, decode(FIELDS))
    assert (len(key), key) == (16, dedupe_key(APP_ID, decode({**FIELDS})))


@row("encode_xml")
@pytest.mark.usefixtures("kernels")
def test_a_text_reply_is_made_and_encoded(timed: Timed) -> None:
    """From its text to XML."""
    message = decode(FIELDS)

    def encoded() -> bytes:
        return encode_xml(TextReply(ECHO), message, NOW)

    fields = extract(timed(encoded))
    assert (fields["ToUserName"], fields["Content"]) == (OPEN_ID, ECHO)


@row("encode_xml")
@by_wechatpy
def test_wechatpy_makes_and_renders_the_same_reply(timed: Timed) -> None:
    """Its create_reply and render."""
    message = parse_message(TEXT_MESSAGE)

    def rendered() -> str:
        xml: str = create_reply(ECHO, message).render()
        return xml

    fields = extract(timed(rendered).encode())
    assert (fields["ToUserName"], fields["Content"]) == (OPEN_ID, ECHO)


@row("parse_query")
def test_a_query_is_parsed(timed: Timed) -> None:
    """The six parameters of a sealed callback; wechatpy leaves that to the web framework."""
    query = timed(parse_query, QUERY)
    assert (query[b"nonce"], query[b"msg_signature"]) == (NONCE, MSG_SIGNATURE)
