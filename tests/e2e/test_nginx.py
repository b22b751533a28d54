"""A service in any language behind a real nginx, with the settings that deploy/ has for it."""

import json
import shutil
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Final

import pytest

from tests.e2e.server import ROOT
from tests.e2e.signing_in import Browser, Place, place
from tests.services import Service, free_port

CONFIG: Final = ROOT / "deploy" / "nginx" / "protected.conf"

MAIN: Final = """\
daemon off;
worker_processes 1;
pid {folder}/nginx.pid;
error_log {folder}/error.log;
events {{ worker_connections 256; }}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    include {folder}/protected.conf;
}}
"""


class Nginx(Service):
    """The nginx of Debian's package."""

    def answers(self) -> bool:
        """Tell whether it takes requests."""
        try:
            socket.create_connection(("127.0.0.1", self.port), 1).close()
        except OSError:
            return False
        return True


class Shop(BaseHTTPRequestHandler):
    """A service that knows nothing of WeChat: it answers with what it is told."""

    def do_GET(self) -> None:
        """Tell the path, and who calls."""
        told = {name.lower(): value for name, value in self.headers.items()}
        body = json.dumps({"path": self.path, **told}).encode()
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # its own name
        """Log nothing."""


@contextmanager
def shop(port: int) -> Iterator[None]:
    """Serve it."""
    server = ThreadingHTTPServer(("127.0.0.1", port), Shop)
    thread = Thread(target=server.serve_forever)
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@contextmanager
def nginx(folder: Path, port: int, gateway: Place) -> Iterator[Nginx]:
    """Run it with the settings of deploy/, other ports in them."""
    folder.mkdir()
    text = CONFIG.read_text(encoding="utf-8")
    for before, after in (
        ("127.0.0.1:8000", f"127.0.0.1:{gateway.server.port}"),
        ("127.0.0.1:9000", f"127.0.0.1:{gateway.shop}"),
        ("listen 80;", f"listen 127.0.0.1:{port};"),
    ):
        assert text.count(before) == 1
        text = text.replace(before, after)
    (folder / "protected.conf").write_text(text, encoding="utf-8")
    shutil.copy(CONFIG.with_name("who.conf"), folder)
    (folder / "nginx.conf").write_text(MAIN.format(folder=folder), encoding="utf-8")
    binary = shutil.which("nginx") or "/usr/sbin/nginx"
    server = Nginx([binary, "-c", str(folder / "nginx.conf")], port, folder / "nginx.log")
    try:
        server.start()
        yield server
    finally:
        server.stop()


@pytest.fixture(scope="module")
def behind(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """A gateway and a shop behind nginx."""
    folder, front = tmp_path_factory.mktemp("nginx"), free_port()
    identity = "cache_seconds = 0.0\nsession_seconds = 60"
    with (
        place(folder, front=front, identity=identity) as gateway,
        shop(gateway.shop),
        nginx(folder / "nginx", front, gateway),
    ):
        yield gateway


def signed_in(place: Place, person: str | None = None) -> Browser:
    """Return a browser that went to a page of the shop, and was led to sign in on its way."""
    browser = place.browser()
    leave = browser.go(f"{place.front}/orders?page=2&sort=new")
    back = browser.go(browser.agree(leave, person))
    assert back.header("location") == f"{place.front}/orders?page=2&sort=new"
    return browser


def test_a_page_leads_to_the_sign_in_and_back_to_itself(behind: Place) -> None:
    browser = signed_in(behind)
    page = browser.go(f"{behind.front}/orders?page=2&sort=new")
    assert page.status == 200
    assert page.told["path"] == "/orders?page=2&sort=new"
    session = browser.go(f"{behind.front}/session").told
    assert page.told["x-auth-user"] == session["person"]
    assert page.told["x-auth-open-id"] == session["open_id"]
    assert page.told["x-auth-account"] == "main"


def test_nobody_says_themselves_who_they_are(behind: Place) -> None:
    forged = {"x_auth_user": "admin", "x_auth_roles": "admin", "x_auth_union_id": "u"}
    nobody = behind.browser().go(f"{behind.front}/orders", **forged)
    assert nobody.status == 302
    browser = signed_in(behind)
    person = browser.go(f"{behind.front}/session").told["person"]
    told = browser.go(f"{behind.front}/orders", **forged).told
    assert told["x-auth-user"] == person
    assert not {"admin", "u"} & {told.get("x-auth-roles"), told.get("x-auth-union-id")}
    behind.api("POST", f"/identities/{person}/roles", {"add": ["admin"]})
    told = browser.go(f"{behind.front}/admin/", **{**forged, "x_auth_roles": "root"}).told
    assert (told["x-auth-user"], told["x-auth-roles"]) == (person, "admin")
    assert told.get("x-auth-union-id") != "u"
    behind.api("POST", f"/identities/{person}/roles", {"remove": ["admin"]})


def test_what_a_page_asks_for_is_not_led_to_the_sign_in(behind: Place) -> None:
    """It would be shown nothing there, and each would leave a cookie."""
    image = behind.browser().go(f"{behind.front}/picture.png", accept="image/*")
    assert (image.status, image.header("set-cookie")) == (401, "")


def test_a_part_of_it_is_for_a_role(behind: Place) -> None:
    browser = signed_in(behind, "韩梅梅")
    assert browser.go(f"{behind.front}/admin/").status == 403
    person = browser.go(f"{behind.front}/session").told["person"]
    behind.api("POST", f"/identities/{person}/roles", {"add": ["admin"]})
    assert browser.go(f"{behind.front}/admin/").told["x-auth-user"] == person
    behind.api("POST", f"/identities/{person}/roles", {"remove": ["admin"]})
    assert browser.go(f"{behind.front}/admin/").status == 403


@pytest.mark.parametrize(
    "path",
    [
        *("/admin/users/..%2f..%2fx", "/admin/delete/%2e%2e/%2e%2e/x", "/admin/../x"),
        *("/x/%2E%2E/admin/", "/admin;a/x", "/./admin/", "/x/..", "/admin%5cx"),
    ],
)
def test_nobody_gets_around_a_part_by_how_its_path_is_written(behind: Place, path: str) -> None:
    assert signed_in(behind, "韩梅梅").go(behind.front + path).status == 400


def test_who_signed_out_is_led_to_the_sign_in_again(behind: Place) -> None:
    browser = signed_in(behind)
    token = browser.token
    assert browser.go(f"{behind.front}/session", "DELETE").status == 204
    browser.cookies["/", "gateway_session"] = token
    assert browser.go(f"{behind.front}/orders").status == 302


def test_verify_and_sign_in_are_not_pages_of_nginx(behind: Place) -> None:
    for path in ("/_verify", "/_verify_admin", "/_sign_in"):
        assert behind.browser().go(behind.front + path).status == 404


def test_a_gateway_that_is_away_lets_nobody_pass(behind: Place) -> None:
    browser = signed_in(behind)
    behind.server.kill()
    assert browser.go(f"{behind.front}/orders").status == 500
    behind.restart()
    assert browser.go(f"{behind.front}/orders").status == 200
