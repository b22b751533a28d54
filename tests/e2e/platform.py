"""WeChat's API in a process of its own, as ``gateway simulate platform`` serves it."""

import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

from tests.e2e.server import ROOT
from tests.services import Service


class PlatformServer(Service):
    """The platform."""

    def __init__(self, folder: Path, port: int, callbacks: int) -> None:
        """Serve the settings in ``folder``; ``callbacks`` is the port of the gateway."""
        arguments = ["simulate", "platform", "--port", str(port)]
        to = ["--callbacks", f"http://127.0.0.1:{callbacks}/wechat"]
        command = [sys.executable, "-m", "gateway", *arguments, *to]
        environment = {k: v for k, v in os.environ.items() if not k.startswith("GATEWAY_")}
        environment |= {"PYTHONPATH": str(ROOT)}
        super().__init__(command, port, folder / "platform.log", cwd=folder, env=environment)

    def answers(self) -> bool:
        """Tell whether it takes calls."""
        try:
            return "accounts" in self.get("summary")
        except OSError:
            return False

    def get(self, path: str) -> dict[str, Any]:
        """Return what it tells below /simulator."""
        with urlopen(f"http://127.0.0.1:{self.port}/simulator/{path}", timeout=5) as answer:
            found: dict[str, Any] = json.load(answer)
            return found

    def set(self, path: str, **given: object) -> None:
        """Set something below /simulator."""
        body = json.dumps({name.replace("_", "-"): value for name, value in given.items()})
        url = f"http://127.0.0.1:{self.port}/simulator/{path}"
        with urlopen(Request(url, body.encode()), timeout=5):
            pass

    def received(self, open_id: str) -> list[dict[str, Any]]:
        """Return the bodies that a user received."""
        found = self.get(f"ledger?openid={open_id}")["received"]
        return [one["body"] for one in found]


@contextmanager
def platform(folder: Path, port: int, callbacks: int) -> Iterator[PlatformServer]:
    """Run a platform; end it, whatever happens."""
    server = PlatformServer(folder, port, callbacks)
    try:
        server.start()
        yield server
    finally:
        server.kill()
