"""One suite over every DeadLetters: memory, SQLite, Postgres."""

import asyncio
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from typing import Any, Final

import pytest

from gateway.adapters import sqlite_wiping
from gateway.adapters.memory import MemoryDeadLetters
from gateway.adapters.postgres import PostgresDeadLetters
from gateway.adapters.sqlite_records import SqliteDeadLetters
from gateway.errors import StoreDown
from gateway.inbound.claims import Entry
from gateway.inbound.outbox import Outbox, Subscription
from gateway.inbound.ports import DeadLetter, DeadLetters, Wanted
from gateway.inbound.stored import store_message, store_reply
from gateway.protocol.decode import decode
from gateway.protocol.replies import TextReply
from tests.contracts.records import PASSWORD, Opener, migrated, with_password
from tests.inbound.driving import make_context
from tests.proxy import TcpProxy
from tests.services import Database, PostgresServer, fresh_schema, postgres_server
from tests.support import OPEN_ID, text_document

NOW: Final = 1_790_000_000.25
LETTER: Final = DeadLetter(
    "background/1-0",
    Entry("background", "main", "Text", bytes(range(256))),
    8,
    "failed: ValueError at bot.py:7",
    NOW - 60,
    NOW,
)
ALL: Final = Wanted()


def letter(number: int, reason: str = LETTER.reason, **entry: Any) -> DeadLetter:
    """Return a letter of its own, buried so many seconds after the others."""
    return LETTER._replace(
        id=f"background/{number:05}",
        entry=LETTER.entry._replace(**entry),
        reason=reason,
        buried_at=NOW + number,
    )


@pytest.fixture(params=["memory", "sqlite", "postgres"])
def opener(request: pytest.FixtureRequest, tmp_path: Path) -> Opener[DeadLetters]:
    """Dead letters of each kind, with nothing in them."""
    if request.param == "memory":
        one = MemoryDeadLetters()
        return Opener(lambda: one)
    if request.param == "sqlite":
        return Opener(lambda: SqliteDeadLetters(tmp_path / "var" / "g.db", timeout=5))
    database: Database = request.getfixturevalue("postgres")
    dsn = migrated(database.dsn)
    return Opener(lambda: PostgresDeadLetters(dsn, timeout=5))


def test_what_is_buried_is_found_as_it_was(opener: Opener[DeadLetters]) -> None:
    async def scenario() -> None:
        letters = opener.open()
        assert await letters.find(ALL, 9) == []
        assert await letters.count(ALL) == 0
        await letters.bury([LETTER])
        assert await opener.open().find(ALL, 9) == [LETTER]
        assert await letters.count(ALL) == 1
        await letters.bury([])
        assert await letters.count(ALL) == 1

    opener.play(scenario)


@pytest.mark.parametrize(
    "text",
    ["好 😀", "a\0b", "\0", "␀", "␀0", "␀\0␀␀0", "'; DROP TABLE x; --", "50%_", "{}", "$1 ?1", ""],
    ids=ascii,
)
def test_any_text_is_kept_and_found(opener: Opener[DeadLetters], text: str) -> None:
    """NUL too, which Postgres itself cannot hold."""

    async def scenario() -> None:
        letters = opener.open()
        odd = DeadLetter(text, Entry(text, text, text, b""), 1, text + "!", NOW, NOW)
        await letters.bury([odd, LETTER])
        for wanted in (
            *(Wanted(lane=text), Wanted(account=text), Wanted(kind=text)),
            Wanted(reason=text + "!"),
        ):
            assert await letters.find(wanted, 9) == [odd], wanted
            assert await letters.count(wanted) == 1
        assert await letters.remove([text]) == 1
        assert await letters.find(ALL, 9) == [LETTER]

    opener.play(scenario)


def test_times_are_exact_to_the_microsecond(opener: Opener[DeadLetters]) -> None:
    async def scenario() -> None:
        letters = opener.open()
        odd = LETTER._replace(stored_at=1_790_000_000.123_456_7, buried_at=1_790_000_060.987_654_3)
        await letters.bury([odd])
        found, again = [(await letters.find(ALL, 9))[0] for _ in range(2)]
        assert found.stored_at == pytest.approx(odd.stored_at, abs=1e-6, rel=0)
        assert found.buried_at == pytest.approx(odd.buried_at, abs=1e-6, rel=0)
        assert found == again
        # Its own time is where the filters meet.
        assert await letters.count(Wanted(since=odd.buried_at)) == 1
        assert await letters.count(Wanted(before=odd.buried_at)) == 0
        assert await letters.count(Wanted(since=found.buried_at)) == 1
        assert await letters.count(Wanted(before=found.buried_at)) == 0

    opener.play(scenario)


def test_what_is_buried_again_stays_as_it_was(opener: Opener[DeadLetters]) -> None:
    async def scenario() -> None:
        letters = opener.open()
        other = LETTER._replace(reason="other", buried_at=NOW + 5)
        await letters.bury([LETTER, other])
        await letters.bury([other])
        await letters.bury([other, letter(7)])
        assert await letters.find(ALL, 9) == [LETTER, letter(7)]

    opener.play(scenario)


def test_the_oldest_burial_comes_first_and_of_one_time_the_lesser_id(
    opener: Opener[DeadLetters],
) -> None:
    async def scenario() -> None:
        letters = opener.open()
        at_once = [LETTER._replace(id=id_) for id_ in ("B", "Z", "a", "ab", "b", "é", "好", "😀")]
        later = [letter(number) for number in range(1, 9)]
        await letters.bury([*reversed(later), *reversed(at_once)])
        assert await letters.find(ALL, 99) == [*at_once, *later]
        assert await letters.find(ALL, 3) == at_once[:3]
        assert await letters.find(ALL, 0) == []

    opener.play(scenario)


FILTERS: Final[dict[str, tuple[Any, ...]]] = {
    "ids": (("background/00001", "background/00002", "nothing"), ()),
    "lane": ("background", "customer_service"),
    "account": ("main", "shop"),
    "kind": ("Text", "text"),
    "reason": ("failed: Value", "failed: "),
    "before": (NOW + 12, NOW),
    "since": (NOW + 5, NOW + 100),
}


def test_each_filter_and_each_pair_of_them_means_what_it_says(opener: Opener[DeadLetters]) -> None:
    async def scenario() -> None:
        letters, rules = opener.open(), MemoryDeadLetters()
        lanes, accounts = ("background", "customer_service"), ("main", "shop")
        kinds, reasons = ("Text", "text"), ("failed: ValueError", "Failed: Value", "failed: %")
        every = [
            letter(number, lane=lane, account=account, kind=kind, reason=reason)
            for number, (lane, account, kind, reason) in enumerate(
                product(lanes, accounts, kinds, reasons)
            )
        ]
        for some in (letters, rules):
            await some.bury(every)
        given = [{name: value} for name, values in FILTERS.items() for value in values]
        for one, other in product(given, given):
            wanted = Wanted(**(one | other))
            found = await rules.find(wanted, 99)
            assert await letters.find(wanted, 99) == found, wanted
            assert await letters.count(wanted) == len(found)

    opener.play(scenario)


def test_each_filter_alone_finds_what_it_is_for(opener: Opener[DeadLetters]) -> None:
    async def scenario() -> None:
        letters = opener.open()
        await letters.bury([letter(1), letter(2, lane="other", account="shop", kind="Voice")])
        await letters.bury([letter(3, reason="account: gone", body=b"\0\xffkey\0")])
        found = {
            wanted: [int(one.id[-1]) for one in await letters.find(wanted, 9)]
            for wanted in (
                *(Wanted(lane="other"), Wanted(account="shop"), Wanted(kind="Voice")),
                *(Wanted(reason="account"), Wanted(reason=""), Wanted(ids=("background/00003",))),
                *(Wanted(before=NOW + 2), Wanted(since=NOW + 2), Wanted(ids=())),
                *(Wanted(mentions=b"\xffkey"), Wanted(mentions=b"\x01\x02")),
            )
        }
        by_entry, by_burial = [[2], [2], [2], [3], [1, 2, 3], [3]], [[1], [2, 3], []]
        assert [*found.values()] == [*by_entry, *by_burial, [3], [1, 2]]

    opener.play(scenario)


def test_all_filters_together_find_what_each_of_them_finds(opener: Opener[DeadLetters]) -> None:
    async def scenario() -> None:
        letters = opener.open()
        await letters.bury([letter(1), letter(2), letter(3)])
        wanted = Wanted(
            ids=(letter(2).id, letter(3).id),
            lane="background",
            account="main",
            kind="Text",
            reason="failed",
            before=NOW + 3,
            since=NOW + 1,
        )
        assert await letters.find(wanted, 9) == [letter(2)]
        assert await letters.count(wanted._replace(account="shop")) == 0

    opener.play(scenario)


def test_what_is_removed_is_gone_and_counted_once(opener: Opener[DeadLetters]) -> None:
    async def scenario() -> None:
        letters = opener.open()
        await letters.bury([letter(1), letter(2), letter(3)])
        gone = [letter(1).id, letter(2).id]
        assert await letters.remove([*gone, *gone, "nothing"]) == 2
        assert await letters.remove(gone) == 0
        assert await letters.remove([]) == 0
        assert await letters.find(ALL, 9) == [letter(3)]

    opener.play(scenario)


def entries_of(open_id: str) -> list[Entry]:
    """Return all entries that a message of a user makes, in every lane there is."""
    fields = {**text_document("hi"), "FromUserName": open_id}
    message, context = decode(fields), make_context()
    sent = decode({**fields, "MsgType": "event", "Event": "TEMPLATESENDJOBFINISH", "MsgID": "7"})
    revoked = {"MsgType": "event", "Event": "user_authorization_revoke", "OpenID": open_id}
    outbox = Outbox([Subscription("sink.x", ("*",))], archive=True, receipts=True)
    return [
        store_message(b"k", message, context),
        # The platform tells of the user in the message.
        store_message(b"k", decode({**fields, "FromUserName": "gh_1", **revoked}), context),
        *outbox.entries(b"k", message, context),
        *outbox.entries(b"k", sent, context),
        *store_reply(context, message, TextReply(content="hi")),
    ]


@pytest.mark.parametrize("open_id", [OPEN_ID, "o" * 40, 'o"好😀\\'])
def test_letters_with_a_users_open_id_in_them_are_erased_whatever_their_lane(
    opener: Opener[DeadLetters], open_id: str
) -> None:
    def letters_of(open_id: str, first: int) -> list[DeadLetter]:
        return [letter(first + n)._replace(entry=e) for n, e in enumerate(entries_of(open_id))]

    async def scenario() -> None:
        letters = opener.open()
        mine, longer, shorter = (
            letters_of(one, first)
            for one, first in ((open_id, 0), (open_id + "x", 50), (open_id[:-1], 100))
        )
        assert {one.entry.lane for one in mine} == {
            *("background", "customer_service", "archive", "receipt", "sink.x")
        }
        elsewhere = mine[0]._replace(id="e", entry=mine[0].entry._replace(account="shop"))
        await letters.bury([*mine, *longer, *shorter, elsewhere])
        assert await letters.erase("main", "nobody") == 0
        assert await letters.erase("main", open_id) == len(mine)
        assert await letters.erase("main", open_id) == 0
        assert await letters.count(ALL) == len(longer) + len(shorter) + 1
        assert await letters.erase("shop", open_id) == 1

    opener.play(scenario)


@pytest.mark.parametrize("written_anew", [0, sqlite_wiping.WRITTEN_ANEW])
def test_what_is_erased_is_in_no_byte_of_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, written_anew: int
) -> None:
    monkeypatch.setattr(sqlite_wiping, "WRITTEN_ANEW", written_anew)
    opener = Opener(lambda: SqliteDeadLetters(tmp_path / "g.db", timeout=5))

    async def scenario() -> None:
        letters, other = opener.open(), opener.open()
        for number in range(40):
            entry = entries_of(f"o{number % 4}Open")[number % 6]
            await (letters, other)[number % 2].bury([letter(number)._replace(entry=entry)])
        assert await letters.erase("main", "o3Open") == 10
        files = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
        assert b"o2Open" in files["g.db"]
        assert [name for name, content in files.items() if b"o3Open" in content] == []

    opener.play(scenario)


def test_five_thousand_at_once_are_kept_found_and_removed(opener: Opener[DeadLetters]) -> None:
    async def scenario() -> None:
        letters = opener.open()
        many = [letter(number) for number in range(5000)]
        await letters.bury(many)
        assert await letters.count(ALL) == 5000
        assert await letters.find(ALL, 10_000) == many
        ids = tuple(one.id for one in many)
        assert await letters.count(Wanted(ids=ids)) == 5000
        assert await letters.remove(ids) == 5000
        assert await letters.count(ALL) == 0

    opener.play(scenario)


def test_two_that_write_at_once_do_not_hinder_each_other(opener: Opener[DeadLetters]) -> None:
    async def scenario() -> None:
        one, other = opener.open(), opener.open()
        many = [letter(number) for number in range(300)]
        await asyncio.gather(
            *(one.bury(many[start:]) for start in range(0, 300, 60)),
            *(other.bury(many[start::-1]) for start in range(299, 0, -60)),
        )
        assert await one.find(ALL, 999) == many
        ids = [one.id for one in many]
        removed = await asyncio.gather(
            *(one.remove(ids[start:]) for start in range(0, 300, 60)),
            *(other.remove(ids[start::-1]) for start in range(299, 0, -60)),
        )
        assert sum(removed) == 300
        assert await other.count(ALL) == 0

    opener.play(scenario)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PostgresServer]:
    """A Postgres to be killed."""
    with postgres_server(tmp_path_factory.mktemp("killed")) as own:
        yield own


def test_a_killed_postgres_is_down_and_back_once_it_is_started(server: PostgresServer) -> None:
    with fresh_schema(server.dsn) as database:
        dsn = migrated(database.dsn)
        opener = Opener(lambda: PostgresDeadLetters(dsn, timeout=5))

        async def scenario() -> None:
            letters = opener.open()
            await letters.bury([letter(1)])
            server.kill()
            for _ in range(2):
                with pytest.raises(StoreDown, match=r"^Postgres: .*store\.postgres_dsn"):
                    await letters.bury([letter(2)])
            server.start()
            await letters.bury([letter(2)])
            assert await letters.find(ALL, 9) == [letter(1), letter(2)]

        opener.play(scenario)


def test_a_postgres_that_hangs_is_down_and_waited_for_no_longer_than_told(
    postgres: Database,
) -> None:
    dsn = migrated(postgres.dsn)
    with TcpProxy(postgres.port) as proxy:
        through = with_password(Database(dsn).at(proxy.port).dsn)
        opener = Opener(lambda: PostgresDeadLetters(through, timeout=0.25))

        async def scenario() -> None:
            known, new = opener.open(), opener.open()
            await known.bury([letter(1)])
            proxy.stall()
            for letters in (known, known, new):
                with pytest.raises(StoreDown, match=r"^Postgres: no answer within 0\.25 s; "):
                    await letters.bury([letter(2)])
            proxy.mend()
            assert await known.count(ALL) >= 1
            await known.bury([letter(2)])
            assert await new.find(ALL, 9) == [letter(1), letter(2)]
            proxy.stall()
            # Closing does not wait for it either.

        opener.play(scenario)


def test_what_landed_without_an_answer_is_buried_once(postgres: Database) -> None:
    dsn = migrated(postgres.dsn)
    with TcpProxy(postgres.port) as proxy:
        through = Database(dsn).at(proxy.port).dsn
        opener = Opener(lambda: PostgresDeadLetters(through, timeout=5))

        async def scenario() -> None:
            letters = opener.open()
            # Once before, so that only one more answer is needed.
            await letters.bury([letter(1)])
            proxy.truncate(0)
            with pytest.raises(StoreDown, match="Postgres: "):
                await letters.bury([letter(2)])
            proxy.mend()
            assert await letters.count(ALL) == 2
            await letters.bury([letter(2)])
            assert await letters.find(ALL, 9) == [letter(1), letter(2)]

        opener.play(scenario)


@pytest.mark.parametrize(
    ("dsn", "said"),
    [
        ("postgresql://u:{password}@127.0.0.1:1/d", "does it run where store.postgres_dsn says"),
        ("postgresql://u:{password}@no-such-host.invalid/d", "does it run where"),
        ("postgresql://u:{password}@127.0.0.1:port/d", "write store.postgres_dsn as postgresql:"),
        ("postgresql://u:{password}/x@127.0.0.1/d", "write store.postgres_dsn as postgresql:"),
        ("postgresql://u:{password}@127.0.0.1/d?sslmode={password}", "write store.postgres_dsn as"),
        ("mysql://u:{password}@127.0.0.1/d", "write store.postgres_dsn as postgresql:"),
    ],
)
def test_the_password_is_in_no_error(dsn: str, said: str) -> None:
    opener = Opener(lambda: PostgresDeadLetters(dsn.format(password=PASSWORD), timeout=5))

    async def scenario() -> None:
        with pytest.raises(StoreDown, match=f"^Postgres: .*; {said}") as down:
            await opener.open().count(ALL)
        assert "s3cr3t" not in str(down.value)
        assert down.value.__cause__ is None

    opener.play(scenario)


def test_without_its_tables_postgres_says_how_to_make_them(postgres: Database) -> None:
    opener = Opener(lambda: PostgresDeadLetters(postgres.dsn, timeout=5))

    async def scenario() -> None:
        with pytest.raises(StoreDown, match=r"does not exist; run: gateway migrate$"):
            await opener.open().bury([LETTER])

    opener.play(scenario)


def test_a_database_that_is_not_there_is_named_with_its_fix(postgres: Database) -> None:
    dsn = postgres.dsn.replace("/postgres?", "/nothing?")
    opener = Opener(lambda: PostgresDeadLetters(dsn, timeout=5))

    async def scenario() -> None:
        with pytest.raises(StoreDown, match=r'"nothing" does not exist; give the right user'):
            await opener.open().count(ALL)

    opener.play(scenario)


def test_a_file_that_is_no_database_is_down(tmp_path: Path) -> None:
    (tmp_path / "g.db").write_text("not a database, but long enough to be looked at " * 30)
    opener = Opener(lambda: SqliteDeadLetters(tmp_path / "g.db", timeout=5))

    async def scenario() -> None:
        letters = opener.open()
        for _ in range(2):
            with pytest.raises(StoreDown, match=r"^SQLite .*g\.db: file is not a database"):
                await letters.bury([LETTER])

    opener.play(scenario)


def test_a_batch_that_fails_is_not_kept_in_part(opener: Opener[DeadLetters]) -> None:
    if isinstance(opener.make(), MemoryDeadLetters):
        # Memory keeps anything.
        return

    async def scenario() -> None:
        letters = opener.open()
        with pytest.raises((StoreDown, OverflowError)):
            await letters.bury([letter(1), letter(2)._replace(deliveries=2**70)])
        assert await letters.count(ALL) == 0
        await letters.bury([letter(1)])
        assert await letters.find(ALL, 9) == [letter(1)]

    opener.play(scenario)
