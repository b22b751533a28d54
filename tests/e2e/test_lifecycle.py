"""Starting and stopping: what is said, what is finished, what is left behind."""

import asyncio
import os
import resource
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import NamedTuple

import aiohttp
import pytest

from gateway.simulator.platform import Outcome, Platform
from tests.cli.running import Command
from tests.e2e.server import ACCOUNTS, ROOT, Server, running
from tests.e2e.test_background import _until
from tests.e2e.test_serving import _make
from tests.support import AES_KEY, OPEN_ID, TOKEN, fresh_text, make_sender


def _send(server: Server, content: str, path: str = "/wechat/main") -> Outcome:
    async def deliver() -> Outcome:
        async with aiohttp.ClientSession() as session:
            platform = Platform(session, make_sender(), server.url + path)
            return await platform.deliver(partial(_make, make_sender(), fresh_text(content)), 1)

    return asyncio.run(deliver())


@pytest.mark.parametrize("kind", ["rsgi", "workers"])
def test_a_stop_finishes_the_callback_under_way(kind: str, tmp_path: Path) -> None:
    with running(kind, tmp_path) as server:
        outcomes: list[Outcome] = []
        waiting = threading.Thread(target=lambda: outcomes.append(_send(server, "slow")))
        waiting.start()
        time.sleep(0.4)
        assert server.stop() == 0
        waiting.join(timeout=10)
    assert outcomes[0].reply is not None
    assert outcomes[0].reply["Content"] == "at last"
    assert "Traceback" not in server.log


def test_ctrl_c_stops_it_cleanly(tmp_path: Path) -> None:
    with running("rsgi", tmp_path) as server:
        server.process.send_signal(signal.SIGINT)
        assert server.process.wait(timeout=20) == 0
    assert "Traceback" not in server.log


def test_the_start_says_which_kernels_and_which_aes_run(tmp_path: Path) -> None:
    with running("rsgi-pure", tmp_path) as server:
        assert "kernels=pure" in server.log
        assert 'aes="pycryptodome' in server.log
    assert TOKEN not in server.log
    assert AES_KEY not in server.log


@pytest.mark.skipif(sys.platform != "linux", reason="Linux alone schedules batches")
@pytest.mark.parametrize(
    ("given", "policy"),
    [("", "SCHED_BATCH"), ('[server]\nscheduling = "normal"\n', "SCHED_OTHER")],
    ids=["by default", "normal"],
)
def test_threads_do_not_interrupt_each_other_unless_the_settings_want_it(
    given: str, policy: str, tmp_path: Path
) -> None:
    with running("rsgi", tmp_path, given + ACCOUNTS) as server:
        workers = Path(f"/proc/{server.process.pid}/task/{server.process.pid}/children")
        (worker,) = workers.read_text().split()
        threads = [int(each.name) for each in Path(f"/proc/{worker}/task").iterdir()]
        assert len(threads) > 1
        assert {os.sched_getscheduler(each) for each in threads} == {getattr(os, policy)}


def test_two_workers_answer_and_one_that_dies_is_replaced(tmp_path: Path) -> None:
    with running("workers", tmp_path) as server:
        # Of two workers the first one to be ready answers for both.
        _until(lambda: server.log.count("gateway ready") == 2)
        children = _children(server.process.pid)
        assert len(children) == 2
        os.kill(children[0], signal.SIGKILL)
        _until(lambda: server.log.count("gateway ready") == 3)
        now = _children(server.process.pid)
        assert len(now) == 2
        assert children[0] not in now
        for number in range(20):
            outcome = _send(server, f"n{number}")
            assert outcome.reply is not None


def _children(pid: int) -> list[int]:
    """Return the processes started by another, those that ended aside."""
    listed = subprocess.run(
        ["ps", "-o", "pid=,stat=", "--ppid", str(pid)], capture_output=True, text=True, check=False
    )
    rows = [line.split() for line in listed.stdout.splitlines()]
    return [int(row[0]) for row in rows if not row[1].startswith("Z")]


def test_nothing_a_sender_does_leaves_a_traceback(tmp_path: Path) -> None:
    with running("rsgi", tmp_path) as server:
        callback = _make(make_sender(), fresh_text())
        line = f"POST /wechat/main?{callback.query} HTTP/1.1"
        head = f"{line}\r\nHost: x\r\nContent-Length: 9000\r\n\r\n".encode()
        chunked = head.replace(b"Content-Length: 9000", b"Transfer-Encoding: chunked")
        for start in (head, head + b"<xml>", chunked, chunked + b"5\r\n<xml>\r\n", chunked + b"zz"):
            with socket.create_connection(("127.0.0.1", server.port)) as connection:
                connection.sendall(start)
                time.sleep(0.05)
        assert _send(server, "still here").status == 200
        assert server.stop() == 0
    assert "Traceback" not in server.log
    assert "rror" not in server.log


def test_bodies_that_never_come_are_given_up_and_the_others_served(tmp_path: Path) -> None:
    """More half-sent requests than the server takes at once; each is unsigned."""
    # Many systems allow a process 1,024 open files at first; the server inherits what is set here.
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(4096, most), most))
    with running("rsgi", tmp_path) as server:
        head = b"POST /wechat/main?x=1 HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n<"
        held = [socket.create_connection(("127.0.0.1", server.port)) for _ in range(1100)]
        try:
            for connection in held:
                connection.sendall(head)
            # Five seconds of patience, and a sweep.
            held[0].settimeout(15)
            assert held[0].recv(100).startswith(b"HTTP/1.1 403")
            assert _send(server, "still here").status == 200
            assert "reason=slow" in server.log
        finally:
            for connection in held:
                connection.close()


def test_paths_and_sizes_that_are_refused_are_counted_too(tmp_path: Path) -> None:
    with running("rsgi", tmp_path) as server:
        assert server.ask("POST", "/wechat/SECRET", b"x")[0] == 404
        assert server.ask("POST", "/wechat/main", b"x" * 70_000)[0] == 413
        assert server.stop() == 0
    assert "account=- reason=account count=1" in server.log
    assert "account=main reason=size count=1" in server.log
    assert "SECRET" not in server.log


def test_a_host_may_be_a_name(tmp_path: Path) -> None:
    with running("named", tmp_path) as server:
        assert _send(server, "hi").status == 200


def test_sigterm_ends_the_demo_and_its_server(tmp_path: Path) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    demo = subprocess.Popen(
        [sys.executable, "-m", "gateway", "demo", "--port", str(port)],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert demo.stdout is not None
    with demo.stdout as output:
        for line in output:
            if "Ctrl-C stops it" in line:
                break
        (server,) = _children(demo.pid)
        demo.terminate()
        assert demo.wait(timeout=20) == 0
    with pytest.raises(ProcessLookupError):
        os.kill(server, 0)


def test_the_only_account_is_served_without_its_name_too(tmp_path: Path) -> None:
    only = ACCOUNTS.partition("[accounts.compat]")[0]
    with running("rsgi", tmp_path, only) as server:
        for path in ("/wechat", "/wechat/", "/wechat/main", "/wechat/main/"):
            outcome = _send(server, "hi", path)
            assert outcome.reply is not None
            assert outcome.reply["Content"] == "hi"
        assert _send(server, "hi", "/wechat/other").status == 404


def _gateway(*arguments: str, cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    clean = {k: v for k, v in os.environ.items() if not k.startswith("GATEWAY_")}
    kept = {k: v for k, v in os.environ.items() if k == "GATEWAY_NO_EXTENSIONS"}
    return subprocess.run(
        [sys.executable, "-m", "gateway", *arguments],
        capture_output=True,
        text=True,
        cwd=cwd,
        env=clean | kept | {"PYTHONPATH": str(ROOT), "COLUMNS": "200"} | environment,
        check=False,
        timeout=60,
    )


def test_serve_with_wrong_settings_says_so_and_ends_with_2(tmp_path: Path) -> None:
    (tmp_path / "gateway.toml").write_text(ACCOUNTS.replace(AES_KEY, "short"), encoding="utf-8")
    ran = _gateway("serve", cwd=tmp_path)
    assert ran.returncode == 2
    assert "accounts.main.encoding_aes_key: has 5 characters; it must have 43" in ran.stderr
    assert "Traceback" not in ran.stderr
    assert "short" not in ran.stderr


def test_the_demo_shows_its_tour_and_keeps_its_secrets(tmp_path: Path) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
    ran = _gateway("demo", "--once", "--port", port, cwd=tmp_path)
    assert ran.returncode == 0, ran.stderr
    for shown in ("text 你好", "image", "欢迎关注（来自二维码 1001）", "今日新闻", "ms"):
        assert shown in ran.stdout
    settings = tmp_path / "var" / "demo.toml"
    assert settings.stat().st_mode & 0o077 == 0
    token = settings.read_text(encoding="utf-8").partition('token = "')[2].partition('"')[0]
    assert len(token) == 24
    assert token not in ran.stdout + ran.stderr


COMMANDS = [
    (["text", "你好"], 0, "你好"),
    (["text", "你好", "--mode", "plain"], 1, "403"),
    (["text", "你好", "--mode", "compat"], 0, "你好"),
    (["text", "hi", "--json"], 0, "hi"),
    (["text", "nothing"], 0, "success"),
    (["text", "fail"], 1, "该公众号暂时无法提供服务"),
    (["text", "context", "--msg-id", "42", "--repeat", "2"], 0, "main 1"),
    (["text", "hi", "--from", OPEN_ID], 0, "hi"),
    (["image"], 0, "Image"),
    (["voice", "media-1", "--recognition", "hello"], 0, "Voice"),
    (["video"], 0, "Video"),
    (["shortvideo"], 0, "ShortVideo"),
    (["location", "23.1", "113.3", "--label", "here"], 0, "Location"),
    (["link", "https://example.com", "--title", "t"], 0, "Link"),
    (["event", "subscribe", "--key", "1001"], 0, "scene 1001"),
    (["event", "SCAN", "--key", "7"], 0, "Scan"),
    (["event", "CLICK", "--key", "news"], 0, "one"),
    (["event", "an_event_to_come"], 0, "UnknownEvent"),
    (["verify"], 0, "the console would accept"),
    *(
        (["text", "hi", "--bad", fault], 0, "refused, as it should be")
        for fault in ("signature", "timestamp", "padding", "appid", "xml")
    ),
]


@pytest.fixture(scope="module")
def simulated(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Server, Path]]:
    """A server, and its settings where the command finds them."""
    folder = tmp_path_factory.mktemp("simulate")
    with running("rsgi", folder) as server:
        yield server, folder


@pytest.mark.parametrize(("arguments", "code", "shown"), COMMANDS, ids=lambda v: str(v)[:40])
def test_the_simulate_command_sends_and_shows(
    simulated: tuple[Server, Path],
    command: Command,
    monkeypatch: pytest.MonkeyPatch,
    arguments: list[str],
    code: int,
    shown: str,
) -> None:
    server, folder = simulated
    monkeypatch.chdir(folder)
    ran = command("simulate", *arguments, "--url", f"{server.url}/wechat/main")
    assert ran.code == code, ran.err + ran.out
    assert shown in ran.out
    assert TOKEN not in ran.out + ran.err


def test_the_simulate_command_is_a_process_too(simulated: tuple[Server, Path]) -> None:
    server, folder = simulated
    ran = _gateway("simulate", "text", "你好", "--url", f"{server.url}/wechat/main", cwd=folder)
    assert (ran.returncode, "你好" in ran.stdout) == (0, True), ran.stderr + ran.stdout


class Unanswered(NamedTuple):
    """A message to nobody."""

    ran: subprocess.CompletedProcess[str]
    took: float
    """Seconds."""


@pytest.fixture(scope="module", autouse=True)
def unanswered(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Future[Unanswered]]:
    """Send a message to a socket that accepts and never answers, as a hung gateway would.

    From the beginning on, beside the other tests here: it takes 15 seconds, and does nothing.
    """
    folder = tmp_path_factory.mktemp("unanswered")
    (folder / "gateway.toml").write_text(ACCOUNTS, encoding="utf-8")

    def send(url: str) -> Unanswered:
        started = time.monotonic()
        ran = _gateway("simulate", "text", "hi", "--url", url, cwd=folder)
        return Unanswered(ran, time.monotonic() - started)

    # Whoever wants other tests alone does not wait: behind them the socket is closed first.
    with ThreadPoolExecutor(1) as thread, socket.create_server(("127.0.0.1", 0)) as mute:
        yield thread.submit(send, f"http://127.0.0.1:{mute.getsockname()[1]}/wechat/main")


def test_the_simulator_waits_five_seconds_and_tries_three_times(
    unanswered: Future[Unanswered],
) -> None:
    ran, took = unanswered.result(60)
    assert ran.returncode == 1
    assert ran.stdout.count("no answer within 5 s") >= 3
    # The platform's own rule, three times five seconds, and nothing less.
    assert took >= 15
