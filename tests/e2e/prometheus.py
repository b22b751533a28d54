"""A real Prometheus, with the rules that deploy/ has, that asks a test's gateway each second."""

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple
from urllib.error import HTTPError
from urllib.parse import urlencode
from urllib.request import urlopen

from tests.deploy.series import OBSERVABILITY, load
from tests.services import Service


class Sample(NamedTuple):
    """One of an answer's series, and its value now."""

    labels: dict[str, str]
    value: float


class Prometheus(Service):
    """Debian's."""

    def __init__(self, folder: Path, port: int) -> None:
        """Its settings are in ``folder``, and its data."""
        command = [
            *("prometheus", "--config.file=prometheus.yml", "--storage.tsdb.path=data"),
            f"--web.listen-address=127.0.0.1:{port}",
        ]
        super().__init__(command, port, folder / "prometheus.log", cwd=folder)

    def answers(self) -> bool:
        """Tell whether it takes queries."""
        try:
            urlopen(f"http://127.0.0.1:{self.port}/-/ready", timeout=5).close()
        except OSError:
            return False
        return True

    def ask(self, expression: str) -> list[Sample]:
        """Return what an expression gives; fail where Prometheus finds it wrong."""
        found = self._get("query", query=expression)["result"]
        return [Sample(one["metric"], float(one["value"][1])) for one in found]

    def rules(self) -> list[dict[str, Any]]:
        """Return its rules, each with how it went the last time."""
        return [rule for group in self._get("rules")["groups"] for rule in group["rules"]]

    def _get(self, what: str, **given: str) -> dict[str, Any]:
        url = f"http://127.0.0.1:{self.port}/api/v1/{what}?{urlencode(given)}"
        try:
            with urlopen(url, timeout=10) as answer:
                found: dict[str, Any] = json.load(answer)["data"]
                return found
        except HTTPError as wrong:
            raise AssertionError(wrong.read().decode()) from None


@contextmanager
def prometheus(folder: Path, port: int, gateway: str) -> Iterator[Prometheus]:
    """Run it with the settings of deploy/, of which the addresses and intervals are others."""
    folder.mkdir()
    settings = load("prometheus.yml")
    settings["global"] = {"scrape_interval": "1s", "evaluation_interval": "1s"}
    jobs = {job["job_name"]: job for job in settings["scrape_configs"]}
    ours, itself = jobs["gateway"], jobs["prometheus"]
    settings["scrape_configs"] = [ours, itself]
    ours["static_configs"] = [{"targets": [gateway], "labels": {"role": "serve"}}]
    itself["static_configs"] = [{"targets": [f"127.0.0.1:{port}"]}]
    (folder / "prometheus.yml").write_text(json.dumps(settings), encoding="utf-8")
    shutil.copy(OBSERVABILITY / "alerts.yml", folder)
    server = Prometheus(folder, port)
    try:
        server.start()
        yield server
    finally:
        server.kill()
