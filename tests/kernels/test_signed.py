"""The kernel that opens what is signed and signs what it seals, in both implementations."""

from typing import Any
from urllib.parse import quote_from_bytes

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.protocol.account import decode_aes_key
from tests.support import Kernels, load_kernels, outcome, vectors

KEY = bytes(range(32))
TOKEN, OTHER = b"token", b"previous"
APP_ID = b"wx5f6b334cfc4155de"
MESSAGE = b"<xml><MsgType><![CDATA[text]]></MsgType></xml>"
AT = 1_715_984_936
RANDOM = b"0123456789abcdef"
PURE = load_kernels("pure")

VECTORS = [v for v in vectors("crypto.json") if v["kind"] == "reply_encrypt"]


def _sealed(message: bytes = MESSAGE, key: bytes = KEY, app_id: bytes = APP_ID) -> bytes:
    return PURE.EnvelopeCipher(key).seal(RANDOM, message, app_id)


def _query(encrypt: bytes, token: bytes = TOKEN, *, at: bytes = b"%d" % AT, **more: bytes) -> bytes:
    signature = PURE.sign(token, at, b"77", encrypt)
    given = {b"signature": b"0" * 40, b"timestamp": at, b"nonce": b"77", b"openid": b"o-_1"}
    given |= {b"encrypt_type": b"aes", b"msg_signature": signature}
    given |= {name.encode(): value for name, value in more.items()}
    return b"&".join(b"%b=%b" % pair for pair in given.items())


def _open(kernels: Kernels, query: bytes, encrypt: bytes, **changes: Any) -> Any:
    given: dict[str, Any] = {
        "tokens": (TOKEN, OTHER),
        "ciphers": tuple(kernels.EnvelopeCipher(key) for key in (KEY, KEY[::-1])),
        "app_id": APP_ID,
        "window": 600,
        "now": AT + 1.5,
    } | changes
    return kernels.open_signed(query, encrypt, *given.values())


@pytest.mark.parametrize("key", [KEY, KEY[::-1]], ids=["current key", "previous key"])
@pytest.mark.parametrize("token", [TOKEN, OTHER], ids=["current token", "previous token"])
def test_what_either_token_signed_and_either_key_sealed_opens(
    kernels: Kernels, token: bytes, key: bytes
) -> None:
    encrypt = _sealed(key=key)
    ciphers = tuple(kernels.EnvelopeCipher(each) for each in (KEY, KEY[::-1]))
    opened = _open(kernels, _query(encrypt, token), encrypt, ciphers=ciphers)
    cipher = ciphers[0] if key == KEY else ciphers[1]
    assert opened == (MESSAGE, token, cipher, b"77")


@pytest.mark.parametrize("size", [0, 1, 4000, 60_000])
def test_a_message_of_any_size_opens(kernels: Kernels, size: int) -> None:
    encrypt = _sealed(b"x" * size)
    assert _open(kernels, _query(encrypt), encrypt)[0] == b"x" * size


def test_the_query_may_be_escaped_and_hold_the_operators_own_parameters(kernels: Kernels) -> None:
    encrypt = _sealed()
    query = _query(encrypt)
    escaped = b"tenant=%E5%BA%97&" + query.replace(b"nonce=77", b"n%6fnce=%37%37") + b"&x=%zz&flag"
    assert _open(kernels, escaped, encrypt)[3] == b"77"


def _without(name: bytes) -> bytes:
    pairs = _query(_sealed()).split(b"&")
    return b"&".join(pair for pair in pairs if not pair.startswith(name + b"="))


@pytest.mark.parametrize(
    ("query", "reason"),
    [
        (b"", "query"),
        (_without(b"timestamp"), "query"),
        (_without(b"nonce"), "query"),
        (_without(b"msg_signature"), "query"),
        (_query(_sealed()) + b"&nonce=77", "query"),
        (_query(_sealed()) + b"&%6eonce=77", "query"),
        (_query(_sealed()) + b"&echostr=1&echostr=2", "query"),
        (_query(_sealed()) + b"&x=" + b"y" * 4096, "query"),
        (_query(_sealed(), at=b"soon"), "timestamp"),
        (_query(_sealed(), at=b"-1"), "timestamp"),
        (_query(_sealed(), at=b"%d" % (AT - 599)), "timestamp"),
        (_query(_sealed(), at=b"%d" % (AT + 602)), "timestamp"),
        (_query(_sealed(), at=b"9" * 20), "timestamp"),
        (_query(_sealed(), at=b"0" * 11 + b"%d" % AT), "timestamp"),
        (_query(_sealed(), b"wrong"), "signature"),
        (_query(_sealed(), msg_signature=b"0" * 39), "signature"),
        (_query(_sealed(), msg_signature=b"0" * 40), "signature"),
    ],
)
def test_what_is_wrong_with_a_query_is_said_in_a_word(
    kernels: Kernels, query: bytes, reason: str
) -> None:
    with pytest.raises(ValueError, match=f"^{reason}$"):
        _open(kernels, query, _sealed())


@pytest.mark.parametrize("at", [AT - 598, AT, AT + 601])
def test_a_timestamp_within_the_window_is_taken(kernels: Kernels, at: int) -> None:
    encrypt = _sealed()
    for written in (b"%d" % at, b"%020d" % at):
        assert _open(kernels, _query(encrypt, at=written), encrypt)[0] == MESSAGE


def test_a_window_of_zero_takes_any_timestamp(kernels: Kernels) -> None:
    encrypt = _sealed()
    assert _open(kernels, _query(encrypt, at=b"soon"), encrypt, window=0)[0] == MESSAGE


@pytest.mark.parametrize(
    ("encrypt", "reason"),
    [
        (b"AAA", "base64"),
        (b"", "block"),
        (_sealed(key=bytes(32)), "padding"),
        (_sealed(app_id=b"wx_other"), "app_id"),
        (_sealed(app_id=APP_ID + b"x"), "app_id"),
    ],
)
def test_what_does_not_open_says_why_under_the_current_key(
    kernels: Kernels, encrypt: bytes, reason: str
) -> None:
    with pytest.raises(ValueError, match=f"^{reason}$"):
        _open(kernels, _query(encrypt), encrypt)


def test_without_a_cipher_the_mode_is_what_is_wrong(kernels: Kernels) -> None:
    encrypt = _sealed()
    with pytest.raises(ValueError, match=r"^mode$"):
        _open(kernels, _query(encrypt), encrypt, ciphers=())


@pytest.mark.parametrize("vector", VECTORS, ids=lambda v: v["name"])
def test_a_published_reply_is_sealed_to_the_same_bytes_and_signed(
    kernels: Kernels, vector: dict[str, Any]
) -> None:
    cipher = kernels.EnvelopeCipher(decode_aes_key(vector["encoding_aes_key"]))
    given: dict[str, Any] = {"token": "t", "nonce": "77", "timestamp": 1409735669} | vector
    names = ("random", "plaintext", "appid", "token")
    random, message, app_id, token = (given[name].encode() for name in names)
    nonce, at = given["nonce"].encode(), int(given["timestamp"])
    signature = PURE.sign(token, b"%d" % at, nonce, given["encrypt"].encode()).decode()
    answer = kernels.seal_signed(random, message, app_id, token, cipher, nonce, at)
    assert kernels.extract(answer) == {
        "Encrypt": given["encrypt"],
        # Where the vector has one, it is the published one.
        "MsgSignature": given.get("msg_signature", signature),
        "TimeStamp": str(at),
        "Nonce": nonce.decode(),
    }


def test_random_of_another_size_is_refused(kernels: Kernels) -> None:
    cipher = kernels.EnvelopeCipher(KEY)
    with pytest.raises(ValueError, match=r"^random$"):
        kernels.seal_signed(bytes(17), b"", APP_ID, TOKEN, cipher, b"7", 1)


BYTES = st.binary(max_size=40)


@pytest.mark.compiled
@given(
    message=st.binary(max_size=6000),
    app_id=BYTES,
    token=BYTES,
    nonce=BYTES,
    at=st.integers(-(2**63), 2**63 - 1),
)
def test_both_implementations_seal_and_sign_alike(
    message: bytes, app_id: bytes, token: bytes, nonce: bytes, at: int
) -> None:
    sealed = []
    for kernels in (PURE, load_kernels("compiled")):
        cipher = kernels.EnvelopeCipher(KEY)
        sealed.append(kernels.seal_signed(RANDOM, message, app_id, token, cipher, nonce, at))
    assert sealed[0] == sealed[1]


def _outcomes(query: bytes, encrypt: bytes, **changes: Any) -> list[Any]:
    """What both give, a cipher by whether it is the first."""
    found = []
    for kernels in (PURE, load_kernels("compiled")):
        ciphers = tuple(kernels.EnvelopeCipher(key) for key in (KEY, KEY[::-1]))
        changes["ciphers"] = ciphers
        got = outcome(lambda k=kernels: _open(k, query, encrypt, **changes))
        found.append((*got[:2], got[2] is ciphers[0], got[3]) if len(got) == 4 else got)
    return found


_NAMES = st.sampled_from(
    [b"signature", b"timestamp", b"nonce", b"msg_signature", b"echostr", b"openid", b"x", b""]
)
_VALUES = st.one_of(
    st.binary(max_size=12),
    st.binary(max_size=6).map(lambda raw: quote_from_bytes(raw).encode()),
    st.sampled_from([b"%d" % AT, b"77", b"%", b"%4", b"%zz", b"%37", b"a=b"]),
)


@pytest.mark.compiled
@given(
    pairs=st.lists(st.tuples(_NAMES, _VALUES), max_size=6),
    tail=st.sampled_from([b"", b"&", b"&&", b"&flag", b"&%6eonce=1"]),
    signs=st.booleans(),
    window=st.sampled_from([0, 600, 10**9]),
    now=st.sampled_from([float(AT), AT + 599.5, 0.0]),
)
def test_both_implementations_agree_on_any_query(
    pairs: list[tuple[bytes, bytes]], tail: bytes, signs: bool, window: int, now: float
) -> None:
    encrypt = _sealed()
    query = b"&".join(b"%b=%b" % pair for pair in pairs) + tail
    if signs:
        query = _query(encrypt) + (b"&" + query if query else b"")
    pure, compiled = _outcomes(query, encrypt, window=window, now=now)
    assert pure == compiled


@pytest.mark.compiled
@given(raw=st.binary(max_size=300), encrypt=st.binary(max_size=100))
def test_both_implementations_agree_on_any_bytes(raw: bytes, encrypt: bytes) -> None:
    for query in (raw, _query(encrypt), _query(encrypt) + b"&" + raw):
        pure, compiled = _outcomes(query, encrypt)
        assert pure == compiled
