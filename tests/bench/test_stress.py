"""The stress runs: their messages, mix and check; whole runs, which are processes of their own.

Locust replaces blocking parts of the standard library when it is imported, so no test imports it.
"""

import json
import re
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from random import Random
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from wechatpy import create_reply, parse_message
from wechatpy.crypto import WeChatCrypto

from bench.load.account import ACCOUNT_ID, APP_ID, CALLBACK_PATH, ENCODING_AES_KEY, TOKEN
from bench.load.servers import Row
from bench.percentiles import percentiles
from bench.stress.__main__ import main
from bench.stress.messages import Delivery, Followers, Message, deliver
from bench.stress.mix import BURST, BURSTS, KINDS, REDELIVERED, TEXT
from bench.stress.plot import draw
from bench.stress.profiles import PROFILES, Profile, Stage
from bench.stress.record import Record
from bench.stress.replies import Fault, fault_of
from bench.stress.runner import Plan, run

ROOT = Path(__file__).resolve().parents[2]
NOW = int(time.time())


@pytest.fixture
def random() -> Random:
    """Chance that can be repeated."""
    return Random(7)  # noqa: S311  # no secret


@pytest.fixture
def followers(random: Random) -> Followers:
    """Those who send."""
    return Followers(random, 24_500_000_000_000_000)


def crypto() -> WeChatCrypto:
    """The other implementation, which judges this one."""
    return WeChatCrypto(TOKEN, ENCODING_AES_KEY, APP_ID)


def query_of(delivery: Delivery) -> dict[str, str]:
    return {name: values[0] for name, values in parse_qs(urlsplit(delivery.target).query).items()}


def opened(delivery: Delivery) -> str:
    """What wechatpy finds sealed in a delivery; it refuses one that is not signed right."""
    query = query_of(delivery)
    document: str = crypto().decrypt_message(
        delivery.body, query["msg_signature"], query["timestamp"], query["nonce"]
    )
    return document


def reply_to(message: Message, text: str, openid: str | None = None) -> bytes:
    """Seal a text reply with wechatpy."""
    asked = parse_message(
        f"<xml><ToUserName>{ACCOUNT_ID}</ToUserName>"
        f"<FromUserName>{openid or message.openid}</FromUserName>"
        "<MsgType>text</MsgType><Content>any</Content></xml>"
    )
    sealed: str = crypto().encrypt_message(create_reply(text, asked).render(), "n7", "1700000000")
    return sealed.encode()


def kind_of(fault: Fault | None) -> str | None:
    return fault.kind if fault else None


def test_wechatpy_accepts_each_kind_of_message_and_names_it_the_same(
    followers: Followers, random: Random
) -> None:
    seen: dict[str, Any] = {}
    while seen.keys() != KINDS.keys():
        sent = followers.one(NOW)
        message = parse_message(opened(deliver(sent, NOW, random)))
        assert (message.source, message.target) == (sent.openid, ACCOUNT_ID)
        seen[sent.kind] = message
    assert {name: message.event for name, message in seen.items() if message.type == "event"} == {
        "CLICK": "click",
        "VIEW": "view",
        "LOCATION": "location",
        "template receipt": "templatesendjobfinish",
        "subscribe": "subscribe",
        "subscribe by QR code": "subscribe_scan",
        "SCAN": "scan",
        "unsubscribe": "unsubscribe",
    }
    assert seen["subscribe by QR code"].scene_id == "1001"
    assert seen["CLICK"].key == "V1001"
    assert seen["image"].type == "image"
    assert seen["voice"].type == "voice"


def test_a_text_arrives_as_it_was_typed_and_its_echo_is_due(
    followers: Followers, random: Random
) -> None:
    """Chinese, emoji, what XML would take for its own, and line ends."""
    sent = [followers.text(NOW) for _ in range(200)]
    for one in sent:
        content = parse_message(opened(deliver(one, NOW, random))).content
        assert one.echo == f"echo: {content}"
    typed = " ".join(str(one.document["Content"]) for one in sent)
    assert all(part in typed for part in ("你好", "😀", "]]>", "<", "&", "\n"))


def test_the_shares_add_up_and_the_messages_come_in_them(followers: Followers) -> None:
    """Within a twentieth of all messages, by chance that can be repeated."""
    assert sum(kind.share for kind in KINDS.values()) == 100
    assert 0 < BURSTS * BURST < 0.1
    assert 0 < REDELIVERED < 1
    seen = Counter(followers.one(NOW).kind for _ in range(5000))
    assert seen.keys() == KINDS.keys()
    assert all(abs(100 * seen[name] / 5000 - kind.share) < 5 for name, kind in KINDS.items())


def test_no_two_messages_are_the_same_and_each_delivery_of_one_is_signed_anew(
    followers: Followers, random: Random
) -> None:
    """A retry has the message's id, and a timestamp, nonce and signature of its own."""
    sent = [followers.text(NOW) for _ in range(100)]
    assert len({one.document["MsgId"] for one in sent}) == 100
    first, again = (deliver(sent[0], now, random) for now in (NOW, NOW + 5))
    assert parse_message(opened(first)).id == parse_message(opened(again)).id
    for name in ("timestamp", "nonce", "signature", "msg_signature"):
        assert query_of(first)[name] != query_of(again)[name]


def test_a_delivery_has_the_path_query_and_headers_of_wechat_and_a_trace(
    followers: Followers, random: Random
) -> None:
    delivery = deliver(followers.text(NOW), NOW, random)
    assert urlsplit(delivery.target).path == CALLBACK_PATH
    assert list(query_of(delivery)) == [
        *("signature", "timestamp", "nonce", "openid", "encrypt_type", "msg_signature"),
    ]
    assert delivery.headers["Content-Type"] == "text/xml"
    assert delivery.headers["User-Agent"] == "Mozilla/4.0"
    trace = delivery.headers["traceparent"]
    assert re.fullmatch(r"00-[0-9a-f]{32}-[0-9a-f]{16}-01", trace)
    assert trace != deliver(followers.text(NOW), NOW, random).headers["traceparent"]


def test_an_echo_is_right_and_so_is_success_to_what_is_no_text(followers: Followers) -> None:
    text, event = followers.text(NOW), followers.broadcast_over(NOW)
    assert text.kind == TEXT
    assert text.echo is not None
    assert fault_of(text, reply_to(text, text.echo)) is None
    assert fault_of(event, b"success") is None


def test_other_texts_receivers_and_bodies_are_wrong(followers: Followers) -> None:
    text, other = followers.text(NOW), followers.text(NOW)
    assert text.echo is not None
    assert kind_of(fault_of(text, reply_to(text, f"{text.echo} "))) == "wrong"
    assert kind_of(fault_of(text, reply_to(text, text.echo, other.openid))) == "wrong"
    assert kind_of(fault_of(text, b"success")) == "wrong"
    assert kind_of(fault_of(text, b"")) == "wrong"
    event = followers.broadcast_over(NOW)
    assert kind_of(fault_of(event, b"")) == "wrong"
    assert kind_of(fault_of(event, reply_to(event, "hello"))) == "wrong"


def test_a_reply_that_is_not_sealed_or_not_signed_right_is_unreadable(
    followers: Followers,
) -> None:
    text = followers.text(NOW)
    assert text.echo is not None
    right = reply_to(text, text.echo)
    assert kind_of(fault_of(text, right.replace(b"n7", b"n8"))) == "unreadable"
    plain = f"<xml><ToUserName>{text.openid}</ToUserName><Content>{text.echo}</Content></xml>"
    assert kind_of(fault_of(text, plain.encode())) == "unreadable"
    assert kind_of(fault_of(text, b"Internal Server Error")) == "unreadable"


def test_a_redelivery_must_be_answered_with_the_same_bytes(followers: Followers) -> None:
    """Also where the other reply would be as right as the first: it was made twice."""
    text = followers.text(NOW)
    assert text.echo is not None
    first, second = reply_to(text, text.echo), reply_to(text, text.echo)
    assert first != second
    assert fault_of(text, first, before=first) is None
    assert kind_of(fault_of(text, second, before=first)) == "differs"


def test_a_profile_goes_through_its_stages_and_ends() -> None:
    profile = Profile("", 100, 50, (Stage(0.2, 0.1), Stage(0.5, 1), Stage(0.3, 0.5)))
    assert [profile.rate_at(second) for second in (0, 19, 20, 69.9, 70, 99, 100)] == [
        *(5, 5, 50, 50, 25, 25, None),
    ]
    assert profile.scaled(10, 20).rate_at(2) == 20
    assert profile.scaled(None, None) == profile


def test_each_profile_s_times_are_the_whole_of_it_and_it_reaches_its_rate() -> None:
    for profile in PROFILES.values():
        assert sum(stage.time for stage in profile.stages) == pytest.approx(1)
        assert max(stage.rate for stage in profile.stages) == 1
    assert list(PROFILES) == ["smoke", "steady", "spike", "soak"]


def test_percentiles_are_latencies_that_occurred() -> None:
    levels = {"p50": 500, "p90": 900, "p99": 990, "p99.9": 999, "max": 1000}
    assert percentiles(range(1000, 0, -1)) == levels
    assert set(percentiles([3.5]).values()) == {3.5}
    assert set(percentiles([]).values()) == {0.0}


def test_a_record_counts_deliveries_by_kind_try_and_fault() -> None:
    record = Record(25)
    record.delivered("text", "first", 2.0, None)
    record.delivered("retry", "retry", 4.0, Fault("no answer", "late"))
    record.unfinished(3)
    told = record.result()
    assert told["requests"] == 2
    assert told["tries"] == {"first": 1, "retry": 1}
    assert told["failures"] == {"no answer": 1, "unfinished": 3}
    assert told["examples"] == ["retry, retry: no answer: late"]
    assert told["kinds"]["text"]["latency_ms"]["p50"] == 2.0
    assert told["latency_ms"]["max"] == 4.0


def stress(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the command in a process of its own, and wait for it."""
    return subprocess.run(
        [sys.executable, "-m", "bench.stress", *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )


def run_of(results: Path, *arguments: str) -> tuple[int, dict[str, Any], str]:
    """Make a short run; return its status, its figures, and what was printed."""
    ran = stress("smoke", "--seconds", "4", "--rate", "50", "--results", str(results), *arguments)
    assert ran.returncode in {0, 1}, ran.stderr
    document: dict[str, Any] = json.loads((results / "stress-smoke.json").read_text("utf-8"))
    return ran.returncode, document, ran.stdout


@pytest.fixture(scope="module")
def smoke(tmp_path_factory: pytest.TempPathFactory) -> tuple[int, Path, dict[str, Any], str]:
    """A short run against a gateway."""
    results = tmp_path_factory.mktemp("smoke") / "made"
    status, document, printed = run_of(results)
    return status, results, document, printed


def test_a_smoke_run_against_a_gateway_has_nothing_but_right_replies(
    smoke: tuple[int, Path, dict[str, Any], str],
) -> None:
    status, _, document, printed = smoke
    assert status == 0, printed
    assert document["failures"] == {}
    assert document["retries"] == 0
    # 4 s of 50 a second, the first fifth of the time half of that.
    assert 150 < document["requests"] < 600
    assert document["tries"]["first"] + document["redeliveries"] == document["requests"]
    assert document["kinds"]["text"]["requests"] > 0
    levels = list(document["latency_ms"].values())
    assert levels == sorted(levels)
    assert levels[0] > 0


def test_a_run_writes_its_figures_locust_s_report_and_a_picture(
    smoke: tuple[int, Path, dict[str, Any], str],
) -> None:
    _, results, document, printed = smoke
    assert {file.name for file in results.iterdir()} == {
        *("stress-smoke.json", "stress-smoke.html", "stress-smoke.svg"),
    }
    assert {"cpu", "cores", "kernel", "pinning"} <= document["machine"].keys()
    assert document["versions"]["locust"]
    assert document["memory_mib"]["begin"] > 0
    assert document["memory_mib"]["end"] > 0
    assert sum(point["requests"] for point in document["course"]) <= document["requests"]
    assert "<html" in (results / "stress-smoke.html").read_text("utf-8")
    assert (results / "stress-smoke.svg").read_text("utf-8").rstrip().endswith("</svg>")
    assert "redeliveries" in printed


def test_the_same_figures_make_the_same_picture_to_the_byte(
    smoke: tuple[int, Path, dict[str, Any], str], tmp_path: Path
) -> None:
    _, results, document, _ = smoke
    draw(document, tmp_path / "again.svg")
    assert (tmp_path / "again.svg").read_bytes() == (results / "stress-smoke.svg").read_bytes()


def test_a_server_that_echoes_nothing_fails_each_text(tmp_path: Path) -> None:
    status, document, printed = run_of(tmp_path, "--row", "granian-rsgi")
    assert status == 1
    assert document["failures"].keys() == {"wrong"}
    texts = document["kinds"]["text"]["requests"]
    assert texts <= document["failures"]["wrong"] < document["requests"]
    assert "FAILED: " in printed


def test_a_server_that_makes_its_replies_twice_fails_redeliveries(tmp_path: Path) -> None:
    """Each is right, but sealed anew; a text with `]]>` in it wechatpy's replies do break."""
    status, document, _ = run_of(tmp_path, "--row", "wechatpy-fastapi", "--rate", "150")
    assert status == 1
    assert document["failures"].keys() <= {"differs", "wrong", "unreadable"}
    assert 0 < document["failures"]["differs"] <= document["redeliveries"]


REFUSING = """
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        with open(sys.argv[2], "ab") as taken:
            taken.write(b"%s %s\\n" % (self.path.encode(), body.hex().encode()))
        self.send_response(503)
        self.end_headers()

ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
"""
"""Refuses every callback, and keeps it."""


def test_a_message_that_is_not_answered_is_tried_three_times_signed_anew(tmp_path: Path) -> None:
    refusing = Row(
        name="refusing",
        title="refusing",
        setup="",
        command=lambda port, _directory: ["-c", REFUSING, str(port), str(tmp_path / "taken")],
        needs=(),
    )
    profile = PROFILES["smoke"].scaled(2, 10)
    record = run(Plan(name="smoke", profile=profile, row=refusing, results=tmp_path)).record
    tries: dict[str, list[dict[str, str]]] = {}
    for line in (tmp_path / "taken").read_text().splitlines():
        target, body = line.split()
        delivery = Delivery(target, {}, bytes.fromhex(body))
        tries.setdefault(opened(delivery), []).append(query_of(delivery))
    assert tries
    for queries in tries.values():
        assert len(queries) == 3
        assert len({query["nonce"] for query in queries}) == 3
        assert len({query["msg_signature"] for query in queries}) == 3
    assert record["tries"] == {"first": len(tries), "retry": 2 * len(tries)}
    assert record["failures"] == {"status": 3 * len(tries)}


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["storm"], "invalid choice: 'storm'"),
        (["soak", "--seconds", "0"], "--seconds: must be a number from 1 to 86400"),
        (["--rate", "much"], "--rate: must be a number from 1 to 5000"),
        (["--row", "background-redis"], "invalid choice: 'background-redis'"),
    ],
)
def test_options_that_cannot_be_are_told_in_a_line(
    arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2
    assert said in capsys.readouterr().err.splitlines()[-1]


def test_results_that_cannot_be_written_are_told_in_a_line(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    ran = stress("--seconds", "1", "--results", str(tmp_path / "file"))
    assert ran.returncode == 2
    assert ran.stderr.splitlines()[-1].startswith("bench.stress: ")
    assert "Traceback" not in ran.stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--host", "http://192.0.2.1"], "only this machine is loaded"),
        (["--host", "http://127.0.0.1:1", "--profile", "storm"], "--profile storm: is none of"),
        (["--host", "http://127.0.0.1:1", "--rate", "0"], "--rate: 1 to 5000"),
    ],
)
def test_the_locustfile_refuses_by_itself_what_it_must_not_do(
    arguments: list[str], said: str
) -> None:
    """Plain locust is given options by hand."""
    ran = subprocess.run(
        [sys.executable, "-m", "locust", "-f", "bench/locustfile.py", "--headless", *arguments],
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ran.returncode != 0
    assert said in ran.stderr
    assert "Traceback" not in ran.stderr
