"""``gateway inbox``: what waits and what failed is shown, put back and thrown away, as filtered."""

import asyncio
import io
import json
import re
import sqlite3
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Final, TypeVar

import pytest

from gateway.adapters.sqlite import SqliteStore
from gateway.adapters.sqlite_records import SqliteDeadLetters
from gateway.inbound.claims import Entry, Put
from gateway.inbound.dead_letters import BATCH
from gateway.inbound.ports import DeadLetter, Taken, Wanted
from tests.cli.running import Command
from tests.services import Database, free_port
from tests.support import OPEN_ID

_T = TypeVar("_T")

FILE: Final = Path("var/gateway.db")
HOUR: Final = 3600.0
WRITTEN: Final = "我的密码是 hunter2"
"""What a user wrote, which is nobody's to read here."""
BODY: Final = f"{OPEN_ID} {WRITTEN}".encode()
STORED_AT: Final = 1_790_000_000.25

COMMANDS: Final = ("status", "dead-letters", "retry --all", "discard --all --yes")
IDS: Final = ("background/1-0", "background/2-0", "customer_service/3-0")

# By what is given, which of these letters are meant.
FILTERS: Final[dict[str, tuple[int, ...]]] = {
    "--id background/1-0": (0,),
    "--id background/1-0 --id customer_service/3-0 --id nothing": (0, 2),
    "--lane background": (0, 1),
    "--lane Background": (),
    "--account main": (0, 2),
    "--type Text": (0,),
    "--type text": (2,),
    "--reason failed": (0,),
    "--reason a": (1,),
    "--reason ValueError": (),
    "--since 2d": (1, 2),
    "--since 90m": (2,),
    "--since 25h": (1, 2),
    "--since 60s": (),
    "--before 2d": (0,),
    "--before 90m": (0, 1),
    "--before 0s": (0, 1, 2),
    "--since 2d --before 90m": (1,),
    "--lane background --account main": (0,),
    "--lane customer_service --type Text": (),
}


def _letters() -> list[DeadLetter]:
    """Return a letter of three days ago, one of two hours ago, one of an hour ago."""
    now = time.time()
    return [
        DeadLetter(
            IDS[0],
            Entry("background", "main", "Text", BODY),
            8,
            "failed: ValueError at bot.py:7",
            STORED_AT,
            now - 72 * HOUR,
        ),
        DeadLetter(
            IDS[1],
            Entry("background", "shop", "Image", BODY + b"\xff"),
            1,
            "account: the settings have none called [shop]",
            STORED_AT,
            now - 2 * HOUR,
        ),
        DeadLetter(
            IDS[2],
            Entry("customer_service", "main", "text", BODY),
            1000,
            "refused: 45015",
            STORED_AT,
            now - HOUR,
        ),
    ]


def _many(count: int) -> list[DeadLetter]:
    return [_letters()[0]._replace(id=f"background/{number:04}") for number in range(count)]


def _with_dead_letters(work: Callable[[SqliteDeadLetters], Awaitable[_T]]) -> _T:
    """Do something with the dead letters that the command finds in this folder."""

    async def run() -> _T:
        dead_letters = SqliteDeadLetters(FILE, timeout=5)
        try:
            return await work(dead_letters)
        finally:
            await dead_letters.close()

    return asyncio.run(run())


def _with_store(work: Callable[[SqliteStore], Awaitable[_T]], *, later: float = 0.0) -> _T:
    """Do something with the store that the command finds, so many seconds after now."""

    async def run() -> _T:
        store = SqliteStore(FILE, keep=600, timeout=5, clock=lambda: time.time() + later)
        try:
            return await work(store)
        finally:
            await store.close()

    return asyncio.run(run())


def _bury(letters: list[DeadLetter]) -> None:
    _with_dead_letters(lambda dead_letters: dead_letters.bury(letters))


def _buried() -> list[str]:
    found = _with_dead_letters(lambda dead_letters: dead_letters.find(Wanted(), 9999))
    return [letter.id for letter in found]


def _store(*entries: Entry, ago: float) -> None:
    put = Put(b"key", entries)
    _with_store(lambda store: store.commit([put]), later=-ago)


def _waiting(lane: str) -> list[Taken]:
    return _with_store(lambda store: store.take(lane, b"me", 9999))


def _refuse_removal(of: str) -> None:
    """Let SQLite fail where this letter is to be removed."""
    with sqlite3.connect(FILE) as database:
        database.execute(
            "CREATE TRIGGER refuse BEFORE DELETE ON dead_letters "
            f"WHEN old.id = '{of}' BEGIN SELECT RAISE(ABORT, 'not this one'); END"
        )
    database.close()


def _cells(table: str) -> list[list[str]]:
    return [re.split(r"\s{2,}", line.strip()) for line in table.splitlines()]


def _objects(lines: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in lines.splitlines()]


def _shown(moment: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S+00:00", time.gmtime(moment))


def test_where_nothing_ever_came_nothing_waits(command: Command) -> None:
    assert command("inbox", "status") == (0, "nothing waits; dead letters: 0\n", "")
    assert command("inbox", "status", "--json") == (0, '{"lanes":[],"dead_letters":0}\n', "")
    assert command("inbox", "dead-letters") == (0, "0 of 0\n", "")
    assert command("inbox", "dead-letters", "--json") == (0, "", "")


def test_status_tells_how_full_each_lane_is_how_late_and_how_many_it_lost(command: Command) -> None:
    _bury(_letters())
    text = Entry("background", "main", "Text", BODY)
    _store(text, text, text, text._replace(delay=72 * HOUR), ago=2 * HOUR)
    # Taken in an hour: it is under way until then, and no lease runs out while this test runs.
    _with_store(lambda store: store.take("background", b"worker", 1), later=HOUR)
    _with_store(
        lambda store: store.commit([Put(b"other", (text._replace(lane="customer_service"),))])
    )
    ran = command("inbox", "status")
    assert (ran.code, ran.err) == (0, "")
    *rows, total = _cells(ran.out)
    assert rows[0] == ["lane", "waiting", "delayed", "under way", "oldest", "dead"]
    assert rows[1][:4] + rows[1][5:] == ["background", "2", "1", "1", "2"]
    assert re.fullmatch(r"7,2\d\d\.\d s", rows[1][4])
    assert rows[2][:4] + rows[2][5:] == ["customer_service", "1", "0", "0", "1"]
    assert total == ["dead letters: 3"]

    (found,) = _objects(command("inbox", "status", "--json").out)
    assert found["lanes"][0].pop("oldest") >= 7200
    assert found["lanes"][1].pop("oldest") >= 0
    assert found == {
        "lanes": [
            {"lane": "background", "waiting": 2, "delayed": 1, "held": 1},
            {"lane": "customer_service", "waiting": 1, "delayed": 0, "held": 0},
        ],
        "dead_letters": 3,
    }


def test_status_counts_dead_letters_where_nothing_waits(command: Command) -> None:
    _bury(_many(1234))
    assert command("inbox", "status").out == "nothing waits; dead letters: 1,234\n"
    assert command("inbox", "status", "--json").out == '{"lanes":[],"dead_letters":1234}\n'


def test_dead_letters_are_listed_oldest_first_with_all_but_what_was_in_them(
    command: Command,
) -> None:
    letters = _letters()
    _bury(letters[::-1])
    buried = [_shown(letter.buried_at) for letter in letters]
    ran = command("inbox", "dead-letters")
    assert (ran.code, ran.err) == (0, "")
    assert _cells(ran.out) == [
        ["id", "account", "type", "tries", "buried", "reason"],
        [IDS[0], "main", "Text", "8", buried[0], "failed: ValueError at bot.py:7"],
        [
            *(IDS[1], "shop", "Image", "1", buried[1]),
            "account: the settings have none called [shop]",
        ],
        [IDS[2], "main", "text", "1000", buried[2], "refused: 45015"],
        ["3 of 3"],
    ]
    ran = command("inbox", "dead-letters", "--json")
    assert (ran.code, ran.err) == (0, "")
    found = _objects(ran.out)
    assert [each["id"] for each in found] == [*IDS]
    assert found[1] == {
        "id": IDS[1],
        "lane": "background",
        "account": "shop",
        "type": "Image",
        "tries": 1,
        "stored": "2026-09-21T14:13:20+00:00",
        "buried": buried[1],
        "reason": "account: the settings have none called [shop]",
    }


def test_nothing_is_cut_off_where_the_terminal_is_narrow(
    command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    long = _letters()[0]._replace(id="customer_service/1795486159298-0")
    reason = "failed: ValueError at /srv/python/site-packages/shop/handlers.py:7<shop/bot.py:12"
    _bury([long._replace(reason=reason)])
    shown = command("inbox", "dead-letters").out
    assert long.id in shown
    assert "…" not in shown
    # What is broken into lines is whole once it is put together.
    table = [line.split() for line in shown.splitlines()]
    assert "".join(cells[-1] for cells in table[1:-1]).endswith("<shop/bot.py:12")


def test_no_more_are_listed_than_asked_for(command: Command) -> None:
    _bury(_letters())
    ran = command("inbox", "dead-letters", "--limit", "2", "--json")
    assert [each["id"] for each in _objects(ran.out)] == [*IDS[:2]]
    assert command("inbox", "dead-letters", "--limit", "2").out.endswith("\n2 of 3\n")
    _bury(_many(60))
    assert command("inbox", "dead-letters").out.endswith("\n50 of 63\n")
    for limit in ("0", "100001", "many"):
        ran = command("inbox", "dead-letters", "--limit", limit)
        assert (ran.code, ran.out) == (2, "")
        assert "Invalid value for '--limit'" in ran.err


@pytest.mark.parametrize("given", FILTERS)
def test_a_filter_means_the_same_letters_to_each_command(given: str, command: Command) -> None:
    letters, options = _letters(), given.split()
    _bury(letters)
    meant = [letters[number] for number in FILTERS[given]]
    ids = [letter.id for letter in meant]
    others = [id_ for id_ in IDS if id_ not in ids]

    listed = command("inbox", "dead-letters", *options, "--json")
    assert [each["id"] for each in _objects(listed.out)] == ids
    assert command("inbox", "dead-letters", *options).out.endswith(f"{len(ids)} of {len(ids)}\n")

    would_be = f"{len(ids)} dead letters would be"
    ran = command("inbox", "retry", *options, "--dry-run")
    assert ran == (0, f"{would_be} put back\n", "")
    assert _buried() == [*IDS]
    ran = command("inbox", "retry", *options)
    assert (ran.code, ran.err) == (0, "")
    assert _buried() == others
    back = [taken.entry for lane in ("background", "customer_service") for taken in _waiting(lane)]
    assert back == [letter.entry for letter in meant]

    _bury(meant)
    ran = command("inbox", "discard", *options, "--dry-run")
    assert ran == (0, f"{would_be} discarded\n", "")
    assert _buried() == [*IDS]
    assert command("inbox", "discard", *options, "--yes").code == 0
    assert _buried() == others


@pytest.mark.parametrize(
    "line", ["retry", "retry --dry-run", "discard", "discard --dry-run", "discard --yes"]
)
def test_without_a_filter_nothing_is_done(line: str, command: Command) -> None:
    _bury(_letters())
    said = "gateway: which ones? give a filter, or --all\n"
    assert command("inbox", *line.split()) == (2, "", said)
    assert _buried() == [*IDS]


def test_all_of_them_are_meant_where_that_is_said(command: Command) -> None:
    many = _many(2 * BATCH + 44)
    _bury(many)
    assert command("inbox", "retry", "--all", "--dry-run").out.startswith("300 ")
    assert command("inbox", "retry", "--all") == (0, "300 dead letters put back\n", "")
    assert _buried() == []
    assert len(_waiting("background")) == 300
    _bury(many)
    assert command("inbox", "discard", "--all", "--dry-run").out.startswith("300 ")
    assert command("inbox", "discard", "--all", "--yes") == (0, "300 dead letters discarded\n", "")
    assert _buried() == []


@pytest.mark.parametrize("name", ["retry", "discard"])
def test_what_is_buried_from_now_on_is_not_meant(name: str, command: Command) -> None:
    """Else one that fails again at once would be put back for ever."""
    later = _letters()[0]._replace(id="later", buried_at=time.time() + HOUR)
    _bury([*_letters(), later])
    yes = ["--yes"] if name == "discard" else []
    for options in (["--all"], ["--lane", "background"]):
        assert command("inbox", name, *options, *yes).code == 0
    assert _buried() == ["later"]


def test_a_letter_is_put_back_whole_and_once(command: Command) -> None:
    """A retry that is interrupted may have put it back and not removed it yet."""
    letter = _letters()[1]
    for _ in range(2):
        _bury([letter])
        assert command("inbox", "retry", "--id", letter.id).out == "1 dead letters put back\n"
        assert _buried() == []
    (taken,) = _waiting("background")
    assert taken.entry == letter.entry
    assert taken.deliveries == 1


def test_a_letter_that_is_buried_anew_is_put_back_anew(command: Command) -> None:
    letter = _letters()[0]
    for burial in (letter, letter._replace(buried_at=letter.buried_at + HOUR)):
        _bury([burial])
        assert command("inbox", "retry", "--all").code == 0
    assert len(_waiting("background")) == 2


@pytest.mark.parametrize(
    ("answer", "code", "left"),
    [("n\n", 1, [*IDS]), ("\n", 1, [*IDS]), ("", 1, [*IDS]), ("y\n", 0, [])],
)
def test_discard_asks_before_it_throws_away(
    answer: str, code: int, left: list[str], command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    _bury(_letters())
    monkeypatch.setattr(sys, "stdin", io.StringIO(answer))
    ran = command("inbox", "discard", "--all")
    assert ran.code == code
    assert ran.out.startswith("Discard 3 dead letters? [y/N]: ")
    assert ran.out.endswith("3 dead letters discarded\n") == (code == 0)
    assert _buried() == left


def test_discard_does_not_ask_where_there_is_nothing(command: Command) -> None:
    assert command("inbox", "discard", "--all") == (0, "0 dead letters discarded\n", "")


@pytest.mark.parametrize("age", ["", "1", "h", "1w", "-1h", "1.5h", "1 h", "1h30m", "1H", "9" * 10])
@pytest.mark.parametrize("option", ["--since", "--before"])
def test_an_age_is_a_number_and_a_unit(option: str, age: str, command: Command) -> None:
    _bury(_letters())
    for name in ("dead-letters", "retry", "discard"):
        ran = command("inbox", name, option, age)
        assert (ran.code, ran.out) == (2, "")
        assert f"Invalid value for '{option}': write it like 30s, 15m, 6h or 2d" in ran.err
    assert _buried() == [*IDS]


def test_an_age_may_reach_back_further_than_time_does(command: Command) -> None:
    _bury(_letters())
    assert command("inbox", "dead-letters", "--since", "999999999d").out.endswith("3 of 3\n")
    assert command("inbox", "dead-letters", "--before", "999999999d").out == "0 of 0\n"


def test_on_a_terminal_it_is_shown_how_far_it_got(
    command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    _bury(_many(300))
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    shown = "\r128\r256\r300\r300 dead letters"
    assert command("inbox", "retry", "--all").out == f"{shown} put back\n"
    _bury(_many(300))
    assert command("inbox", "discard", "--all", "--yes").out == f"{shown} discarded\n"


def test_a_store_that_fails_on_the_way_leaves_none_lost_and_none_twice(command: Command) -> None:
    _bury(_many(300))
    _refuse_removal(of="background/0200")
    for name, done in (("retry", "put back"), ("discard", "discarded")):
        yes = ["--yes"] if name == "discard" else []
        ran = command("inbox", name, "--all", *yes)
        assert (ran.code, ran.out) == (
            1,
            f"{BATCH if name == 'retry' else 0} dead letters {done}\n",
        )
        assert ran.err.startswith("gateway: SQLite var/gateway.db: not this one; ")
        assert len(_buried()) == 300 - BATCH
    with sqlite3.connect(FILE) as database:
        database.execute("DROP TRIGGER refuse")
    database.close()
    assert command("inbox", "retry", "--all").out == f"{300 - BATCH} dead letters put back\n"
    assert _buried() == []
    assert len(_waiting("background")) == 300


@pytest.mark.parametrize("line", COMMANDS)
def test_a_file_that_is_no_database_is_a_store_that_is_down(line: str, command: Command) -> None:
    FILE.parent.mkdir()
    FILE.write_text("not a database, but long enough to be looked at " * 30, encoding="utf-8")
    ran = command("inbox", *line.split())
    assert (ran.code, ran.out) == (1, "")
    assert ran.err.startswith("gateway: SQLite var/gateway.db: file is not a database; ")
    assert ran.err.count("\n") == 1


@pytest.mark.parametrize("line", COMMANDS)
def test_a_database_without_its_tables_is_a_store_that_is_down(
    line: str, command: Command, postgres: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    _store(Entry("background", "main", "Text", BODY), ago=0)
    monkeypatch.setenv("GATEWAY_STORE__POSTGRES_DSN", postgres.dsn)
    ran = command("inbox", *line.split())
    assert (ran.code, ran.out) == (1, "")
    assert ran.err.startswith("gateway: Postgres: relation ")
    assert ran.err.endswith("; run: gateway migrate\n")


def test_a_redis_that_is_down_is_told_and_costs_no_letter(
    command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    _bury(_letters())
    url = f"redis://:hunter2@127.0.0.1:{free_port()}"
    monkeypatch.setenv("GATEWAY_STORE__REDIS_URL", url)
    for line, out in (("status", ""), ("retry --all", "0 dead letters put back\n")):
        ran = command("inbox", *line.split())
        assert (ran.code, ran.out) == (1, out)
        assert ran.err.startswith("gateway: Redis: ConnectionError: ")
        assert "; is the server of store.redis_url up, " in ran.err
        assert "hunter2" not in ran.err
        assert ran.err.count("\n") == 1
    # These are no matter of Redis.
    assert command("inbox", "dead-letters").out.endswith("3 of 3\n")
    assert command("inbox", "discard", "--id", IDS[0], "--yes").code == 0
    assert _buried() == [*IDS[1:]]


@pytest.mark.parametrize("line", COMMANDS)
def test_memory_cannot_be_looked_at_from_outside(
    line: str, command: Command, postgres: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was put back from Postgres into this process's memory would be lost with it."""
    monkeypatch.setenv("GATEWAY_STORE__URL", "memory://")
    said = (
        "gateway: store.url: memory:// is within each process, and cannot be looked at from "
        "another\n"
    )
    assert command("inbox", *line.split()) == (2, "", said)
    monkeypatch.setenv("GATEWAY_STORE__POSTGRES_DSN", postgres.dsn)
    assert command("inbox", *line.split()) == (2, "", said)


@pytest.mark.parametrize("line", COMMANDS)
def test_the_settings_say_where_it_looks(line: str, command: Command, folder: Path) -> None:
    _bury(_letters())
    FILE.rename("elsewhere.db")
    url = '[store]\nurl = "sqlite:///elsewhere.db"\n'
    settings = (folder / "gateway.toml").read_text(encoding="utf-8")
    (folder / "other.toml").write_text(url + settings, encoding="utf-8")
    ran = command("inbox", *line.split(), "--config", "other.toml")
    assert (ran.code, ran.err) == (0, "")
    assert "3" in ran.out
    (folder / "other.toml").write_text("[store]\nurll = 1\n" + settings, encoding="utf-8")
    ran = command("inbox", *line.split(), "--config", "other.toml")
    assert (ran.code, ran.out) == (2, "")
    assert ran.err == "gateway: store.urll: no such setting; did you mean url?\n"


@pytest.mark.parametrize(
    "line", [*COMMANDS, "status --json", "dead-letters --json", "retry --all --dry-run"]
)
def test_what_a_user_wrote_is_never_shown(line: str, command: Command) -> None:
    _bury(_letters())
    _store(Entry("background", "main", "Text", BODY), ago=0)
    ran = command("inbox", *line.split())
    assert (ran.code, ran.err) == (0, "")
    for text in (WRITTEN, "hunter2", OPEN_ID):
        assert text not in ran.out
