"""`gateway users`, as a person uses it."""

import asyncio
import io
import json
import os
import re
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from itertools import count
from pathlib import Path
from typing import Any, Final, TypeVar

import msgspec
import pytest
from rich.console import Console

from gateway.adapters.sqlite_identities import SqliteIdentities
from gateway.adapters.sqlite_queue import SqliteQueue
from gateway.adapters.sqlite_records import SqliteArchive, SqliteDeadLetters
from gateway.adapters.sqlite_sessions import SqliteSessions
from gateway.cli.users import syncing
from gateway.identity.app_sign_in import PHONE
from gateway.identity.keys import key_ring
from gateway.identity.people import AppUser, Consent, Person, Platform, Sighting
from gateway.identity.ports import Secret
from gateway.identity.session import Session
from gateway.identity.syncing import checkpoint_name
from gateway.identity.user_tokens import place_of
from gateway.identity.vault import Vault
from gateway.inbound.claims import Entry
from gateway.inbound.ports import Callback, DeadLetter
from gateway.inbound.stored import BACKGROUND, StoredMessage
from gateway.outbound.endpoints.followers import INFO_BATCH, LIST
from gateway.outbound.jobs import Ask, Channel, Settled, State
from gateway.simulator.api.people import follower_id
from tests.cli.running import Command
from tests.e2e.platform import PlatformServer
from tests.e2e.platform import platform as served
from tests.services import Database, RedisServer, free_port, wait_until

_T = TypeVar("_T")

FILE: Final = Path("var/gateway.db")
SECRET: Final = "identity-secret-of-32-characters-"
USER: Final = "oUser000000000000000000000001"
MINI_USER: Final = "oMini000000000000000000000001"
OTHER: Final = "oOther00000000000000000000001"
UNION: Final = "oUnion000000000000000000001"
NAME: Final = "小明🎈"
GONE: Final = "wx00000000000000ff"
"""An app id that no account has."""

NUMBERS: Final = range(12)
"""The platform's accounts, one for each test that has one."""

ACCOUNT: Final = """
[accounts.{name}]
app_id = "{app_id}"
app_secret = "s3cr3t"
token = "sometoken"
mode = "plain"
platform = "{platform}"
api_url = "http://127.0.0.1:{port}"
"""
IDENTITY: Final = f"""
[identity]
secret = "{SECRET}"
[identity.roles]
staff = ["orders:read"]
editor = ["pages:write"]
"""


@pytest.fixture(scope="module")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PlatformServer]:
    """WeChat's API."""
    folder, port = tmp_path_factory.mktemp("platform"), free_port()
    accounts = [
        ACCOUNT.format(name=f"n{n}", app_id=app_id(n), platform="official_account", port=port)
        for n in NUMBERS
    ]
    (folder / "gateway.toml").write_text("".join(accounts))
    with served(folder, port, free_port()) as server:
        yield server


_unused = count()


def app_id(number: int) -> str:
    """Return the app id of an account of the platform."""
    return f"wx{number:016}"


MINI_APP: Final = "wx00000000000000b1"


class World:
    """What a test has."""

    def __init__(self, folder: Path, app: str, port: int) -> None:
        self.app_id = app
        self.config = folder / "gateway.toml"
        given = (
            ("main", app, "official_account"),
            ("twin", app, "official_account"),
            ("mini", MINI_APP, "mini_program"),
        )
        accounts = (
            ACCOUNT.format(name=name, app_id=app_id, platform=platform, port=port)
            for name, app_id, platform in given
        )
        self.config.write_text("".join(accounts) + IDENTITY)

    def change(self, text: str, instead: str) -> None:
        """Change the settings."""
        self.config.write_text(self.config.read_text().replace(text, instead))

    def work(self, work: Callable[[SqliteIdentities], Awaitable[_T]]) -> _T:
        """Do something with the store that the command works on."""
        ids = count()
        stamp = time.time_ns()

        async def run() -> _T:
            opened = SqliteIdentities(FILE, timeout=5, new_id=lambda: f"p{stamp}-{next(ids)}")
            try:
                return await work(opened)
            finally:
                await opened.close()

        return asyncio.run(run())

    def see(self, *sightings: Sighting) -> str:
        """Learn something; return whose the first is."""
        return self.work(lambda store: store.see(sightings))[0]

    def somebody(self) -> str:
        """Return the id of somebody with three open ids, who had another id as well."""
        now = time.time()
        self.see(Sighting(AppUser(MINI_APP, MINI_USER), Platform.MINI_PROGRAM, now - 90))
        user, gone = AppUser(self.app_id, USER), AppUser(GONE, USER)
        kind = Platform.OFFICIAL_ACCOUNT
        id_ = self.see(
            Sighting(user, kind, now - 80, UNION, subscribed=True, nickname=NAME),
            Sighting(gone, Platform.WEBSITE, now - 70, UNION),
            Sighting(AppUser(self.app_id, OTHER), kind, now - 60),
        )
        self.see(Sighting(AppUser(MINI_APP, MINI_USER), Platform.MINI_PROGRAM, now - 50, UNION))
        self.work(lambda store: store.answer([Consent(user, "T1", accepted=True, at=now - 40)]))
        return id_

    def person(self, id_: str) -> Person:
        """Return somebody."""
        person = self.work(lambda store: store.person(id_))
        assert person is not None
        return person

    def sign_in(self, id_: str, number: int = 1) -> Session:
        """Begin a session of somebody."""
        now = time.time()
        session = Session(
            id=f"session-{number}-that-nobody-guesses",
            person=id_,
            account="main",
            app_id=self.app_id,
            open_id=USER,
            began_at=now - number,
            seen_at=now,
            expires_at=now + 600,
            ends_at=now + 6000,
            nickname=NAME,
        )
        sessions(lambda store: store.put(session))
        return session


def sessions(work: Callable[[SqliteSessions], Awaitable[_T]]) -> _T:
    """Do something with the store of sessions."""

    async def run() -> _T:
        opened = SqliteSessions(FILE, timeout=5)
        try:
            return await work(opened)
        finally:
            await opened.close()

    return asyncio.run(run())


@pytest.fixture
def world(folder: Path) -> World:
    """Settings of accounts that WeChat is not asked about."""
    return World(folder, app_id(99), 9)


@pytest.fixture
def official(folder: Path, platform: PlatformServer) -> World:
    """Settings of an account of the platform's that no other test has."""
    return World(folder, app_id(next(_unused)), platform.port)


def follow(platform: PlatformServer, world: World, followers: int) -> None:
    """Let so many more people follow."""
    platform.set("followers", appid=world.app_id, count=followers)


def calls(platform: PlatformServer) -> tuple[int, int]:
    """Return how often followers were listed, and asked about."""
    made = platform.get("summary")["calls"]
    return made.get(LIST, 0), made.get(INFO_BATCH, 0)


def test_all_followers_are_learned(
    official: World, platform: PlatformServer, command: Command
) -> None:
    follow(platform, official, 2350)
    ran = command("users", "sync", "--account", "main")
    assert (ran.code, ran.err) == (0, "")
    assert ran.out == (
        "main: 2,350 followers, 2,350 with a union id; 0 follow no longer\n"
        "known of all accounts: 2,350 people with 2,350 open ids; before: 0 with 0\n"
    )
    assert command("users", "count").out == "2,350 people with 2,350 open ids\n"


def test_a_run_that_was_killed_goes_on_and_asks_for_nothing_twice(
    official: World, platform: PlatformServer, command: Command
) -> None:
    follow(platform, official, 2350)
    platform.set("faults", latency=0.05)
    running = subprocess.Popen(
        [sys.executable, "-m", "gateway", "users", "sync", "--account", "main"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        wait_until(lambda: _noted(official).get("done", 0) >= 1000, "the first thousand", running)
    finally:
        running.send_signal(signal.SIGKILL)
        running.wait()
    platform.set("faults")
    done = _noted(official)["done"]
    assert done in (1000, 2000)
    ran = command("users", "sync", "--account", "main")
    assert ran.code == 1
    assert re.search("main: another run is at it, last heard of [0-9]+ s ago; let it", ran.err)
    _age(official, 61)
    before = _calls_of_those_gone(platform)
    ran = command("users", "sync", "--account", "main")
    assert ran.code == 0
    assert f"goes on behind {done:,} followers, of a run begun at 20" in ran.err
    assert ran.out.startswith("main: 2,350 followers, 2,350 with a union id; 0 follow")
    after = calls(platform)
    assert after[1] - before[1] == -(-(2350 - done) // 100)
    assert command("users", "count").out == "2,350 people with 2,350 open ids\n"


def _calls_of_those_gone(platform: PlatformServer) -> tuple[int, int]:
    """Return the calls that were made once those are answered whose caller was killed."""
    made = [calls(platform)]

    def are_all() -> bool:
        time.sleep(0.3)
        made.append(calls(platform))
        return made[-1] == made[-2]

    wait_until(are_all, "the last answer")
    return made[-1]


def _noted(world: World) -> dict[str, Any]:
    if not FILE.exists():
        return {}
    raw = world.work(lambda store: store.checkpoint(checkpoint_name("main")))
    found: dict[str, Any] = {} if raw is None else msgspec.json.decode(raw)
    return found


def _age(world: World, seconds: float) -> None:
    """Let a run that is over have been silent for so long."""
    noted = _noted(world)
    noted["at"] -= seconds
    raw = msgspec.json.encode(noted)
    world.work(lambda store: store.note_checkpoint(checkpoint_name("main"), raw))


def test_ctrl_c_lets_the_next_run_go_on_at_once(
    official: World, platform: PlatformServer, command: Command
) -> None:
    follow(platform, official, 1500)
    platform.set("faults", latency=0.05)
    running = subprocess.Popen(
        [sys.executable, "-m", "gateway", "users", "sync", "--account", "main"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )
    try:
        wait_until(lambda: _noted(official).get("done", 0) >= 1000, "the first thousand", running)
    finally:
        running.send_signal(signal.SIGINT)
        _, told = running.communicate()
    platform.set("faults")
    assert running.returncode == 1
    assert b"1,000 of 1,500 followers; then it broke off: run it again" in told
    assert b"Traceback" not in told
    ran = command("users", "sync", "--account", "main", "--restart")
    assert ran.code == 0
    assert "goes on" not in ran.err


def test_a_quota_that_is_used_up_ends_it_for_today(
    official: World, platform: PlatformServer, command: Command
) -> None:
    follow(platform, official, 1500)
    platform.set("quotas", **{INFO_BATCH: {"daily": 0}})
    try:
        first = command("users", "sync", "--account", "main")
    finally:
        platform.set("quotas", **{INFO_BATCH: {"daily": 1_000_000}})
    assert (first.code, first.out) == (1, "")
    said, told = first.err.splitlines()
    assert said == (
        "0 of 1,500 followers; then it broke off: run it again, and it goes on from there"
    )
    assert re.fullmatch(
        f"gateway: WeChat's quota of {INFO_BATCH} is used up; it begins anew at 20.*T16:00:00.*",
        told,
    )


def test_those_who_left_are_counted(
    official: World, platform: PlatformServer, command: Command
) -> None:
    follow(platform, official, 5)
    kind = Platform.OFFICIAL_ACCOUNT
    gone = Sighting(AppUser(official.app_id, OTHER), kind, time.time() - 60, subscribed=True)
    official.see(gone)
    ran = command("users", "sync", "--account", "main")
    assert ran.out.splitlines()[0] == ("main: 5 followers, 5 with a union id; 1 follow no longer")
    assert ran.out.splitlines()[1].endswith("6 people with 6 open ids; before: 1 with 1")


def test_errors_of_wechat_are_a_line(
    official: World, platform: PlatformServer, command: Command
) -> None:
    official.change('app_secret = "s3cr3t"', 'app_secret = "another"')
    ran = command("users", "sync", "--account", "main")
    assert ran.code == 1
    assert ran.err.splitlines()[-1].startswith("gateway: main: /cgi-bin/stable_token: errcode")
    assert "another" not in ran.err


def test_on_a_terminal_there_is_a_bar_and_else_a_line_now_and_then(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for is_terminal in (True, False):
        shown = io.StringIO()
        console = Console(file=shown, force_terminal=is_terminal, width=100)
        monkeypatch.setattr(syncing, "Console", lambda console=console, **_: console)
        monkeypatch.setattr(syncing, "PLAIN_SECONDS", 0.0)
        with syncing.Watch() as watch:
            watch.begins(0.0, 0)
            watch.moved(1000, 2000)
            watch.waits("[bold]because", 30)
        told = shown.getvalue()
        assert "waits for 30 s: [bold]because" in told
        assert ("━" in told, "1000/2000" in told) == (is_terminal, is_terminal)
        assert ("1,000 of 2,000 followers, " in told) is not is_terminal


@pytest.mark.parametrize(
    ("account", "told"),
    [
        ((), "which account? give --account, one of the official accounts: main, twin"),
        (("--account", "nobody"), "give --account, one of the official accounts: main, twin"),
        (("--account", "mini"), "mini is a mini_program, and has no followers; give --account"),
    ],
)
def test_an_account_without_followers_is_told(
    account: tuple[str, ...], told: str, world: World, command: Command
) -> None:
    ran = command("users", "sync", *account)
    assert (ran.code, ran.out) == (2, "")
    assert told in ran.err


def test_one_official_account_needs_no_name(world: World, command: Command) -> None:
    text = world.config.read_text()
    world.change(text[text.index("[accounts.twin]") : text.index("[accounts.mini]")], "")
    world.change('app_secret = "s3cr3t"\n', "")
    ran = command("users", "sync")
    assert ran.code == 2
    assert "accounts.main.app_secret: missing" in ran.err


EVERY: Final = [
    ("sync", "--account", "main"),
    ("show", "x"),
    ("find", "--union-id", "x"),
    ("merges",),
    ("count",),
    ("grant", "x", "staff"),
    ("revoke", "x", "staff"),
    ("tag", "x", "--add", "vip"),
    ("sessions", "x"),
    ("sign-out", "x"),
    ("export", "x"),
    ("erase", "x", "--yes"),
]


@pytest.mark.parametrize("arguments", EVERY, ids=" ".join)
def test_without_a_secret_nobody_is_known(
    arguments: tuple[str, ...], world: World, command: Command
) -> None:
    world.change(f'secret = "{SECRET}"', "")
    ran = command("users", *arguments)
    assert (ran.code, ran.out) == (2, "")
    assert ran.err.startswith("gateway: identity.secret: missing; `openssl rand -hex 32`")


@pytest.mark.parametrize("arguments", EVERY, ids=" ".join)
def test_a_store_that_is_down_is_a_line(
    arguments: tuple[str, ...], world: World, command: Command
) -> None:
    Path("var").write_text("no folder")
    ran = command("users", *arguments)
    assert (ran.code, ran.out) == (1, "")
    assert ran.err.startswith("gateway: SQLite var/gateway.db: ")


@pytest.mark.parametrize(
    "arguments",
    [one for one in EVERY if one[0] not in ("sync", "find", "merges", "count")],
    ids=" ".join,
)
def test_of_nobody_there_is_nothing(
    arguments: tuple[str, ...], world: World, command: Command
) -> None:
    ran = command("users", *arguments)
    assert (ran.code, ran.out) == (1, "")
    assert ran.err == (
        "gateway: there is nobody with the id x; `gateway users find` finds people's ids\n"
    )


def test_a_person_is_shown_with_all_that_is_known(world: World, command: Command) -> None:
    id_ = world.somebody()
    former = world.person(id_).former_ids[0]
    world.work(lambda store: store.tag(id_, ["vip"], []))
    for asked in (id_, former):
        ran = command("users", "show", asked)
        assert (ran.code, ran.err) == (0, "")
        for text in (id_, UNION, NAME, USER, MINI_USER, "main, twin", "mini", "vip", former, "T1"):
            assert text in ran.out
        assert f"none with {GONE}" in ran.out
        assert OTHER not in ran.out
    told = json.loads(command("users", "show", id_, "--json").out)
    assert told["union_id"] == UNION
    first, *_ = told["identities"]
    assert (first["open_id"], first["accounts"]) == (MINI_USER, ["mini"])
    assert told["consents"][0]["template_id"] == "T1"


def test_a_person_is_found_by_open_id_and_by_union_id(
    world: World, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    id_ = world.somebody()
    for arguments, read in (
        (("--account", "main", "--open-id", USER), ""),
        (("--account", "twin"), f"{USER}\n"),
        (("--account", "mini"), f" {MINI_USER}\nmore\n"),
        (("--account", "main", "--open-id", "-"), USER),
        (("--union-id", UNION), ""),
        (("--union-id", "-"), f"{UNION}\n"),
    ):
        monkeypatch.setattr(sys, "stdin", io.StringIO(read))
        ran = command("users", "find", *arguments, "--json")
        assert (ran.code, ran.err) == (0, "")
        assert json.loads(ran.out)["id"] == id_
    monkeypatch.setattr(sys, "stdin", io.StringIO(f"{USER}\n"))
    ran = command("users", "find", "--account", "mini")
    assert (ran.code, ran.out) == (1, "")
    assert ran.err == "gateway: nobody with this id was seen\n"


def test_what_is_not_enough_to_find_somebody_is_told(
    world: World, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO(""))
    for arguments, told in (
        ((), "which account? an open id is good for one; give --account: main, twin, mini"),
        (("--account", "x"), "which account? an open id is good for one; give --account: main"),
        (("--account", "main"), "standard input has no open id"),
        (("--union-id", "-"), "standard input has no union id"),
        (("--open-id", "a", "--union-id", "b"), "not both"),
    ):
        ran = command("users", "find", *arguments)
        assert (ran.code, ran.out) == (2, "")
        assert told in ran.err


def test_merges_are_listed_without_open_ids(world: World, command: Command) -> None:
    id_ = world.somebody()
    former = world.person(id_).former_ids[0]
    other = world.see(Sighting(AppUser(MINI_APP, "oX"), Platform.MINI_PROGRAM, 1.0, "oY"))
    assert other != id_
    for arguments in ((), ("--person", id_), ("--person", former)):
        ran = command("users", "merges", *arguments)
        assert (ran.code, ran.err) == (0, "")
        assert former in ran.out
        assert "whole" in ran.out
        assert ran.out.endswith("\n1 merges\n")
        assert not any(name in ran.out for name in (USER, MINI_USER, UNION))
    told = json.loads(command("users", "merges", "--json").out)
    assert (told["former"], told["person"], told["accounts"]) == (former, id_, ["mini"])
    assert MINI_USER not in json.dumps(told)
    assert command("users", "merges", "--person", other).out == "0 merges\n"
    assert "1 merges; more: --after 1" in command("users", "merges", "--limit", "1").out
    assert command("users", "merges", "--after", "1").out == "0 merges\n"


def test_people_are_counted(world: World, command: Command) -> None:
    assert command("users", "count").out == "0 people with 0 open ids\n"
    world.somebody()
    assert command("users", "count").out == "2 people with 4 open ids\n"
    assert json.loads(command("users", "count", "--json").out) == {"people": 2, "open_ids": 4}


def test_roles_are_given_and_taken_and_sessions_have_them_at_once(
    world: World, command: Command
) -> None:
    id_ = world.somebody()
    session = world.sign_in(id_)
    former = world.person(id_).former_ids[0]
    ran = command("users", "grant", former, "staff", "editor")
    assert (ran.code, ran.out, ran.err) == (0, f"{id_}: roles editor, staff\n", "")
    (held,) = sessions(lambda store: store.get([session.id]))
    assert held is not None
    assert (held.roles, held.permissions) == (("editor", "staff"), ("orders:read", "pages:write"))
    ran = command("users", "revoke", id_, "staff")
    assert (ran.code, ran.out) == (0, f"{id_}: roles editor\n")
    (held,) = sessions(lambda store: store.get([session.id]))
    assert held is not None
    assert held.permissions == ("pages:write",)
    # One that the settings do not have any more can be taken, not given.
    world.change('editor = ["pages:write"]', "")
    told = "editor: no such role in identity.roles; there are: staff"
    ran = command("users", "grant", id_, "editor")
    assert (ran.code, told in ran.err) == (2, True)
    assert command("users", "revoke", id_, "editor").out == f"{id_}: roles none\n"
    ran = command("users", "revoke", id_, "editor")
    assert (ran.code, told in ran.err) == (2, True)


def test_tags_are_given_and_taken(world: World, command: Command) -> None:
    id_ = world.somebody()
    ran = command("users", "tag", id_, "--add", "vip", "--add", "新客")
    assert (ran.code, ran.out, ran.err) == (0, f"{id_}: tags vip, 新客\n", "")
    ran = command("users", "tag", id_, "--remove", "vip", "--remove", "新客", "--add", "old")
    assert ran.out == f"{id_}: tags old\n"
    assert command("users", "tag", id_, "--remove", "old").out == f"{id_}: tags none\n"
    for arguments in ((), ("--add", ""), ("--add", "x" * 65), ("--add", "a\nb")):
        assert command("users", "tag", id_, *arguments).code == 2


def test_sessions_are_listed_by_no_more_than_the_beginning_of_their_ids_and_ended(
    world: World, command: Command
) -> None:
    id_ = world.somebody()
    former = world.person(id_).former_ids[0]
    one, two = world.sign_in(id_, 1), world.sign_in(former, 2)
    ran = command("users", "sessions", id_)
    assert (ran.code, ran.err) == (0, "")
    assert ran.out.count("sessio…") == 2
    assert ran.out.endswith("\n2 sessions\n")
    rows = [json.loads(line) for line in command("users", "sessions", id_, "--json").out.split()]
    assert [row["account"] for row in rows] == ["main", "main"]
    for text in (ran.out, json.dumps(rows)):
        assert not any(name in text for name in (one.id, two.id, USER, NAME))
    assert command("users", "sign-out", former).out == "2 sessions ended\n"
    assert command("users", "sessions", id_).out == "0 sessions\n"
    assert command("users", "sign-out", id_).out == "0 sessions ended\n"


def fill(world: World, command: Command) -> str:
    """Keep something of somebody, and of another user, everywhere; return somebody's id."""
    id_ = world.somebody()
    world.sign_in(id_)
    for to in (USER, USER, OTHER):
        ran = command("push", "text", to, f"你好 {to}", "--account", "main")
        assert (ran.code, ran.err) == (0, "")
    vault = Vault(key_ring((SECRET,), "vault"), os.urandom)
    user = AppUser(MINI_APP, MINI_USER)
    number = {"phoneNumber": "19912345678", "purePhoneNumber": "19912345678", "countryCode": "86"}
    sealed = vault.seal(json.dumps(number).encode(), place_of(PHONE, user))
    world.work(lambda store: store.keep_secret(Secret(user, PHONE, sealed, 4e9)))

    async def keep() -> None:
        archive, letters = SqliteArchive(FILE, timeout=5), SqliteDeadLetters(FILE, timeout=5)
        try:
            await archive.add([_callback(n, USER) for n in range(3)] + [_callback(9, OTHER)])
            await letters.bury([_letter(1, USER), _letter(2, OTHER)])
        finally:
            await archive.close()
            await letters.close()

    asyncio.run(keep())
    return id_


def _fields(open_id: str) -> dict[str, str]:
    return {
        "ToUserName": "gh_1",
        "FromUserName": open_id,
        "CreateTime": "1700000000",
        "MsgType": "text",
        "Content": f"我是 {open_id}",
        "MsgId": "1",
    }


def _callback(number: int, open_id: str) -> Callback:
    document = json.dumps(_fields(open_id), ensure_ascii=False).encode()
    return Callback(f"{number:032x}", "main", "Text", open_id, 1.7e9 + number, document)


def _letter(number: int, open_id: str) -> DeadLetter:
    body = msgspec.msgpack.encode(StoredMessage(b"k" * 16, _fields(open_id), b"", "t"))
    entry = Entry(BACKGROUND, "main", "Text", body)
    return DeadLetter(f"background/{number}", entry, 3, "failed: boom", 1.7e9, 1.7e9 + 1)


def test_an_export_has_all_that_is_kept_and_is_nobody_else_s_to_read(
    world: World, command: Command, folder: Path
) -> None:
    id_ = fill(world, command)
    output = folder / "person.json"
    output.write_text("what was there before")
    umask = os.umask(0)
    try:
        ran = command("users", "export", id_, "--output", str(output))
    finally:
        os.umask(umask)
    assert (ran.code, ran.out, ran.err) == (0, "", f"written to {output}\n")
    assert stat.S_IMODE(output.stat().st_mode) == 0o600
    assert not [*folder.glob(".*")]
    told = json.loads(output.read_text())
    assert told["person"]["id"] == id_
    assert {one["open_id"] for one in told["identities"]} == {USER, MINI_USER}
    assert [one["to"] for one in told["messages"]] == [USER, USER]
    assert [one["fields"]["FromUserName"] for one in told["callbacks"]] == [USER] * 3
    assert [one["value"]["phoneNumber"] for one in told["secrets"]] == ["19912345678"]
    assert len(told["sessions"]) == 1
    assert OTHER not in output.read_text()
    printed = json.loads(command("users", "export", id_).out)
    assert {**printed, "exported_at": ""} == {**told, "exported_at": ""}


def test_an_export_that_cannot_be_written_is_told_and_leaves_nothing(
    world: World, command: Command, folder: Path
) -> None:
    id_ = world.somebody()
    ran = command("users", "export", id_, "--output", str(folder / "no" / "person.json"))
    assert ran.code == 2
    assert "person.json: No such file or directory; give another path" in ran.err


def traces(folder: Path, *names: str) -> dict[str, list[str]]:
    """Return which names are in which of the store's files."""
    files = sorted((folder / "var").iterdir())
    found = {path.name: [n for n in names if n.encode() in path.read_bytes()] for path in files}
    return {name: names for name, names in found.items() if names}


def test_an_erased_person_is_in_no_byte_of_the_store(
    world: World, command: Command, folder: Path
) -> None:
    id_ = fill(world, command)
    # Until now nothing was rewritten into another place of the file.
    assert traces(folder, USER, MINI_USER, UNION, NAME)
    ran = command("users", "erase", id_, "--yes")
    assert ran.code == 0
    looked, erased = ran.out.splitlines()
    assert looked == (
        f"{id_}: identities 3, tags 0, roles 0, consents 1, secrets 1, sessions 1, messages 2, "
        "callbacks 3"
    )
    assert erased == "erased: identities 3, sessions 1, messages 2, callbacks 3, dead letters 1"
    assert f"app id {GONE}: the settings have no account of it" in ran.err
    assert not any(name in ran.out + ran.err for name in (USER, MINI_USER, UNION, NAME))
    assert traces(folder, USER, MINI_USER, UNION, NAME) == {}
    # Others are as they were.
    assert traces(folder, OTHER)
    assert command("push", "list", "--to", OTHER).out.endswith("1 of 1\n")
    assert command("inbox", "dead-letters").out.endswith("1 of 1\n")
    assert command("users", "count").out == "1 people with 1 open ids\n"
    ran = command("users", "erase", id_, "--yes")
    assert (ran.code, ran.out) == (1, "")


def test_a_message_that_is_being_sent_is_waited_for(world: World, command: Command) -> None:
    id_ = world.somebody()
    assert command("push", "text", USER, "你好", "--account", "main").code == 0

    async def work(*, end: bool) -> None:
        queue = SqliteQueue(FILE, timeout=5)
        try:
            await queue.beat("worker", 60)
            if end:
                await queue.leave("worker")
                (held,) = await queue.orphans("other", 1)
                sent = Settled(held.id, State.SENT, time.time(), "", 1, None, ())
                await queue.settle("other", [sent])
            else:
                await queue.claim("worker", [Ask("main", Channel.CUSTOM, 1, 1)], 1)
        finally:
            await queue.close()

    asyncio.run(work(end=False))
    ran = command("users", "erase", id_, "--yes")
    assert ran.code == 1
    assert "being sent to them at this moment: 1; erase them again" in ran.err
    asyncio.run(work(end=True))
    ran = command("users", "erase", id_, "--yes")
    assert (ran.code, "erased: identities 3, sessions 0, messages 1" in ran.out) == (0, True)


@pytest.mark.parametrize(("answer", "code"), [("n\n", 1), ("", 1), ("y\n", 0)])
def test_nothing_is_erased_unless_somebody_agrees(
    answer: str, code: int, world: World, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    id_ = world.somebody()
    monkeypatch.setattr(sys, "stdin", io.StringIO(answer))
    ran = command("users", "erase", id_)
    assert ran.code == code
    assert "Erase all of it, for good? [y/N]" in ran.out
    left = world.work(lambda store: store.person(id_))
    assert (left is None) is (code == 0)


def test_it_works_on_postgres_and_redis_as_well(
    official: World,
    platform: PlatformServer,
    command: Command,
    postgres: Database,
    redis: RedisServer,
) -> None:
    store = f'[store]\npostgres_dsn = "{postgres.dsn}"\nredis_url = "{redis.url}"\n'
    official.config.write_text(official.config.read_text() + store)
    assert command("migrate").code == 0
    follow(platform, official, 1100)
    ran = command("users", "sync", "--account", "main")
    assert ran.code == 0
    assert ran.out.endswith("1,100 people with 1,100 open ids; before: 0 with 0\n")
    open_id = next(iter(platform.get("people")["people"]))["openids"][official.app_id]
    ran = command("users", "find", "--account", "main", "--open-id", open_id)
    assert (ran.code, ran.out) == (1, "")
    follower = follower_id(official.app_id, 0)
    ran = command("users", "find", "--account", "main", "--open-id", follower, "--json")
    id_ = json.loads(ran.out)["id"]
    assert command("users", "grant", id_, "staff").out == f"{id_}: roles staff\n"
    assert command("users", "tag", id_, "--add", "vip").out == f"{id_}: tags vip\n"
    assert command("users", "merges").out == "0 merges\n"
    assert command("users", "sessions", id_).out == "0 sessions\n"
    assert command("push", "text", follower, "你好", "--account", "main").code == 0
    told = json.loads(command("users", "export", id_).out)
    assert [one["to"] for one in told["messages"]] == [follower]
    ran = command("users", "erase", id_, "--yes")
    assert ran.out.splitlines()[1] == (
        "erased: identities 1, sessions 0, messages 1, callbacks 0, dead letters 0"
    )
    assert command("users", "show", id_).code == 1
    assert command("push", "list", "--to", follower).out.endswith("0 of 0\n")
