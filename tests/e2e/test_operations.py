"""docs/operations.md, run as it stands there: its first hour, and each of its other commands."""

import os
import re
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from tests.e2e.collector import Collector, collector
from tests.e2e.server import ROOT
from tests.e2e.tailing import looked_on
from tests.e2e.test_background import _until
from tests.services import free_port

DOCUMENTS: Final = {
    path: dict(
        re.findall(
            r"^## (.+?)\n(.*?)(?=^## |\Z)",
            (ROOT / path).read_text(encoding="utf-8"),
            re.DOTALL | re.MULTILINE,
        )
    )
    for path in ("docs/operations.md", "docs/zh/operations.md")
}


def commands(sections: dict[str, str]) -> list[list[str]]:
    """Return the commands of each section, in order, without what is said of them."""
    return [
        [
            re.sub(r" +#.*", "", line)
            for block in re.findall(r"```console\n(.*?)```", text, re.DOTALL)
            for line in re.findall(r"^\$ (.*)$", block, re.MULTILINE)
        ]
        for text in sections.values()
    ]


ENGLISH, CHINESE = (commands(sections) for sections in DOCUMENTS.values())
FIRST_HOUR: Final = ENGLISH[0]


def test_both_languages_show_the_same_commands() -> None:
    assert ENGLISH == CHINESE


class Desk:
    """Where the commands are typed: a checkout, and terminals that keep what was exported."""

    def __init__(self, folder: Path, seen: Collector) -> None:
        self.folder = folder
        self.ports = {"8000": free_port(), "9464": free_port(), "4318": seen.port}
        self.variables: dict[str, str] = {}
        self.running: list[subprocess.Popen[bytes]] = []
        for name in ("deploy", "docs"):
            (folder / name).symlink_to(ROOT / name)

    def _real(self, line: str) -> str:
        for shown, real in self.ports.items():
            line = re.sub(
                rf"(localhost|0\.0\.0\.0|127\.0\.0\.1):{shown}\b", f"127.0.0.1:{real}", line
            )
        return line

    def export(self, line: str) -> None:
        """Set variables, for all that is typed from now on."""
        for pair in shlex.split(self._real(line).removeprefix("export ")):
            name, _, value = pair.partition("=")
            self.variables[name] = value

    def _typed(self, line: str) -> tuple[list[str], dict[str, str]]:
        kept = {name: value for name, value in os.environ.items() if "GATEWAY" not in name}
        words = shlex.split(self._real(line))
        if words[0] == "gateway":
            words = [sys.executable, "-m", *words]
        return words, kept | {"PYTHONPATH": str(ROOT), "COLUMNS": "500"} | self.variables

    def run(self, line: str, code: int = 0) -> str:
        """Type a command; return what it says."""
        words, environment = self._typed(line)
        ran = subprocess.run(
            words,
            cwd=self.folder,
            env=environment,
            capture_output=True,
            encoding="utf-8",
            check=False,
            timeout=60,
        )
        assert ran.returncode == code, (line, ran.stdout, ran.stderr)
        return ran.stdout

    def leave(self, line: str, name: str) -> Path:
        """Type a command that goes on; return the file of what it says."""
        words, environment = self._typed(line)
        file = self.folder / name
        with file.open("wb") as output:
            process = subprocess.Popen(
                words, cwd=self.folder, env=environment, stdout=output, stderr=output
            )
        self.running.append(process)
        return file

    def look_on(self, line: str) -> None:
        """Type a ``gateway tail``, and let something happen that it is to show."""
        before = looked_on(self.folder)
        file = self.leave(line, f"tail {len(self.running)}")
        _until(lambda: looked_on(self.folder) > before)
        self.run("gateway simulate text 你好")
        _until(lambda: "Text" in file.read_text("utf-8"))


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    """A desk that is tidied up."""
    with collector() as seen:
        one = Desk(tmp_path, seen)
        try:
            yield one
        finally:
            for process in reversed(one.running):
                process.send_signal(signal.SIGINT)
            for process in one.running:
                try:
                    process.wait(20)
                finally:
                    process.kill()
        assert any(one.name == "receive receipt" for one in seen.spans)


def test_the_first_hour_goes_as_it_is_told(desk: Desk) -> None:
    typed = iter(FIRST_HOUR)
    # Docker is not asked for by tests: what it starts is looked at in tests/deploy.
    assert next(typed) == "docker compose -f deploy/observability/compose.yaml up -d"
    desk.export(next(typed))
    demo = desk.leave(f"{next(typed)} --port {desk.ports['8000']}", "demo")
    _until(lambda: "Ctrl-C stops it" in demo.read_text("utf-8"))
    desk.export(next(typed))
    tail = desk.leave(next(typed), "tail")
    _until(lambda: looked_on(desk.folder))
    desk.export(next(typed))
    desk.variables["GATEWAY_SERVER__PORT"] = str(desk.ports["8000"])
    assert "欢迎关注" in desk.run(next(typed))
    assert "你好" in desk.run(next(typed))
    assert "refused, as it should be" in desk.run(next(typed))
    _until(lambda: "receipt" in tail.read_text("utf-8"))
    lines = tail.read_text("utf-8").splitlines()
    assert {line.split()[1] for line in lines} == {
        *("callback", "queued", "attempt", "refused", "receipt")
    }
    assert "delivered" in desk.run(next(typed))
    (queued,) = [line for line in lines if " queued " in line]
    trace = next(typed)
    assert trace == "gateway trace ID"
    told = desk.run(trace.replace("ID", queued.split()[-1]))
    for what in ("received", "replied", "queued", "attempt 1", "receipt"):
        assert what in told
    assert [*typed] == []
    every_other_command(desk, queued.split()[-1])


def every_other_command(desk: Desk, id_: str) -> None:
    """Run what the other sections show, beside the demo; ``id_`` is a message's."""
    for line in (line for section in ENGLISH[1:] for line in section):
        if line.startswith("export ") or line == "gateway serve":
            # What they set is tried in test_otlp and test_traces, by other numbers.
            continue
        if line.startswith("gateway tail"):
            desk.look_on(line.replace("main", "demo").replace("20", "1"))
        elif line.startswith("curl ") and not line.endswith("/live"):
            assert desk.run(line.replace("8000", "9464"))
        else:
            assert desk.run(line.replace("ID", id_))
