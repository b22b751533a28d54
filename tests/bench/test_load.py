"""The load comparison: its callbacks, its check of the replies, its generators."""

import json
import shutil
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
from wechatpy import create_reply, parse_message
from wechatpy.crypto import WeChatCrypto

from bench.load.__main__ import main
from bench.load.account import ACCOUNT_ID, APP_ID, CALLBACK_PATH, ENCODING_AES_KEY, TOKEN
from bench.load.callbacks import CallbackSet, Check, echo_check, success_check
from bench.load.choice import choose_generator
from bench.load.cores import UsageMeter
from bench.load.generator import Generator, Load, LoadError
from bench.load.python_generator import PythonGenerator
from bench.load.report import goal_lines, markdown_table, summarise
from bench.load.runner import Findings, Measurement
from bench.load.servers import ROWS, Row, Server

COUNT = 500


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the callbacks and replies of this module's runs lie."""
    return tmp_path_factory.mktemp("load")


@pytest.fixture(scope="module")
def callbacks(directory: Path) -> CallbackSet:
    """A small set of callbacks."""
    return CallbackSet(directory / "callbacks", COUNT, int(time.time()))


WINDOW = 600
"""Seconds within which the callbacks are sent."""


@pytest.fixture
def check(callbacks: CallbackSet) -> Check:
    """The check of echoes of that set."""
    return echo_check(callbacks)


@pytest.fixture(scope="module")
def server(directory: Path) -> Iterator[Server]:
    """Run wechatpy on FastAPI."""
    with Server(ROWS["wechatpy-fastapi"], None, WINDOW) as started:
        yield started


def crypto() -> WeChatCrypto:
    """The other implementation, which judges this one."""
    return WeChatCrypto(TOKEN, ENCODING_AES_KEY, APP_ID)


def reply_to(openid: str, text: str, account: str = ACCOUNT_ID) -> bytes:
    """Seal a text reply with wechatpy."""
    message = parse_message(
        f"<xml><ToUserName>{account}</ToUserName><FromUserName>{openid}</FromUserName>"
        "<MsgType>text</MsgType><Content>any</Content></xml>"
    )
    sealed: str = crypto().encrypt_message(create_reply(text, message).render(), "n7", "1700000000")
    return sealed.encode()


def kind_of_fault(check: Check, body: bytes, callback: int | None = None) -> str | None:
    """What the check says of a reply, in a word."""
    fault = check(body, callback)
    return fault.kind if fault else None


def test_wechatpy_accepts_every_callback_of_the_set(callbacks: CallbackSet) -> None:
    """Signature, envelope, app id and fields are as WeChat would send them."""
    requests, message_ids = callbacks.requests(), set()
    for index in range(COUNT):
        number, request = next(requests)
        head, _, body = request.partition(b"\r\n\r\n")
        target = head.split()[1].decode()
        query = {name: values[0] for name, values in parse_qs(urlsplit(target).query).items()}
        document = crypto().decrypt_message(
            body, query["msg_signature"], query["timestamp"], query["nonce"]
        )
        message = parse_message(document)
        message_ids.add(message.id)
        assert number == index
        assert (message.source, message.content) == callbacks.senders[index]
        assert message.target == ACCOUNT_ID
        assert query["openid"] == message.source
    assert len(message_ids) == COUNT
    assert len(callbacks.texts) == COUNT


def test_a_request_has_the_query_order_and_headers_of_wechat(callbacks: CallbackSet) -> None:
    """The set is sent as it lies in the file, so it must be the wire's form already."""
    _, request = next(callbacks.requests())
    head, _, body = request.partition(b"\r\n\r\n")
    first, *headers = head.decode().split("\r\n")
    method, target, protocol = first.split()
    assert (method, urlsplit(target).path, protocol) == ("POST", CALLBACK_PATH, "HTTP/1.1")
    assert list(parse_qs(urlsplit(target).query)) == [
        "signature",
        "timestamp",
        "nonce",
        "openid",
        "encrypt_type",
        "msg_signature",
    ]
    assert "Content-Type: text/xml" in headers
    assert "User-Agent: Mozilla/4.0" in headers
    assert f"Content-Length: {len(body)}" in headers


def test_the_texts_hold_chinese_and_emoji_in_a_chats_length(callbacks: CallbackSet) -> None:
    """They are neither trivial nor all alike."""
    texts = list(callbacks.texts.values())
    assert all(20 <= len(text) <= 60 for text in texts)
    assert any("你好" in text for text in texts)
    assert any("😀" in text for text in texts)


def test_the_set_is_read_round_and_round_from_any_callback_on(callbacks: CallbackSet) -> None:
    """A run goes on where the one before it ended."""
    requests = callbacks.requests(COUNT - 1)
    assert [next(requests)[0] for _ in range(3)] == [COUNT - 1, 0, 1]
    assert callbacks.position(COUNT + 2) == callbacks.position(2)


def test_a_right_reply_is_accepted(check: Check, callbacks: CallbackSet) -> None:
    """With and without knowledge of the request that it answers."""
    openid, text = callbacks.senders[3]
    reply = reply_to(openid, f"echo: {text}")
    assert check(reply, None) is None
    assert check(reply, 3) is None


def test_a_reply_to_another_user_is_refused(check: Check, callbacks: CallbackSet) -> None:
    """Whether it carries another's echo, answers another's request, or goes to a stranger."""
    mine, other = callbacks.senders[3], callbacks.senders[4]
    crossed = reply_to(other.openid, f"echo: {mine.text}")
    assert kind_of_fault(check, crossed) == "wrong"
    swapped = reply_to(other.openid, f"echo: {other.text}")
    assert kind_of_fault(check, swapped, 3) == "wrong"
    assert kind_of_fault(check, reply_to("oStranger", f"echo: {mine.text}")) == "wrong"


def test_a_reply_with_another_text_or_account_is_refused(
    check: Check, callbacks: CallbackSet
) -> None:
    """The echo must be whole and come from the account."""
    openid, text = callbacks.senders[3]
    assert kind_of_fault(check, reply_to(openid, text)) == "wrong"
    assert kind_of_fault(check, reply_to(openid, f"echo: {text} ")) == "wrong"
    assert kind_of_fault(check, reply_to(openid, f"echo: {text}", "gh_other")) == "wrong"


def test_a_reply_that_is_not_signed_right_is_refused(check: Check, callbacks: CallbackSet) -> None:
    """One digit of the signature or another nonce is enough."""
    openid, text = callbacks.senders[3]
    reply = reply_to(openid, f"echo: {text}")
    begin = reply.index(b"<MsgSignature><![CDATA[") + len(b"<MsgSignature><![CDATA[")
    digit = b"1" if reply[begin : begin + 1] == b"0" else b"0"
    tampered = reply[:begin] + digit + reply[begin + 1 :]
    assert kind_of_fault(check, tampered) == "unreadable"
    assert kind_of_fault(check, reply.replace(b"n7", b"n8")) == "unreadable"


@pytest.mark.parametrize("body", [b"success", b""])
def test_a_server_that_says_nothing_is_refused(check: Check, body: bytes) -> None:
    """An acknowledgement is right for WeChat, but not for an echo bot."""
    assert kind_of_fault(check, body) == "wrong"


@pytest.mark.parametrize("body", [b"<xml></xml>", b"<xml>", b"Internal Server Error", b"\xff"])
def test_a_body_that_is_no_reply_is_unreadable(check: Check, body: bytes) -> None:
    """The check itself never fails."""
    assert kind_of_fault(check, body) == "unreadable"


def test_the_static_servers_must_say_success() -> None:
    """And nothing else."""
    assert success_check(b"success", None) is None
    assert kind_of_fault(success_check, b"sucess") == "wrong"


def play(generator: Generator, server: Server, callbacks: CallbackSet) -> Load:
    """Send callbacks for a second."""
    return generator.run(
        server.port,
        callbacks,
        start=COUNT - 7,
        seconds=1,
        connections=16,
        meter=UsageMeter(server.cpu_clock()),
    )


def assert_all_right(load: Load, check: Check) -> None:
    """Every reply of a run was checked and right."""
    findings = Findings()
    findings.add(load, check)
    assert findings.errors == {}, findings.examples
    assert findings.checked >= load.requests > 0
    assert load.sent >= findings.checked
    assert 0 < load.p50_ms <= load.p99_ms


def test_the_python_generator_gets_right_replies_from_wechatpy(
    server: Server, callbacks: CallbackSet, check: Check
) -> None:
    """It knows of each reply which callback it answers."""
    load = play(PythonGenerator(), server, callbacks)
    answers = list(load.answers)
    assert answers[0].callback is not None
    assert_all_right(load, check)


def test_the_chosen_generator_gets_right_replies_from_wechatpy(
    server: Server, callbacks: CallbackSet, check: Check
) -> None:
    """It is wrk where that is installed, else the Python one."""
    generator = choose_generator()
    assert generator.name == ("wrk" if shutil.which("wrk") else "python")
    assert_all_right(play(generator, server, callbacks), check)


def test_replies_of_a_server_that_echoes_nothing_are_counted_as_wrong(
    callbacks: CallbackSet, check: Check, directory: Path
) -> None:
    """A fast wrong answer must not make a good row."""
    with Server(ROWS["granian-rsgi"], None, WINDOW) as static:
        load = play(PythonGenerator(), static, callbacks)
    findings = Findings()
    findings.add(load, check)
    assert findings.errors == {"wrong": findings.checked}
    assert findings.examples[0].startswith("wrong: ")


def test_a_run_without_a_single_reply_is_an_error(check: Check) -> None:
    """Nothing wrong was seen, for nothing was seen."""
    findings = Findings()
    silent = Load(
        seconds=1,
        requests=0,
        sent=0,
        p50_ms=0,
        p99_ms=0,
        answers=[],
        socket_errors=0,
        timeouts=0,
        lost=0,
    )
    findings.add(silent, check)
    assert findings.errors == {"silence": 1}


CLOSING = """
import asyncio, sys

async def serve(reader, writer):
    while head := await reader.readuntil(b"\\r\\n\\r\\n"):
        if head.startswith(b"POST"):
            break
        writer.write(b"HTTP/1.1 200 OK\\r\\nContent-Length: 0\\r\\n\\r\\n")
    writer.close()

async def main():
    server = await asyncio.start_server(serve, "127.0.0.1", int(sys.argv[1]))
    await server.serve_forever()

asyncio.run(main())
"""


@pytest.mark.parametrize("generator", [PythonGenerator(), choose_generator()])
def test_connections_closed_instead_of_a_reply_are_counted(
    callbacks: CallbackSet, check: Check, directory: Path, generator: Generator
) -> None:
    """Also by wrk, which itself tells nothing of them."""
    closing = Row(
        name="closing",
        title="closing",
        setup="",
        command=lambda port, _directory: ["-c", CLOSING, str(port)],
        needs=(),
    )
    with Server(closing, None, WINDOW) as server:
        load = play(generator, server, callbacks)
    findings = Findings()
    findings.add(load, check)
    assert findings.checked == 0
    assert findings.errors["silence"] == 1
    assert findings.errors["socket"] + findings.errors["lost"] > 0


def test_a_server_that_does_not_start_is_shown_with_what_it_said(directory: Path) -> None:
    """The reason is on its stderr, and nowhere else."""
    broken = Row(
        name="broken",
        title="broken",
        setup="",
        command=lambda _port, _directory: ["-c", "raise SystemExit('no such bot')"],
        needs=(),
    )
    with pytest.raises(LoadError, match="no such bot"), Server(broken, None, WINDOW):
        pass


def measurement(row: str, number: int, rate: float) -> Measurement:
    """A made-up measurement."""
    return Measurement(
        row=row,
        round=number,
        requests=int(rate),
        seconds=1,
        requests_per_second=rate,
        p50_ms=1,
        p99_ms=2,
        server_cpu=100,
        generator_cpu=50,
        server_core_others=0,
        generator_core_others=None,
        checked=int(rate),
        errors={},
        examples=[],
    )


def test_ratios_are_taken_within_each_round() -> None:
    """A slow round of the machine slows both sides of its ratio."""
    rows = [ROWS["gateway"], ROWS["wechatpy-fastapi"]]
    rates = {"gateway": (8000, 3900, 9000), "wechatpy-fastapi": (1000, 500, 1000)}
    measured = [
        measurement(row, number, rate)
        for row in rates
        for number, rate in enumerate(rates[row], start=1)
    ]
    summaries = summarise(rows, measured)
    assert summaries[0].times_fastapi == 8.0
    assert summaries[0].times_ceiling is None
    assert goal_lines(summaries)[:2] == [
        "goal: gateway at least 7.0 x wechatpy on FastAPI: met (8.00)",
        "goal: gateway at least 0.8 x Granian alone, RSGI: not measured",
    ]
    measured[0] = replace(measured[0], server_core_others=25.0)
    disturbed = goal_lines(summarise(rows, measured))[0]
    assert disturbed.endswith("met (8.00), but the machine was not quiet")
    assert "| this gateway | 8,000 (3,900-9,000) |" in markdown_table(summaries)


def test_the_command_measures_a_row_and_writes_every_number(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A short run from the arguments to the files, with the exit status of a clean run."""
    file = tmp_path / "results" / "load.json"
    short = ["--seconds", "1", "--rounds", "1", "--connections", "8", "--callbacks", "200"]
    assert main([*short, "--only", "granian-rsgi", "--json", str(file), "--markdown"]) == 0
    document = json.loads(file.read_text())
    assert document["rounds"][0]["row"] == "granian-rsgi"
    assert document["rounds"][0]["errors"] == {}
    assert document["options"]["connections"] == 8
    printed = capsys.readouterr().out
    assert "| Granian alone, RSGI |" in printed
    assert printed.endswith(
        "goal: background-sqlite at least 3.0 x wechatpy on FastAPI: not measured\n"
    )


@pytest.mark.parametrize("name", [name for name, row in ROWS.items() if row.dedupes])
def test_a_gateway_answers_callbacks_that_it_has_not_seen_whatever_keeps_them(
    name: str, callbacks: CallbackSet
) -> None:
    row = ROWS[name]
    instant = "in a moment" if row.answers == "instant" else None
    with Server(row, None, WINDOW) as started:
        assert_all_right(
            play(PythonGenerator(), started, callbacks), echo_check(callbacks, instant)
        )
