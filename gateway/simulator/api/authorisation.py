"""The pages on which people agree that an app may know them (PROTOCOL 7.5)."""

import re
from dataclasses import dataclass
from typing import Final
from urllib.parse import quote, unquote, unquote_plus, urlsplit

from gateway.simulator.api import page
from gateway.simulator.api.grants import Kind
from gateway.simulator.api.people import Person
from gateway.simulator.api.sns import BASE, LOGIN, SCOPES, USERINFO
from gateway.simulator.api.wire import Asked, response
from gateway.simulator.api.world import Account, World

PAGES: Final = "/connect/"

AUTHORIZE: Final = "/connect/oauth2/authorize"
QRCONNECT: Final = "/connect/qrconnect"
CONFIRM: Final = "/connect/confirm"

COOKIE: Final = "simulated_person"
"""Who was chosen last in this browser."""

_ORDER: Final = (
    r"appid=(?P<app_id>[^&]*)&redirect_uri=(?P<redirect_uri>[^&]*)&response_type=code"
    r"&scope=(?P<scope>[^&]*)&state=(?P<state>[^&]*)"
)

_LINKS: Final = {
    AUTHORIZE: re.compile(_ORDER + r"(?P<more>(?:&(?:forcePopup|forceSnapShot)=(?:true|false))*)"),
    QRCONNECT: re.compile(_ORDER + r"(?P<more>(?:&lang=(?:cn|en))?)"),
}
"""What the platform takes; it checks the order by such patterns."""

_STATE: Final = re.compile(r"[a-zA-Z0-9]{1,128}")

_UNFIT: Final = re.compile(r"[\x00-\x20\x7f\\]")
"""What splits a head, or is taken for something else by browsers."""

_PLATFORMS: Final = {AUTHORIZE: "official_account", QRCONNECT: "website"}

_ASKED: Final = {
    USERINFO: ("获得你的公开信息（昵称、头像等）", "your public profile: name and picture"),
    LOGIN: ("使用你的微信账号登录，获得你的昵称、头像", "to sign you in, with name and picture"),
}


class Refused(Exception):
    """A link that the platform shows an error for: its words and code, and the reason here."""

    def __init__(self, said: str, code: int | None, why: str) -> None:
        super().__init__(said, code, why)
        self.said = said
        self.code = code
        self.why = why


@dataclass(frozen=True, slots=True)
class Wish:
    """What an app asks somebody for."""

    account: Account
    redirect_uri: str
    scope: str
    state: str
    snapshot: bool
    """Whether the app wants a virtual account."""


def answer(world: World, asked: Asked) -> bytes:
    """Return the response to a browser at a path below ``PAGES``."""
    try:
        return _confirmed(world, asked) if asked.path == CONFIRM else _opened(world, asked)
    except Refused as refused:
        # With status 200, as pages in WeChat have it [?].
        return _html(page.wrong(refused.said, refused.code, refused.why))


def wish_of(world: World, path: str, query: str) -> Wish:
    """Return what a link asks for, by its path and its query as it stands; or raise Refused.

    Codes and words are those of the table on the platform's page of web authorisation, where it
    has some; a code of None is not known [?], and which is told first neither.
    """
    platform = _PLATFORMS.get(path)
    if platform is None:
        raise Refused("该链接无法访问", None, f"there are {' and '.join(_PLATFORMS)}")
    found = _LINKS[path].fullmatch(query)
    if found is None:
        order = "appid, redirect_uri, response_type=code, scope, state"
        raise Refused("该链接无法访问", None, f"the parameters, in their order: {order}")
    app_id, redirect_uri, scope = (
        unquote_plus(found[name]) for name in ("app_id", "redirect_uri", "scope")
    )
    account = _account(world, app_id, platform)
    _check_redirect(account, redirect_uri)
    _check_scope(scope, platform)
    _check_state(found["state"])
    snapshot = "forceSnapShot=true" in found["more"]
    return Wish(account, redirect_uri, scope, found["state"], snapshot)


def returning(wish: Wish, code: str | None) -> str:
    """Return the address that a browser is sent back to; without a code where it was refused.

    What the address has in its query stays as it is, and a fragment stays behind everything.
    """
    address, hash_mark, fragment = wish.redirect_uri.partition("#")
    separator = "?" if "?" not in address else "" if address.endswith(("?", "&")) else "&"
    told = f"state={wish.state}" if code is None else f"code={code}&state={wish.state}"
    whole = f"{address}{separator}{told}{hash_mark}{fragment}"
    # Heads are ASCII; what is escaped already stays so.
    return quote(whole, safe="!#$%&'()*+,/:;=?@[]~")


def _account(world: World, app_id: str, platform: str) -> Account:
    if not app_id:
        raise Refused("appid不能为空", 10012, "appid is empty")
    account = world.account(app_id)
    if account is None:
        raise Refused("AppID 参数错误", None, "no account here has this appid")
    if account.platform != platform:
        raise Refused(
            "Scope 参数错误或没有 Scope 权限",
            10005,
            f"this page is for platform {platform}, the account's is {account.platform}",
        )
    return account


def _check_redirect(account: Account, redirect_uri: str) -> None:
    if not redirect_uri:
        raise Refused("redirect_uri不能为空", 10011, "redirect_uri is empty")
    try:
        parts = urlsplit(redirect_uri)
        host = parts.hostname
    except ValueError:
        host, parts = None, urlsplit("")
    if not host or parts.scheme not in ("http", "https") or "@" in parts.netloc:
        raise Refused("redirect_uri 参数错误", 10003, "it is no http or https address")
    if _UNFIT.search(redirect_uri):
        raise Refused("redirect_uri 参数错误", 10003, "it has characters that no address has")
    if account.redirect_host and account.redirect_host not in (host, parts.netloc):
        why = f"its host is not the one that the account has set, {account.redirect_host}"
        raise Refused("redirect_uri 参数错误", 10003, why)


def _check_scope(scope: str, platform: str) -> None:
    if not scope:
        raise Refused("scope不能为空", 10010, "scope is empty")
    if scope not in SCOPES[platform]:
        why = f"scope is none of: {', '.join(SCOPES[platform])}"
        raise Refused("Scope 参数错误或没有 Scope 权限", 10005, why)


def _check_state(state: str) -> None:
    if not state:
        raise Refused("state不能为空", 10013, "state is empty")
    if not _STATE.fullmatch(state):
        raise Refused("state 参数错误", None, "state has 1 to 128 of a-zA-Z0-9")


def _opened(world: World, asked: Asked) -> bytes:
    wish = wish_of(world, asked.path, asked.raw_query)
    if wish.scope == BASE:
        return _agreed(world, wish, _chosen(world, asked))
    chosen = _chosen(world, asked)
    shown = page.question(
        wish.account.name,
        _ASKED[wish.scope],
        CONFIRM,
        (("page", asked.path), ("query", asked.raw_query)),
        ((one.name, one is chosen) for one in world.people.named()),
    )
    return _html(shown)


def _confirmed(world: World, asked: Asked) -> bytes:
    """Take a person's answer; the link is checked again, as it comes from the browser."""
    wish = wish_of(world, asked.query.get("page", ""), asked.query.get("query", ""))
    person = world.people.find(asked.query.get("person", ""))
    if person is None:
        raise Refused("该链接无法访问", None, "nobody here has this name")
    if asked.query.get("answer") == "agree":
        return _agreed(world, wish, person)
    return _redirect(returning(wish, None), person)


def _agreed(world: World, wish: Wish, person: Person) -> bytes:
    code = world.grants.code(
        Kind.OAUTH, wish.account.app_id, person, wish.scope, snapshot=wish.snapshot
    )
    return _redirect(returning(wish, code), person)


def _chosen(world: World, asked: Asked) -> Person:
    """Return who was chosen last in this browser; the first where nobody was."""
    name = unquote(asked.cookie(COOKIE) or "")
    return world.people.find(name) or world.people.first


def _redirect(address: str, person: Person) -> bytes:
    cookie = f"{COOKIE}={quote(person.name, safe='')}; Path={PAGES}; HttpOnly; SameSite=Lax"
    fields = (("Location", address), ("Set-Cookie", cookie), _NOT_KEPT)
    return response(b"", 302, "text/plain; charset=utf-8", fields)


def _html(shown: str) -> bytes:
    return response(shown.encode(), 200, "text/html; charset=utf-8", (_NOT_KEPT, _ALONE))


_NOT_KEPT: Final = ("Cache-Control", "no-store")

_ALONE: Final = (
    "Content-Security-Policy",
    "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'",
)
"""The page needs nothing from anywhere, and runs nothing."""
