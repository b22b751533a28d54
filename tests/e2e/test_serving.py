"""A real gateway over real HTTP, called by the simulated WeChat and by whoever is not WeChat."""

import asyncio
import os
import socket
import time
from functools import partial
from typing import Any

import aiohttp
import pytest
from wechatpy import parse_message
from wechatpy.crypto import WeChatCrypto

from gateway.kernels import extract
from gateway.protocol.account import Mode
from gateway.simulator.documents import EVENTS, MESSAGES, Document, event, message
from gateway.simulator.platform import Outcome, Platform
from gateway.simulator.sealing import Callback, Fault, Sender, make_callback, make_verification
from tests.e2e.server import Server
from tests.support import ACCOUNT_ID, AES_KEY, APP_ID, OPEN_ID, TOKEN, fresh_text, make_sender

NOBODY_LEARNS = {"content-length": "0"}


def _make(sender: Sender, document: Document, fault: Fault | None = None) -> Callback:
    return make_callback(
        sender,
        document,
        now=int(time.time()),
        nonce=str(time.time_ns()),
        random=os.urandom(8).hex().encode(),
        fault=fault,
    )


def _deliver(
    server: Server,
    document: Document,
    *,
    sender: Sender | None = None,
    account: str = "main",
    tries: int = 1,
    query: str = "",
) -> Outcome:
    async def deliver() -> Outcome:
        async with aiohttp.ClientSession() as session:
            url = f"{server.url}/wechat/{account}{query}"
            used = sender or make_sender()
            platform = Platform(session, used, url)
            return await platform.deliver(lambda: _make(used, document), tries)

    return asyncio.run(deliver())


def _reply(server: Server, content: str, **named: Any) -> Any:
    outcome = _deliver(server, fresh_text(content), **named)
    assert outcome.status == 200
    assert outcome.complaint == ""
    return outcome.reply


ACCOUNTS_AND_MODES = [("main", Mode.SAFE), ("compat", Mode.COMPAT), ("plain", Mode.PLAIN)]


@pytest.mark.parametrize(("account", "mode"), ACCOUNTS_AND_MODES)
@pytest.mark.parametrize("as_json", [False, True], ids=["xml", "json"])
def test_a_text_comes_in_and_its_reply_goes_out(
    server: Server, account: str, mode: Mode, as_json: bool
) -> None:
    sender = make_sender(mode, as_json=as_json)
    reply = _reply(server, "你好 😀 ]]> & <", sender=sender, account=account)
    assert reply["Content"] == "你好 😀 ]]> & <"
    assert reply["ToUserName"] == OPEN_ID
    assert reply["FromUserName"] == ACCOUNT_ID


@pytest.mark.parametrize("msg_type", MESSAGES)
def test_every_type_of_message_reaches_its_handler(server: Server, msg_type: str) -> None:
    sent = message(
        msg_type,
        MESSAGES[msg_type],
        to=ACCOUNT_ID,
        sender=OPEN_ID,
        now=int(time.time()),
        msg_id=time.time_ns(),
    )
    reply = _deliver(server, sent).reply
    assert reply is not None
    expected = {"text": "你好", "shortvideo": "ShortVideo"}.get(msg_type, msg_type.capitalize())
    assert reply["Content"] == expected


@pytest.mark.parametrize("name", [*EVENTS, "clICK", "a_future_event"])
def test_every_event_reaches_its_handler(server: Server, name: str) -> None:
    sent = event(name, None, to=ACCOUNT_ID, sender=OPEN_ID, now=int(time.time()))
    outcome = _deliver(server, sent)
    assert outcome.status == 200
    assert outcome.complaint == ""
    assert outcome.reply is not None


def test_a_follower_by_qr_code_brings_the_scene(server: Server) -> None:
    sent = event("subscribe", "1001", to=ACCOUNT_ID, sender=OPEN_ID, now=int(time.time()))
    reply = _deliver(server, sent).reply
    assert reply is not None
    assert reply["Content"] == "scene 1001"


def test_replies_of_other_types_go_out(server: Server) -> None:
    sent = event("CLICK", "news", to=ACCOUNT_ID, sender=OPEN_ID, now=int(time.time()))
    reply = _deliver(server, sent).reply
    assert reply is not None
    assert [item["Title"] for item in reply["Articles"]["item"]] == ["one", "two"]
    sent = event("CLICK", "other", to=ACCOUNT_ID, sender=OPEN_ID, now=int(time.time()))
    reply = _deliver(server, sent).reply
    assert reply is not None
    assert reply["TransInfo"] == {"KfAccount": "kf@test"}


def test_none_is_answered_success(server: Server) -> None:
    callback = _make(make_sender(), fresh_text("nothing"))
    status, headers, body = server.ask("POST", f"/wechat/main?{callback.query}", callback.body)
    assert (status, body) == (200, b"success")
    assert headers["content-type"].startswith("text/plain")


def test_a_sealed_reply_is_xml(server: Server) -> None:
    callback = _make(make_sender(), fresh_text())
    status, headers, body = server.ask("POST", f"/wechat/main?{callback.query}", callback.body)
    assert status == 200
    assert headers["content-type"].startswith("text/xml")
    assert set(extract(body)) == {"Encrypt", "MsgSignature", "TimeStamp", "Nonce"}


def test_what_a_handler_returns_is_made_well_formed(server: Server) -> None:
    assert _reply(server, "illegal")["Content"] == "ab]]>cd"


def test_two_thousand_bytes_of_text_survive(server: Server) -> None:
    content = "好" * 682 + "xy"
    assert len(content.encode()) == 2048
    assert _reply(server, content)["Content"] == content


def test_a_plain_function_runs_in_a_thread(server: Server) -> None:
    assert _reply(server, "thread")["Content"] == "other"


def test_the_context_tells_about_the_delivery(server: Server) -> None:
    sent = fresh_text("context")
    first = _deliver(server, sent, query="?tenant=a%20b").reply
    second = _deliver(server, sent).reply
    assert first is not None
    assert second is not None
    account, attempt, trace, tenant = first["Content"].split(maxsplit=3)
    assert (account, attempt, tenant) == ("main", "1", "a b")
    assert len(trace) == 32
    assert second == first


def test_a_failed_delivery_leaves_the_message_to_the_next_one(server: Server) -> None:
    sent = fresh_text("flaky")
    outcome = _deliver(server, sent, tries=3)
    assert [attempt.status for attempt in outcome.attempts] == [500, 200]
    assert outcome.reply is not None
    assert outcome.reply["Content"] == "attempt 2"


def test_a_trace_that_comes_with_the_request_is_kept(server: Server) -> None:
    trace = "0af7651916cd43dd8448eb211c80319c"
    callback = _make(make_sender(Mode.PLAIN), fresh_text("context"))
    _, _, body = server.ask(
        "POST",
        f"/wechat/plain?{callback.query}",
        callback.body,
        traceparent=f"00-{trace}-b7ad6b7169203331-01",
    )
    assert trace in extract(body)["Content"]


def test_wechatpy_s_own_callback_is_answered_and_its_reply_opens(server: Server) -> None:
    now, nonce = str(int(time.time())), "7788"
    peer = WeChatCrypto(TOKEN, AES_KEY, APP_ID)
    document = (
        f"<xml><ToUserName>gh_1</ToUserName><FromUserName>o1</FromUserName><CreateTime>{now}"
        "</CreateTime><MsgType>text</MsgType><Content>via wechatpy</Content><MsgId>5</MsgId></xml>"
    )
    body = peer.encrypt_message(document, nonce, now).encode()
    signature = extract(body)["MsgSignature"]
    query = f"timestamp={now}&nonce={nonce}&encrypt_type=aes&msg_signature={signature}"
    status, _, answer = server.ask("POST", f"/wechat/main?{query}", body)
    assert status == 200
    fields = extract(answer)
    opened = peer.decrypt_message(
        answer.decode(), fields["MsgSignature"], fields["TimeStamp"], fields["Nonce"]
    )
    assert parse_message(opened).content == "via wechatpy"


class TestVerification:
    """The console's GET."""

    @pytest.mark.parametrize(("account", "mode"), ACCOUNTS_AND_MODES)
    def test_the_echostr_comes_back_byte_for_byte_as_text(
        self, server: Server, account: str, mode: Mode
    ) -> None:
        query = make_verification(
            make_sender(mode), now=int(time.time()), nonce="1", echostr="4375120948345356249"
        )
        status, headers, body = server.ask("GET", f"/wechat/{account}?{query}")
        assert (status, body) == (200, b"4375120948345356249")
        assert headers["content-type"].startswith("text/plain")

    def test_a_wrong_signature_is_refused(self, server: Server) -> None:
        query = make_verification(
            make_sender(token=b"other"), now=int(time.time()), nonce="1", echostr="2"
        )
        assert server.ask("GET", f"/wechat/main?{query}")[::2] == (403, b"")


def _bad_requests() -> list[tuple[str, str, bytes]]:
    """Return name, path and body of requests that must all get the same refusal."""
    good = _make(make_sender(), fresh_text())
    plain = _make(make_sender(Mode.PLAIN), fresh_text())
    other = _make(make_sender(), fresh_text(ToUserName="gh_other"))
    faults = [
        (f"bad {fault}", f"/wechat/main?{bad.query}", bad.body)
        for fault in Fault
        for bad in [_make(make_sender(), fresh_text(), fault)]
    ]
    path = f"/wechat/main?{good.query}"
    unsigned = good.query.partition("&msg_signature")[0]
    return [
        *faults,
        ("no query", "/wechat/main", good.body),
        ("no msg_signature", f"/wechat/main?{unsigned}", good.body),
        ("short msg_signature", path[:-1], good.body),
        ("long msg_signature", path + "0", good.body),
        ("repeated timestamp", path + "&timestamp=1", good.body),
        ("non-ASCII signature", f"/wechat/main?{unsigned}&msg_signature=%E7%AD%BE", good.body),
        ("bad percent", path + "%", good.body),
        ("query of 6 KB", path + "&x=" + "x" * 6000, good.body),
        ("no body", path, b""),
        ("not XML", path, b"hello"),
        ("truncated", path, good.body[:-10]),
        ("doctype", path, b"<!DOCTYPE a>" + good.body),
        ("deep", path, b"<a>" * 20_000),
        ("deep JSON", path, b'{"a":' * 10_000),
        ("not UTF-8", path, b"<xml>\xff</xml>"),
        ("plain to safe", path, plain.body),
        ("plain to compat", f"/wechat/compat?{good.query}", plain.body),
        ("sealed to plain", f"/wechat/plain?{plain.query}", good.body),
        ("another ToUserName", f"/wechat/pinned?{other.query}", other.body),
        ("Encrypt not base64", path, b"<xml><Encrypt>\xe4\xbd\xa0</Encrypt></xml>"),
    ]


BAD = _bad_requests()


class TestRefusals:
    """Who is not WeChat learns nothing, breaks nothing, and is counted."""

    @pytest.mark.parametrize("number", range(len(BAD)), ids=[bad[0] for bad in BAD])
    def test_every_bad_callback_gets_the_same_empty_refusal(
        self, server: Server, number: int
    ) -> None:
        _, path, body = _bad_requests()[number]
        status, headers, answer = server.ask("POST", path, body)
        assert (status, answer) == (403, b"")
        assert set(headers) <= {"server", "date", "content-length"}
        assert headers["content-length"] == "0"

    def test_in_plain_mode_a_request_again_is_taken_and_with_another_body_refused(
        self, server: Server
    ) -> None:
        callback = _make(make_sender(Mode.PLAIN), fresh_text("genuine"))
        path = f"/wechat/plain?{callback.query}"
        assert [server.ask("POST", path, callback.body)[0] for _ in range(3)] == [200] * 3
        forged = callback.body.replace(b"genuine", b"forged")
        assert server.ask("POST", path, forged)[::2] == (403, b"")
        assert server.ask("POST", path, callback.body)[0] == 200

    def test_refusals_are_logged_by_reason_without_a_word_of_what_was_sent(
        self, server: Server
    ) -> None:
        spoiled = _make(make_sender(), fresh_text("PRIVATE-TEXT"), Fault.SIGNATURE)
        server.ask("POST", f"/wechat/main?{spoiled.query}", spoiled.body)
        until = time.monotonic() + 5
        while "reason=signature" not in server.log and time.monotonic() < until:
            time.sleep(0.05)
        lines = [line for line in server.log.splitlines() if "callback refused" in line]
        assert any("account=main reason=signature count=" in line for line in lines)
        for secret in (TOKEN, AES_KEY, OPEN_ID, "PRIVATE-TEXT", spoiled.query[-40:]):
            assert secret not in server.log

    @pytest.mark.parametrize(
        ("method", "path", "status"),
        [
            ("POST", "/wechat/unknown", 404),
            ("GET", "/wechat/unknown", 404),
            ("POST", "/wechat/main/more", 404),
            ("POST", "/wechat", 404),
            ("POST", "/wechatmain", 404),
            ("POST", "/wechat/%6D%61%69%6E%00", 404),
            ("POST", "/wechat/%6Dain", 403),
            ("PUT", "/wechat/main", 405),
            ("DELETE", "/wechat/main", 405),
            ("PATCH", "/wechat/main", 405),
        ],
    )
    def test_other_paths_and_methods_have_their_statuses(
        self, server: Server, method: str, path: str, status: int
    ) -> None:
        got, headers, _ = server.ask(method, path, b"" if method == "POST" else None)
        assert got == status
        assert status != 405 or headers["allow"] == "GET, POST"

    @pytest.mark.parametrize("chunked", [False, True], ids=["declared", "chunked"])
    def test_a_body_over_the_cap_is_413_and_one_at_the_cap_is_read(
        self, server: Server, chunked: bool
    ) -> None:
        callback = _make(make_sender(), fresh_text())
        path = f"/wechat/main?{callback.query}"
        for size, status in ((65536, 403), (65537, 413), (3_000_000, 413)):
            whole = b"x" * size
            parts = (whole[at : at + 8192] for at in range(0, size, 8192))
            body: Any = parts if chunked else whole
            try:
                assert server.ask("POST", path, body)[0] == status
            except (BrokenPipeError, ConnectionResetError):
                # The server may answer and close before it has read what is too much anyway.
                assert status == 413

    def test_a_request_cut_in_the_middle_harms_nobody(self, server: Server) -> None:
        callback = _make(make_sender(), fresh_text())
        line = f"POST /wechat/main?{callback.query} HTTP/1.1"
        head = f"{line}\r\nHost: x\r\nContent-Length: 9000\r\n\r\n"
        for cut in (b"", callback.body[:100]):
            with socket.create_connection(("127.0.0.1", server.port)) as connection:
                connection.sendall(head.encode() + cut)
        assert _reply(server, "still here")["Content"] == "still here"

    @pytest.mark.parametrize(
        "line",
        [
            b"GET /wechat/main?signature=\xff\xfe HTTP/1.1",
            b"GET /wechat/\xff HTTP/1.1",
            b"\x16\x03\x01",
        ],
    )
    def test_bytes_that_are_no_http_harm_nobody(self, server: Server, line: bytes) -> None:
        with socket.create_connection(("127.0.0.1", server.port), timeout=10) as connection:
            connection.sendall(line + b"\r\nHost: x\r\nConnection: close\r\n\r\n")
            answer = connection.recv(1000)
        assert not answer or answer.split()[1] in (b"400", b"403", b"404")
        assert _reply(server, "still here")["Content"] == "still here"


class TestFailures:
    """A handler that fails: WeChat is told nothing, so that it tries again."""

    @pytest.mark.parametrize("content", ["fail", "wrong"])
    def test_a_failing_handler_is_a_500_with_an_empty_body(
        self, server: Server, content: str
    ) -> None:
        callback = _make(make_sender(), fresh_text(content))
        status, _, body = server.ask("POST", f"/wechat/main?{callback.query}", callback.body)
        assert (status, body) == (500, b"")

    def test_it_leaves_one_log_line_with_the_trace_and_no_message_text(
        self, server: Server
    ) -> None:
        trace = f"{time.time_ns():032x}"
        callback = _make(make_sender(), fresh_text("fail"))
        server.ask(
            "POST",
            f"/wechat/main?{callback.query}",
            callback.body,
            traceparent=f"00-{trace}-b7ad6b7169203331-01",
        )
        lines = [line for line in server.log.splitlines() if trace in line]
        assert len(lines) == 1
        assert "tests.e2e.bot.fail error=RuntimeError" in lines[0]
        assert "SECRET" not in server.log
        assert OPEN_ID not in server.log

    def test_wechat_tries_three_times_and_tells_the_user(self, server: Server) -> None:
        outcome = _deliver(server, fresh_text("fail"), tries=3)
        assert [attempt.status for attempt in outcome.attempts] == [500, 500, 500]
        assert outcome.complaint == "status 500"


class TestHealth:
    """What an orchestrator asks."""

    @pytest.mark.parametrize("path", ["/health/live", "/health/ready"])
    def test_it_answers(self, server: Server, path: str) -> None:
        status, headers, body = server.ask("GET", path)
        assert status == 200
        assert headers["content-type"].startswith("application/json")
        assert b'"status":"ok"' in body

    def test_ready_tells_which_kernels_run(self, server: Server) -> None:
        assert b'"kernels":"' in server.ask("GET", "/health/ready")[2]

    def test_an_unknown_path_is_404(self, server: Server) -> None:
        assert server.ask("GET", "/nothing/here")[0] == 404
        assert server.ask("POST", "/health/live", b"")[0] == 405


def test_many_callbacks_at_once_each_get_their_own_reply(server: Server) -> None:
    sender = make_sender()

    def callback(number: int) -> Callback:
        return _make(sender, fresh_text(f"number {number}", FromUserName=f"o{number}"))

    async def deliver_all() -> list[Outcome]:
        async with aiohttp.ClientSession() as session:
            platform = Platform(session, sender, f"{server.url}/wechat/main")
            return await asyncio.gather(
                *(platform.deliver(partial(callback, number), 1) for number in range(200))
            )

    for number, outcome in enumerate(asyncio.run(deliver_all())):
        assert outcome.reply is not None
        assert outcome.reply["Content"] == f"number {number}"
        assert outcome.reply["ToUserName"] == f"o{number}"
