"""A gateway that people sign in at, and a WeChat to do it with: processes, and a browser."""

import http.client
import json
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from hashlib import sha256
from http.cookies import SimpleCookie
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote, urlencode, urlsplit
from urllib.request import Request, urlopen

from tests.contracts.records import migrated
from tests.e2e.platform import PlatformServer, platform
from tests.e2e.server import READY, Server, start, wait_until_ready
from tests.services import free_port, postgres_server, redis_server
from tests.support import AES_KEY, APP_ID, TOKEN

KEY: Final = "gwk_" + "k" * 43
READER: Final = "gwk_" + "r" * 43
MINI_KEY: Final = "gwk_" + "m" * 43
MINI: Final = "wx00000000000000b1"
MOBILE: Final = "wx00000000000000c1"
SITE: Final = "wx00000000000000d1"

SETTINGS: Final = """\
[identity]
secret = "not-a-secret-of-anybody-0123456789"
public_url = "http://127.0.0.1:{front}"
secure_cookies = false
{identity}
[identity.roles]
staff = ["orders:read"]
admin = ["orders:read", "orders:write"]

[accounts.main]
app_id = "{app_id}"
token = "{token}"
encoding_aes_key = "{aes_key}"
app_secret = "secret-of-main"
api_url = "http://127.0.0.1:{wechat}"
authorize_url = "http://127.0.0.1:{wechat}"
sign_in_hosts = ["127.0.0.1:{port}", "127.0.0.1:{front}", "127.0.0.1:{shop}"]
tenant = "shop"

[accounts.mini]
app_id = "{mini}"
app_secret = "secret-of-mini"
platform = "mini_program"
api_url = "http://127.0.0.1:{wechat}"

[accounts.mobile]
app_id = "{mobile}"
app_secret = "secret-of-mobile"
platform = "mobile_app"
api_url = "http://127.0.0.1:{wechat}"

[accounts.site]
app_id = "{site}"
app_secret = "secret-of-site"
platform = "website"
api_url = "http://127.0.0.1:{wechat}"
authorize_url = "http://127.0.0.1:{wechat}"
sign_in_hosts = ["127.0.0.1:{port}"]

[api_keys.crm]
hash = "{key}"
scopes = ["identity:read", "identity:manage"]

[api_keys.reader]
hash = "{reader}"
scopes = ["identity:read"]

[api_keys.mini]
hash = "{mini_key}"
scopes = ["identity:read", "identity:manage"]
accounts = ["mini"]

{store}
"""


@dataclass
class Answer:
    """What came back."""

    status: int
    headers: list[tuple[str, str]]
    body: bytes

    def header(self, name: str) -> str:
        """Return a header; empty where there is none."""
        return next((value for key, value in self.headers if key == name), "")

    @property
    def told(self) -> Any:
        """What its JSON says."""
        return json.loads(self.body)

    @property
    def text(self) -> str:
        """Its page."""
        return self.body.decode()


@dataclass
class Browser:
    """Keeps cookies by host and path as a browser does, and follows nothing by itself."""

    place: "Place"
    cookies: dict[tuple[str, str], str] = field(default_factory=dict)
    """By path and name: all hosts here are this machine."""

    def go(self, url: str, method: str = "GET", body: object = None, **headers: str) -> Answer:
        """Send a request, with the cookies of its path."""
        path = urlsplit(url).path
        sent = "; ".join(
            f"{name}={value}" for (at, name), value in self.cookies.items() if path.startswith(at)
        )
        fields = {"accept": "text/html"}
        fields |= {name.replace("_", "-"): value for name, value in headers.items()}
        if sent:
            fields["cookie"] = sent
        answer = self.place.ask(method, url, body, fields)
        for name, value in answer.headers:
            if name == "set-cookie":
                self._keep(value)
        return answer

    def _keep(self, value: str) -> None:
        ((name, morsel),) = SimpleCookie(value).items()
        key = (morsel["path"] or "/", name)
        self.cookies.pop(key, None)
        if morsel["max-age"] != "0":
            self.cookies[key] = morsel.value

    def begin(self, account: str = "main", **query: str) -> Answer:
        """Begin to sign in."""
        query = {"redirect": f"{self.place.front}/session", **query}
        return self.go(f"{self.place.front}/oauth/{account}/authorize?{urlencode(query)}")

    def agree(self, leave: Answer, person: str | None = None) -> str:
        """Agree at WeChat's page; return the address that it leads back to."""
        assert leave.status == 302, leave.text
        page = urlsplit(leave.header("location"))
        asked = dict(pair.split("=", 1) for pair in page.query.split("&"))
        app = {"appid": asked["appid"], "scope": asked["scope"]}
        code = self.place.control("code", **app, **({"person": person} if person else {}))["code"]
        back = f"{self.place.front}/oauth/{'site' if app['appid'] == SITE else 'main'}/callback"
        assert quote(back, safe="") == asked["redirect_uri"]
        return f"{back}?code={code}&state={asked['state']}"

    def sign_in(self, scope: str = "snsapi_base", person: str | None = None) -> Answer:
        """Sign in; return what the callback answers."""
        answer = self.go(self.agree(self.begin(scope=scope), person))
        assert answer.status == 302, answer.text
        return answer

    @property
    def token(self) -> str:
        """The session's token, as the cookie has it."""
        return self.cookies["/", "gateway_session"]


@dataclass
class Place:
    """What a test has."""

    server: Server
    platform: PlatformServer
    folder: Path
    shop: int
    """The port of a shop of its own, that nobody listens on until a test does."""
    front: str
    """Where browsers find the gateway."""

    @property
    def url(self) -> str:
        """Where the gateway is."""
        return self.server.url

    def restart(self, ready: str = READY) -> None:
        """Kill the gateway, and start it as the settings have it now."""
        self.server.kill()
        settings = (self.folder / "gateway.toml").read_text(encoding="utf-8")
        self.server = start(self.server.kind, self.folder, settings, self.server.port)
        wait_until_ready(self.server, ready)

    def browser(self) -> Browser:
        """Return one that was nowhere yet."""
        return Browser(self)

    def ask(
        self, method: str, url: str, body: object = None, headers: dict[str, str] | None = None
    ) -> Answer:
        """Send one request; a body that is no bytes is sent as JSON."""
        raw = body if isinstance(body, bytes | None) else json.dumps(body).encode()
        parts = urlsplit(url)
        connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=20)
        try:
            target = parts.path + (f"?{parts.query}" if parts.query else "")
            connection.request(method, target, body=raw, headers=headers or {})
            got = connection.getresponse()
            fields = [(name.lower(), value) for name, value in got.getheaders()]
            return Answer(got.status, fields, got.read())
        finally:
            connection.close()

    def api(self, method: str, path: str, body: object = None, key: str = KEY) -> Answer:
        """Use the API of people with a key."""
        return self.ask(method, self.url + path, body, {"authorization": f"Bearer {key}"})

    def control(self, control: str, /, **given: object) -> dict[str, Any]:
        """Steer the platform; return what it says."""
        url = f"http://127.0.0.1:{self.platform.port}/simulator/{control}"
        with urlopen(Request(url, json.dumps(given).encode()), timeout=5) as answer:
            told: dict[str, Any] = json.load(answer)
            return told

    def calls(self, path: str) -> int:
        """Return how often WeChat was called there."""
        return int(self.platform.get("summary")["calls"].get(path, 0))

    def app_login(self, person: str | None = None, app: str = "miniprogram/mini") -> Answer:
        """Sign in to an app by its code."""
        given = {"person": person} if person else {}
        if app == "miniprogram/mini":
            code = self.control("js_code", appid=MINI, **given)["code"]
        else:
            code = self.control("code", appid=MOBILE, **given)["code"]
        return self.ask("POST", f"{self.url}/{app}/login", {"code": code})


@contextmanager
def place(
    folder: Path,
    kind: str = "rsgi",
    *,
    servers: bool = False,
    identity: str = "",
    front: int = 0,
) -> Iterator[Place]:
    """Run both; over Redis and Postgres with ``servers``, else over SQLite.

    ``identity`` is more for that section of the settings; ``front`` the port of a proxy before it.
    """
    with ExitStack() as running:
        store = ""
        if servers:
            redis = running.enter_context(redis_server(folder / "redis"))
            postgres = running.enter_context(postgres_server(folder / "postgres"))
            dsn = migrated(postgres.dsn)
            store = f'[store]\nredis_url = "{redis.url}"\npostgres_dsn = "{dsn}"'
        port, wechat, shop = free_port(), free_port(), free_port()
        settings = SETTINGS.format(
            port=port,
            front=front or port,
            wechat=wechat,
            shop=shop,
            store=store,
            identity=identity,
            app_id=APP_ID,
            token=TOKEN,
            aes_key=AES_KEY,
            mini=MINI,
            mobile=MOBILE,
            site=SITE,
            key=sha256(KEY.encode()).hexdigest(),
            reader=sha256(READER.encode()).hexdigest(),
            mini_key=sha256(MINI_KEY.encode()).hexdigest(),
        )
        (folder / "gateway.toml").write_text(settings, encoding="utf-8")
        wechat_server = running.enter_context(platform(folder, wechat, port))
        server, url = start(kind, folder, settings, port), f"http://127.0.0.1:{front or port}"
        here = Place(server, wechat_server, folder, shop, url)
        try:
            wait_until_ready(here.server)
            yield here
            here.server.stop()
        finally:
            here.server.kill()
