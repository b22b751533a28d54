"""The README's sections, run as they stand there against the simulator."""

import os
import re
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Final

from tests.e2e.server import ACCOUNTS, ROOT, running
from tests.e2e.test_background import _until
from tests.e2e.test_sinks import Endpoint
from tests.services import Database, RedisServer

README: Final = (ROOT / "README.md").read_text(encoding="utf-8")
SECTIONS: Final = dict(re.findall(r"^## (.+?)\n(.*?)(?=^## |\Z)", README, re.DOTALL | re.MULTILINE))

MAIN: Final = ACCOUNTS.partition("[accounts.compat]")[0]
"""The settings of "Safe mode in five lines", with what a console would say."""


def block(section: str, language: str) -> str:
    """Return the first piece of code in a language in a section."""
    found = re.search(rf"```{language}\n(.*?)```", SECTIONS[section], re.DOTALL)
    assert found is not None
    return found[1]


def write_shop(folder: Path) -> None:
    """Put the README's handlers together as it says, with one of events that notes them."""
    head, _, echo = block("A bot in six lines", "python").partition("@bot.on")
    later = block("Slow work, in the background", "python").replace("sleep(10)", "sleep(0.1)")
    noted = """
@bot.on_event("order/*")
async def note(event):
    open("noted", "a").write(f"{event.type} {event.data}\\n")
"""
    shop = f"import asyncio, re\n{head}{later}\n\n@bot.on{echo}{noted}"
    (folder / "shop.py").write_text(shop, encoding="utf-8")


def gateway(folder: Path, port: int, *arguments: str) -> str:
    """Run the command in a folder, for the gateway on a port; return what it says."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("GATEWAY_")}
    ran = subprocess.run(
        [sys.executable, "-m", "gateway", *arguments],
        cwd=folder,
        env=kept | {"PYTHONPATH": str(ROOT), "GATEWAY_SERVER__PORT": str(port)},
        capture_output=True,
        encoding="utf-8",
        check=False,
        timeout=60,
    )
    return ran.stdout + ran.stderr


def test_a_background_handler_s_user_is_told_to_wait_and_its_reply_is_kept(tmp_path: Path) -> None:
    write_shop(tmp_path)
    with running("shop", tmp_path, MAIN) as server:
        assert "你说：你好" in gateway(tmp_path, server.port, "simulate", "text", "你好")
        assert "正在查询…" in gateway(tmp_path, server.port, "simulate", "text", "查询 A17")
        _until(lambda: "customer_service" in gateway(tmp_path, server.port, "inbox", "status"))
    with sqlite3.connect(tmp_path / "var" / "gateway.db") as database:
        ((job,),) = database.execute("SELECT body FROM entries WHERE lane = 'customer_service'")
    assert "A17 已发货" in job.decode()


def test_a_follower_s_event_is_forwarded_and_other_services_send_theirs(tmp_path: Path) -> None:
    section = "Events for everybody else"
    sink = block(section, "toml")
    secret = re.findall(r"whsec_[\w=+/]+", sink)[0]
    write_shop(tmp_path)
    with Endpoint(secret).listening() as endpoint:
        sink = sink.replace("9000", str(endpoint.port))
        producer = f'[producers.shop]\nsecret = "{secret}"\n'
        with running("shop", tmp_path, MAIN + producer + sink) as server:
            gateway(tmp_path, server.port, "simulate", "event", "subscribe")
            _until(lambda: endpoint.events)
            assert endpoint.events[0]["type"] == "user.subscribed"
            post = block(section, "python").replace("8000", str(server.port))
            imports = (
                "import urllib.request, standardwebhooks\nfrom datetime import UTC, datetime\n"
            )
            exec(imports + post, {"secret": secret})  # noqa: S102 - our own document
            noted = tmp_path / "noted"
            _until(lambda: noted.exists() and noted.read_text())
    assert noted.read_text() == "order/paid {'order': 'A17'}\n"


def test_in_production_redis_and_postgres_keep_everything(
    tmp_path: Path, redis_process: RedisServer, postgres: Database
) -> None:
    store = block("Going to production", "toml")
    redis_url = redis_process.url.removesuffix("/0") + "/9"
    store = re.sub(r'"redis://.*?"', f'"{redis_url}"', store)
    store = re.sub(r'"postgresql://.*?"', f'"{postgres.dsn}"', store)
    write_shop(tmp_path)
    (tmp_path / "gateway.toml").write_text(MAIN + store, encoding="utf-8")
    assert "applied: 0001" in gateway(tmp_path, 8000, "migrate")
    assert "a crash" in gateway(tmp_path, 8000, "doctor")
    kinds = "SELECT kind FROM gateway_archive"
    with running("shop", tmp_path, MAIN + store) as server:
        assert "正在查询…" in gateway(tmp_path, server.port, "simulate", "text", "查询 A17")
        _until(lambda: [row["kind"] for row in postgres.run(kinds)] == ["Text"])
        _until(lambda: "customer_service" in gateway(tmp_path, server.port, "inbox", "status"))
