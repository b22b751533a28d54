"""The pure path: modes, rotations, formats, and everything a sender may do wrong."""

import gc
import json
import struct
from contextlib import suppress
from typing import Any
from urllib.parse import parse_qsl, urlencode

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import Reason, Refused
from gateway.protocol.account import Account, Mode, decode_aes_key
from gateway.protocol.callback import SUCCESS, echo, receive, respond
from gateway.protocol.messages import Text
from gateway.protocol.query import parse_query
from gateway.protocol.replies import TextReply
from gateway.simulator.platform import open_reply
from gateway.simulator.sealing import Callback, Fault, Sender, make_callback, make_verification
from tests.support import (
    ACCOUNT_ID,
    AES_KEY,
    APP_ID,
    NOW,
    OTHER_AES_KEY,
    TOKEN,
    Kernels,
    make_account,
    make_sender,
    text_document,
)

RANDOM = b"0123456789abcdef"


def _callback(
    sender: Sender, document: dict[str, Any] | None = None, fault: Fault | None = None
) -> Callback:
    return make_callback(
        sender,
        document or text_document(),
        now=NOW,
        nonce="1582978333",
        random=RANDOM,
        fault=fault,
    )


def _receive(account: Account, callback: Callback, now: float = NOW) -> Any:
    return receive(account, callback.query.encode(), callback.body, now)


def _refused(account: Account, callback: Callback, now: float = NOW) -> Reason:
    with pytest.raises(Refused) as refused:
        _receive(account, callback, now)
    return refused.value.reason


def _without(callback: Callback, *names: str, **changes: str) -> Callback:
    pairs = [(k, v) for k, v in parse_qsl(callback.query) if k not in names]
    query = dict(pairs) | changes
    return Callback(urlencode(query), callback.body, callback.headers)


@pytest.mark.parametrize("mode", Mode)
@pytest.mark.parametrize("as_json", [False, True], ids=["xml", "json"])
def test_a_message_is_received_in_every_mode_and_format(
    kernels: Kernels, mode: Mode, as_json: bool
) -> None:
    account = make_account(kernels, mode=mode)
    received = _receive(account, _callback(make_sender(mode, as_json=as_json)))
    assert isinstance(received.message, Text)
    assert received.message.content == "你好"
    assert received.message.msg_id == 24_000_000_000_000_101
    assert received.as_json is as_json


@pytest.mark.parametrize("mode", Mode)
@pytest.mark.parametrize("as_json", [False, True], ids=["xml", "json"])
def test_a_reply_is_of_the_request_s_mode_and_format(
    kernels: Kernels, mode: Mode, as_json: bool
) -> None:
    account, sender = make_account(kernels, mode=mode), make_sender(mode, as_json=as_json)
    received = _receive(account, _callback(sender))
    body = respond(account, received, TextReply("再见"), NOW + 1, RANDOM)
    read = json.loads if as_json else kernels.extract
    if mode is not Mode.PLAIN:
        envelope = read(body)
        assert envelope["Nonce"] == "1582978333"
        assert str(envelope["TimeStamp"]) == str(NOW + 1)
        body = open_reply(sender, envelope)
    fields = read(body)
    assert fields["Content"] == "再见"
    assert fields["ToUserName"] == text_document()["FromUserName"]
    assert fields["FromUserName"] == ACCOUNT_ID
    assert str(fields["CreateTime"]) == str(NOW + 1)


@pytest.mark.parametrize("mode", Mode)
def test_success_is_never_sealed(kernels: Kernels, mode: Mode) -> None:
    account = make_account(kernels, mode=mode)
    received = _receive(account, _callback(make_sender(mode)))
    assert respond(account, received, None, NOW, RANDOM) is SUCCESS


def test_a_nonce_that_could_break_the_envelope_is_not_repeated(kernels: Kernels) -> None:
    account, sender = make_account(kernels), make_sender()
    callback = make_callback(sender, text_document(), now=NOW, nonce="]]></Nonce>", random=RANDOM)
    body = respond(account, _receive(account, callback), TextReply("x"), NOW, RANDOM)
    envelope = kernels.extract(body)
    assert envelope["Nonce"] == str(NOW)
    assert b"x" in open_reply(sender, envelope)


class TestMode:
    """The account's mode decides, never the request."""

    @pytest.mark.parametrize("mode", [Mode.SAFE, Mode.COMPAT])
    def test_a_plain_body_is_refused_where_sealed_ones_are_due(
        self, kernels: Kernels, mode: Mode
    ) -> None:
        plain = _callback(make_sender(Mode.PLAIN))
        account = make_account(kernels, mode=mode)
        assert _refused(account, plain) is Reason.MODE
        pretending = _without(plain, encrypt_type="aes", msg_signature="0" * 40)
        assert _refused(account, pretending) is Reason.MODE

    def test_a_sealed_body_is_refused_by_a_plain_account(self, kernels: Kernels) -> None:
        account = make_account(kernels, mode=Mode.PLAIN)
        assert _refused(account, _callback(make_sender(Mode.SAFE))) is Reason.MODE

    def test_in_compat_mode_only_what_is_sealed_is_believed(self, kernels: Kernels) -> None:
        genuine = _callback(make_sender(Mode.COMPAT))
        forged = Callback(
            genuine.query, genuine.body.replace("你好".encode(), b"forged"), genuine.headers
        )
        received = _receive(make_account(kernels, mode=Mode.COMPAT), forged)
        assert received.message.content == "你好"

    def test_encrypt_type_in_the_query_changes_nothing(self, kernels: Kernels) -> None:
        callback = _without(_callback(make_sender()), encrypt_type="raw")
        assert _receive(make_account(kernels), callback).message.content == "你好"


class TestRotation:
    """While a token or key is changed, the current and the previous one work."""

    def test_both_tokens_are_taken_and_the_reply_is_signed_with_the_request_s(
        self, kernels: Kernels
    ) -> None:
        account = make_account(kernels, tokens=(b"newToken", TOKEN.encode()))
        for token in (b"newToken", TOKEN.encode()):
            sender = make_sender(token=token)
            received = _receive(account, _callback(sender))
            body = respond(account, received, TextReply("x"), NOW, RANDOM)
            assert b"x" in open_reply(sender, kernels.extract(body))
        assert _refused(account, _callback(make_sender(token=b"third"))) is Reason.SIGNATURE

    def test_both_keys_open_and_the_reply_is_sealed_under_the_request_s(
        self, kernels: Kernels
    ) -> None:
        account = make_account(
            kernels, encoding_aes_key=OTHER_AES_KEY, previous_encoding_aes_key=AES_KEY
        )
        for key in (OTHER_AES_KEY, AES_KEY):
            sender = make_sender(aes_key=decode_aes_key(key))
            received = _receive(account, _callback(sender))
            body = respond(account, received, TextReply("x"), NOW, RANDOM)
            assert b"x" in open_reply(sender, kernels.extract(body))
        third = make_sender(aes_key=bytes(32))
        assert _refused(account, _callback(third)) in (Reason.PADDING, Reason.LENGTH)


class TestTimestamp:
    """Requests from outside the window are refused."""

    @pytest.mark.parametrize("off", [-600, 0, 600])
    def test_within_the_window_it_is_taken(self, kernels: Kernels, off: int) -> None:
        account = make_account(kernels, timestamp_window=600)
        assert _receive(account, _callback(make_sender()), NOW + off).message.content == "你好"

    @pytest.mark.parametrize("off", [-601, 601, 10**9])
    def test_outside_the_window_it_is_refused(self, kernels: Kernels, off: int) -> None:
        account = make_account(kernels, timestamp_window=600)
        assert _refused(account, _callback(make_sender()), NOW + off) is Reason.TIMESTAMP

    @pytest.mark.parametrize("timestamp", ["abc", "-5", "1e9", "1.5", "٣", "9" * 21, "9" * 4000])
    def test_what_is_no_number_is_refused(self, kernels: Kernels, timestamp: str) -> None:
        account = make_account(kernels, timestamp_window=600)
        callback = _without(_callback(make_sender()), timestamp=timestamp)
        assert _refused(account, callback) in (Reason.TIMESTAMP, Reason.QUERY)

    def test_a_window_of_0_takes_any_time(self, kernels: Kernels) -> None:
        account = make_account(kernels, timestamp_window=0)
        assert _receive(account, _callback(make_sender()), 0).message.content == "你好"


class TestQuery:
    """The query string as an attacker may write it."""

    @pytest.mark.parametrize("name", ["timestamp", "nonce", "msg_signature"])
    @pytest.mark.parametrize("how", ["missing", "empty", "repeated", "not ASCII"])
    def test_a_parameter_that_is_not_as_it_should_be_is_refused(
        self, kernels: Kernels, name: str, how: str
    ) -> None:
        callback = _callback(make_sender())
        spoiled = {
            "missing": _without(callback, name),
            "empty": _without(callback, **{name: ""}),
            "repeated": Callback(f"{callback.query}&{name}=1", callback.body, {}),
            "not ASCII": _without(callback, **{name: "签名"}),
        }[how]
        assert _refused(make_account(kernels), spoiled) in (Reason.QUERY, Reason.SIGNATURE)

    def test_a_repeat_is_found_behind_percent_signs(self, kernels: Kernels) -> None:
        callback = _callback(make_sender())
        hidden = Callback(f"{callback.query}&%74imestamp=1", callback.body, {})
        assert _refused(make_account(kernels), hidden) is Reason.QUERY

    def test_the_operator_s_own_parameters_are_left_alone(self, kernels: Kernels) -> None:
        callback = _callback(make_sender())
        own = Callback(f"tenant=1&tenant=2&{callback.query}&flag", callback.body, {})
        assert _receive(make_account(kernels), own).message.content == "你好"

    def test_a_query_of_kilobytes_is_refused(self, kernels: Kernels) -> None:
        callback = _callback(make_sender())
        long = Callback(f"{callback.query}&x={'x' * 5000}", callback.body, {})
        with pytest.raises(Refused):
            _receive(make_account(kernels), long)

    def test_a_plus_stays_a_plus(self) -> None:
        assert parse_query(b"echostr=a+b%2Bc%20d") == {b"echostr": b"a+b+c d"}

    @given(st.binary(max_size=300))
    def test_any_bytes_parse_or_are_refused(self, raw: bytes) -> None:
        try:
            query = parse_query(raw)
        except Refused as refused:
            assert refused.reason is Reason.QUERY  # noqa: PT017 - either outcome is right
        else:
            assert all(isinstance(v, bytes) for v in query.values())


def _sign_body(sender: Sender, body: bytes, encrypt: bytes) -> Callback:
    """Return a callback around any Encrypt, signed as WeChat would."""
    from gateway.kernels import sign  # noqa: PLC0415 - the sender's side, not the one under test

    signature = sign(sender.token, str(NOW).encode(), b"1", encrypt).decode()
    query = urlencode({"timestamp": str(NOW), "nonce": "1", "msg_signature": signature})
    return Callback(query, body, {})


class TestBody:
    """The body as an attacker, or a broken proxy, may send it."""

    @pytest.mark.parametrize(
        ("fault", "reason"),
        [
            (Fault.SIGNATURE, Reason.SIGNATURE),
            (Fault.PADDING, Reason.PADDING),
            (Fault.APPID, Reason.APP_ID),
            (Fault.XML, Reason.DOCUMENT),
        ],
    )
    def test_each_fault_has_its_reason(
        self, kernels: Kernels, fault: Fault, reason: Reason
    ) -> None:
        assert _refused(make_account(kernels), _callback(make_sender(), fault=fault)) is reason

    @pytest.mark.parametrize(
        ("encrypt", "reason"),
        [
            ("", Reason.BLOCK),
            ("签名", Reason.BASE64),
            ("AAA", Reason.BASE64),
            ("AAAA", Reason.BLOCK),
            ("A" * 64, Reason.PADDING),
        ],
    )
    def test_a_signed_encrypt_that_is_wrong_has_its_reason(
        self, kernels: Kernels, encrypt: str, reason: Reason
    ) -> None:
        body = f"<xml><Encrypt>{encrypt}</Encrypt></xml>".encode()
        callback = _sign_body(make_sender(), body, encrypt.encode())
        assert _refused(make_account(kernels), callback) is reason

    @pytest.mark.parametrize(
        ("frame", "reason"),
        [
            (RANDOM, Reason.LENGTH),
            (RANDOM + struct.pack(">I", 2**32 - 1) + b"<xml/>", Reason.LENGTH),
            (RANDOM + struct.pack("<I", 6) + b"<xml/>" + APP_ID.encode(), Reason.LENGTH),
            (RANDOM + struct.pack(">I", 6) + b"<xml/>" + APP_ID.encode()[:-1], Reason.APP_ID),
            (RANDOM + struct.pack(">I", 6) + b"<xml/>" + APP_ID.encode() + b"0", Reason.APP_ID),
            (RANDOM + struct.pack(">I", 0) + APP_ID.encode(), Reason.DOCUMENT),
            (RANDOM + struct.pack(">I", 2) + b"\xff\xff" + APP_ID.encode(), Reason.DOCUMENT),
            (RANDOM + struct.pack(">I", 2) + b"[]" + APP_ID.encode(), Reason.DOCUMENT),
            (RANDOM + struct.pack(">I", 4) + b'{"a"' + APP_ID.encode(), Reason.DOCUMENT),
        ],
    )
    def test_a_signed_frame_that_is_wrong_has_its_reason(
        self, kernels: Kernels, frame: bytes, reason: Reason
    ) -> None:
        import base64  # noqa: PLC0415 - the sender's side

        from Crypto.Cipher import AES  # noqa: PLC0415

        sender = make_sender()
        assert sender.aes_key is not None
        cipher = AES.new(sender.aes_key, AES.MODE_CBC, iv=sender.aes_key[:16])
        encrypt = base64.b64encode(cipher.encrypt(kernels.pad(frame)))
        body = b"<xml><Encrypt>" + encrypt + b"</Encrypt></xml>"
        assert _refused(make_account(kernels), _sign_body(sender, body, encrypt)) is reason

    @pytest.mark.parametrize(
        "body",
        [
            b"",
            b"success",
            b"<xml>",
            b"<xml><Encrypt>AAAA</Encrypt>",
            b"<!DOCTYPE xml [<!ENTITY x SYSTEM 'file:///etc/passwd'>]><xml><Encrypt>&x;</Encrypt></xml>",
            b"<xml><Encrypt>" + b"A" * 100_000,
            b"<a>" * 20_000,
            b"<xml>\xff\xfe</xml>",
            b"{",
            b"[1]",
            b'"text"',
            b"{" * 50_000,
            b'{"a":' * 50_000,
            b'{"Encrypt": {"a": 1}}',
            b'{"Encrypt": 5}',
            b'{"Encrypt": "\\ud800"}',
            b"<xml><Encrypt><a>1</a></Encrypt></xml>",
            b"<xml><Encrypt>1</Encrypt><Encrypt>2</Encrypt></xml>",
            b"<xml></xml>",
            "你好".encode("gbk"),
        ],
    )
    @pytest.mark.parametrize("mode", [Mode.SAFE, Mode.COMPAT])
    def test_a_body_that_holds_no_envelope_is_refused(
        self, kernels: Kernels, body: bytes, mode: Mode
    ) -> None:
        callback = _callback(make_sender())
        spoiled = Callback(callback.query, body, {})
        reason = _refused(make_account(kernels, mode=mode), spoiled)
        assert reason in (Reason.DOCUMENT, Reason.MODE, Reason.SIGNATURE, Reason.BASE64)

    @given(st.binary(max_size=400), st.sampled_from(Mode))
    def test_any_bytes_are_refused_or_received_and_nothing_else(
        self, body: bytes, mode: Mode
    ) -> None:
        callback = _callback(make_sender(Mode.PLAIN))
        with suppress(Refused):
            _receive(make_account(mode=mode), Callback(callback.query, body, {}))

    @given(
        st.dictionaries(
            st.sampled_from(["MsgType", "Event", "FromUserName", "ToUserName", "Encrypt", "List"]),
            st.recursive(
                st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
                lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
                max_leaves=5,
            ),
        )
    )
    def test_any_json_object_is_refused_or_received_and_nothing_else(
        self, fields: dict[str, Any]
    ) -> None:
        callback = _callback(make_sender(Mode.PLAIN))
        try:
            body = msgspec.json.encode(fields)
        except (UnicodeEncodeError, OverflowError):
            return
        with suppress(Refused):
            _receive(make_account(mode=Mode.PLAIN), Callback(callback.query, body, {}))

    @pytest.mark.parametrize(
        "content",
        [
            "👍🏽👨‍👩‍👧 é",
            "a]]>b",
            "]]>",
            "a & b < c > d \"e\" 'f'",
            "a\x08\x14b",
            "好" * 682 + "xy",
            " both ends ",
            "line\nline",
        ],
    )
    def test_text_that_users_send_arrives_whole(self, kernels: Kernels, content: str) -> None:
        callback = _callback(make_sender(), text_document(content))
        assert _receive(make_account(kernels), callback).message.content == content


@pytest.mark.parametrize("body", [b"<html></html>", b"{}", b"<xml/>", b"<xml><A>1</A></xml>"])
def test_what_names_no_type_is_no_message(kernels: Kernels, body: bytes) -> None:
    callback = _callback(make_sender(Mode.PLAIN))
    account = make_account(kernels, mode=Mode.PLAIN)
    assert _refused(account, Callback(callback.query, body, {})) is Reason.DOCUMENT


@pytest.mark.parametrize("fault", [None, *Fault])
def test_neither_a_message_nor_a_refusal_leaves_a_reference_cycle(
    kernels: Kernels, fault: Fault | None
) -> None:
    """Cycles hold whole messages until a collection, which the gateway makes rare."""
    account = make_account(kernels, timestamp_window=600)
    callback = _callback(make_sender(), fault=fault)
    query = callback.query.encode()
    gc.collect()
    gc.disable()
    try:
        for _ in range(10):
            with suppress(Refused):
                receive(account, query, callback.body, NOW)
        assert gc.collect() == 0
    finally:
        gc.enable()


class TestPin:
    """original_id pins ToUserName."""

    def test_another_recipient_is_refused(self, kernels: Kernels) -> None:
        pinned = make_account(kernels, original_id=ACCOUNT_ID)
        assert _receive(pinned, _callback(make_sender())).message.to_user_name == ACCOUNT_ID
        other = _callback(make_sender(), text_document(ToUserName="gh_other"))
        assert _refused(pinned, other) is Reason.TO_USER_NAME

    def test_a_platform_s_push_has_no_recipient_and_is_taken(self, kernels: Kernels) -> None:
        push = {
            "AppId": APP_ID,
            "FromUserName": "",
            "ToUserName": "",
            "InfoType": "component_verify_ticket",
            "ComponentVerifyTicket": "ticket",
        }
        pinned = make_account(kernels, original_id=ACCOUNT_ID)
        received = _receive(pinned, _callback(make_sender(), push))
        assert type(received.message).__name__ == "ComponentVerifyTicket"


class TestEcho:
    """URL verification."""

    @pytest.mark.parametrize("mode", Mode)
    def test_the_echostr_comes_back_as_it_was(self, kernels: Kernels, mode: Mode) -> None:
        account = make_account(kernels, mode=mode, timestamp_window=600)
        query = make_verification(make_sender(mode), now=NOW, nonce="1", echostr="<b>1</b> 2")
        assert echo(account, parse_query(query.encode()), NOW) == b"<b>1</b>+2"

    @pytest.mark.parametrize("name", ["signature", "timestamp", "nonce", "echostr"])
    def test_a_missing_parameter_is_refused(self, kernels: Kernels, name: str) -> None:
        query = make_verification(make_sender(), now=NOW, nonce="1", echostr="2")
        pairs = urlencode([(k, v) for k, v in parse_qsl(query) if k != name])
        with pytest.raises(Refused):
            echo(make_account(kernels), parse_query(pairs.encode()), NOW)

    def test_a_sealed_message_cannot_be_had_opened_as_an_echostr(self, kernels: Kernels) -> None:
        """Its msg_signature is of the same form as that of an encrypted echostr."""
        callback = _callback(make_sender())
        encrypt = kernels.extract(callback.body)["Encrypt"]
        query = dict(parse_qsl(callback.query)) | {"echostr": encrypt}
        del query["signature"]
        with pytest.raises(Refused):
            echo(make_account(kernels), parse_query(urlencode(query).encode()), NOW)

    def test_an_old_one_is_refused(self, kernels: Kernels) -> None:
        account = make_account(kernels, timestamp_window=600)
        query = make_verification(make_sender(), now=NOW - 601, nonce="1", echostr="2")
        with pytest.raises(Refused):
            echo(account, parse_query(query.encode()), NOW)


def test_an_account_keeps_its_secrets_out_of_its_repr(kernels: Kernels) -> None:
    account = make_account(kernels)
    assert TOKEN not in repr(account)
    received = _receive(account, _callback(make_sender()))
    assert TOKEN not in repr(received)
    assert "你好" not in repr(received)
    assert TOKEN not in repr(make_sender())


@pytest.mark.parametrize(
    "key", ["", "a" * 42, "a" * 44, "a" * 42 + "=", "a" * 42 + "é", "-" * 43, " " + "a" * 42]
)
def test_a_key_that_is_none_is_refused(key: str) -> None:
    with pytest.raises(ValueError, match="must"):
        decode_aes_key(key)
