"""``gateway push``: messages are queued or refused, shown, counted, cancelled and queued again."""

import asyncio
import io
import json
import re
import sys
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final, TypeVar

import pytest
from rich.console import Console

from gateway.adapters.sqlite_budgets import SqliteBudgets
from gateway.adapters.sqlite_queue import SqliteQueue
from gateway.adapters.sqlite_templates import SqliteTemplates
from gateway.cli.push import following, intake, messages
from gateway.outbound.jobs import Ask, Attempt, Channel, Held, Receipt, Settled, State
from tests.cli.running import Command
from tests.services import Database, free_port

_T = TypeVar("_T")

FILE: Final = Path("var/gateway.db")
USER: Final = "oUser000000000000000000000001"
SECRET_GOODS: Final = "秘密礼物"
"""What a message says, which nobody is to read here."""
DATA: Final = json.dumps({"number": "A17", "goods": SECRET_GOODS})
ACCOUNT: Final = """
[accounts.{name}]
app_id = "wx1234567890abcdef"
app_secret = "anything"
token = "sometoken"
mode = "plain"
api_url = "http://127.0.0.1:9"
"""
TEMPLATE: Final = """
template_id = "T1"
[fields.character_string1]
value = "{{ number }}"
[fields.thing2]
value = "{{ goods }}"
"""
CONFIG: Final = "config: 48001 the account may not call this API"


@pytest.fixture(autouse=True)
def folder(folder: Path) -> Path:
    """A folder with an account that can push, and a template."""
    (folder / "gateway.toml").write_text(ACCOUNT.format(name="main"))
    (folder / "templates").mkdir()
    (folder / "templates" / "order-shipped.toml").write_text(TEMPLATE)
    return folder


def queue(work: Callable[[SqliteQueue], Awaitable[_T]]) -> _T:
    """Do something with the queue that the command works on."""

    async def run() -> _T:
        opened = SqliteQueue(FILE, timeout=5)
        try:
            return await work(opened)
        finally:
            await opened.close()

    return asyncio.run(run())


def end(state: State, reason: str = "", most: int = 100_000, message_id: str | None = None) -> int:
    """End so many messages that wait in a state, as a worker does; return how many."""

    async def work(opened: SqliteQueue) -> int:
        await opened.beat("worker", 30)
        asks = [Ask("main", channel, most, most) for channel in Channel]
        held = await opened.claim("worker", asks, most)
        await opened.settle("worker", [_ended(one, state, reason, message_id) for one in held])
        return len(held)

    return queue(work)


def _ended(held: Held, state: State, reason: str, message_id: str | None) -> Settled:
    now = time.time()
    attempt = Attempt(now, 0.05, state, reason)
    return Settled(held.id, state, now, reason, 1, None, (attempt,), message_id=message_id)


@pytest.fixture
def pushed(command: Command) -> Callable[..., str]:
    """Queue a template's message to the user; return its id."""

    def push(*options: str) -> str:
        ran = command(
            *("push", "template", "order-shipped", "--to", USER, "--data", DATA, *options)
        )
        assert (ran.code, ran.err) == (0, "")
        return ran.out.strip()

    return push


def shown(command: Command, id_: str) -> dict[str, Any]:
    """Return what is known of a message."""
    ran = command("push", "show", id_, "--json")
    assert (ran.code, ran.err) == (0, "")
    found: dict[str, Any] = json.loads(ran.out)
    return found


def test_a_template_s_message_is_queued_and_shown_without_what_it_says(
    command: Command, pushed: Callable[..., str]
) -> None:
    id_ = pushed("--priority", "high", "--expires", "+2h")
    record = shown(command, id_)
    assert (record["state"], record["to"], record["priority"]) == ("queued", USER, "high")
    assert record["expires_at"] > record["created_at"]
    ran = command("push", "show", id_)
    assert (ran.code, ran.err) == (0, "")
    assert "none yet" in ran.out
    assert SECRET_GOODS not in ran.out + json.dumps(record, ensure_ascii=False)


def test_a_text_goes_by_customer_service(command: Command) -> None:
    ran = command("push", "text", USER, "你好", "--json")
    record = json.loads(ran.out)
    assert (ran.code, record["channel"], record["state"]) == (0, "custom", "queued")
    (held,) = queue(_claim_one)
    assert json.loads(held.body)["text"] == {"content": "你好"}


async def _claim_one(opened: SqliteQueue) -> list[Held]:
    await opened.beat("worker", 30)
    return await opened.claim("worker", [Ask("main", Channel.CUSTOM, 1, 1)], 1)


@pytest.mark.parametrize(
    "form", ["+10m", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%dT%H:%M:%S+00:00", "%Y-%m-%d %H:%M:%SZ", "unix"]
)
def test_a_message_may_be_for_later(
    form: str, command: Command, pushed: Callable[..., str]
) -> None:
    """Without a zone a time is this machine's."""
    later = datetime.fromtimestamp(time.time() + 600, UTC)
    shown_as = later if form.endswith(("+00:00", "Z")) else later.astimezone()
    at = str(later.timestamp()) if form == "unix" else shown_as.strftime(form)
    record = shown(command, pushed("--at", at))
    assert abs(datetime.fromisoformat(record["not_before"]) - later) < timedelta(seconds=60)
    assert end(State.SENT) == 0


@pytest.mark.parametrize("at", ["soon", "10m", "-10m", "+10y", "2026-13-01", "17", "nan"])
def test_a_time_that_is_none_is_told(at: str, command: Command) -> None:
    ran = command("push", "text", USER, "hi", f"--at={at}")
    assert ran.code == 2
    assert "write it like +10m" in ran.err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("nothing", "--to", USER), "template: there is none called nothing; there are: order-"),
        (("order-shipped", "--to", "nobody"), "to: no open id"),
        (("order-shipped", "--to", USER), "template order-shipped: character_string1: 'number' is"),
        (("order-shipped", "--to", USER, "--data", "[1"), "--data: no JSON object"),
        (
            ("order-shipped", "--to", USER, "--data", '{"number": "A1", "goods": "很长很长"}'),
            "",
        ),
        (
            (
                "order-shipped",
                "--to",
                USER,
                "--data",
                json.dumps({"number": "1", "goods": "长" * 21}),
            ),
            "template order-shipped: thing2: ",
        ),
        (
            ("order-shipped", "--to", USER, "--account", "shop"),
            "account: there is none called shop",
        ),
        (("order-shipped", "--to", USER, "--expires", "2020-01-01"), "expires_at: is past"),
        (("order-shipped", "--to", USER, "--key", "é"), "idempotency_key: give 1 to 128"),
    ],
)
def test_what_is_wrong_is_refused_with_the_field_s_name_and_nothing_is_queued(
    arguments: tuple[str, ...], said: str, command: Command
) -> None:
    ran = command("push", "template", *arguments)
    assert ran.code == (2 if said else 0)
    assert said in ran.err
    assert command("push", "list").out.endswith(f"{int(not said)} of {int(not said)}\n")


def test_a_key_queues_one_message_and_refuses_another(
    command: Command, pushed: Callable[..., str]
) -> None:
    first = pushed("--key", "A17-shipped")
    same = command(
        *("push", "template", "order-shipped", "--to", USER, "--data", DATA),
        *("--key", "A17-shipped"),
    )
    assert (same.code, same.out.strip()) == (0, first)
    assert same.err == "queued before, with this key; not again\n"
    other = command("push", "text", USER, "hi", "--key", "A17-shipped")
    assert (other.code, other.out) == (2, "")
    assert f"idempotency_key: message {first} has it and says something else" in other.err


def test_wait_follows_a_message_to_its_end(
    command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    ran = command("push", "text", USER, "hi", "--wait", "0")
    assert ran.code == 1
    assert "not ended within 0 s; see: gateway push show" in ran.err
    end(State.FAILED, "user: 45015 outside the window")
    ran = command("push", "list", "--state", "failed", "--json")
    assert json.loads(ran.out)["reason"] == "user: 45015 outside the window"
    monkeypatch.setattr(messages, "LOOK_SECONDS", 0.01)
    again = ("push", "text", USER, "hi", "--key", "k", "--wait", "20")
    assert command(*again[:-2]).code == 0
    end(State.SENT)
    ran = command(*again)
    assert ran.code == 0
    assert "there is none on this channel" in ran.out


def test_a_receipt_and_every_attempt_are_shown(
    command: Command, pushed: Callable[..., str]
) -> None:
    id_ = pushed()
    end(State.SENT, message_id="9007199254740993")
    receipt = Receipt(
        *("main", Channel.TEMPLATE, USER, "9007199254740993", "", State.DELIVERED, ""), time.time()
    )
    (closed,) = queue(lambda q: q.receive([receipt]))
    assert closed is not None
    assert closed.id == id_
    record = shown(command, id_)
    assert (record["state"], record["message_id"]) == ("delivered", "9007199254740993")
    assert record["receipt_at"] is not None
    assert [one["outcome"] for one in record["attempts"]] == ["sent"]
    table = command("push", "show", id_).out
    assert "50 ms" in table
    assert "receipt" in table
    assert command("push", "show", "nothing").code == 1


# What a batch's file has in it, and what is said of it.
CSV: Final = f"to,number,goods\n{USER},A1,茶\nnobody,A2,茶\n{USER},A3,{'长' * 21}\n{USER},A4,茶\n"


def test_a_batch_is_queued_line_by_line_and_never_twice(folder: Path, command: Command) -> None:
    (folder / "orders.csv").write_text(CSV, encoding="utf-8")
    batch = ("push", "batch", "orders.csv", "--template", "order-shipped")
    tried = command(*batch, "--dry-run")
    assert (tried.code, not FILE.exists()) == (1, True)
    assert "2 would be queued, 2 refused" in tried.out
    ran = command(*batch, "--refused", "refused.ndjson")
    assert ran.code == 1
    assert "2 queued, 2 refused" in ran.out
    assert "line 3: to: no open id" in ran.err
    assert "line 4: template order-shipped: thing2: " in ran.err
    written = [json.loads(line) for line in (folder / "refused.ndjson").read_text().splitlines()]
    assert [one["line"] for one in written] == [3, 4]
    again = command(*batch, "--json")
    counted = json.loads(again.out)
    assert (counted["queued"], counted["known"], counted["refused"]) == (0, 2, 2)
    assert counted["batch"].startswith("orders.csv-")
    listed = command("push", "list", "--batch", counted["batch"], "--json").out.splitlines()
    assert len(listed) == 2


def test_a_file_that_was_mended_is_given_the_name_that_it_had(
    folder: Path, command: Command
) -> None:
    file = folder / "orders.csv"
    file.write_text(CSV, encoding="utf-8")
    batch = ("push", "batch", "orders.csv", "--template", "order-shipped")
    name = json.loads(command(*batch, "--json").out)["batch"]
    file.write_text(CSV.replace("nobody", USER).replace("长" * 21, "茶"), encoding="utf-8")
    ran = command(*batch, "--name", name, "--json")
    counted = json.loads(ran.out)
    assert (ran.code, counted["queued"], counted["known"], counted["refused"]) == (0, 2, 2, 0)
    file.write_text(CSV.replace("A1", "A9"), encoding="utf-8")
    ran = command(*batch, "--name", name)
    assert "line 2: idempotency_key: message " in ran.err


def test_a_batch_comes_from_standard_input_too(
    command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = {"to": USER, "template": "order-shipped", "data": {"number": "A1", "goods": "茶"}}
    lines = io.BytesIO(f"{json.dumps(asked)}\n\n{{}}\n".encode())
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(lines))
    ran = command("push", "batch", "-", "--form", "ndjson", "--name", "mine")
    assert ran.code == 1
    assert ran.out.startswith("mine: 1 queued, 1 refused; ")
    assert "line 3: template: give one of" in ran.err
    assert "--name: give one" in command("push", "batch", "-", "--form", "csv").err
    assert command("push", "batch", "-", "--name", "x").code == 2


def test_a_file_in_another_encoding_and_a_line_too_long_are_told(
    folder: Path, command: Command
) -> None:
    head, row = "to,number,goods\n", f"{USER},A1,巧克力\n"
    (folder / "gbk.csv").write_bytes(head.encode() + row.encode("gbk"))
    ran = command("push", "batch", "gbk.csv", "--template", "order-shipped")
    assert (ran.code, "line 2: not UTF-8; save the file as UTF-8" in ran.err) == (1, True)
    (folder / "header.csv").write_bytes("to,number,货品\n".encode("gbk") + row.encode("gbk"))
    ran = command("push", "batch", "header.csv", "--template", "order-shipped")
    assert (ran.code, ran.out) == (2, "")
    assert "UTF-8" in ran.err
    (folder / "long.csv").write_text(head + f"{USER},A1,{'x' * 10_000_000}\n{USER},A2,茶\n")
    ran = command("push", "batch", "long.csv", "--template", "order-shipped")
    assert "1 queued, 1 refused" in ran.out
    assert "line 2: longer than 65,536 bytes" in ran.err
    (folder / "names.csv").write_text("openid,number\n")
    ran = command("push", "batch", "names.csv", "--template", "order-shipped")
    assert (ran.code, "column" in ran.err) == (2, True)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("missing.csv",), "does not exist"),
        (("orders.txt",), "give --form csv or --form ndjson"),
        (("orders.csv", "--refused", "no/where"), "--refused no/where: No such file"),
        (("orders.csv", "--name", "é", "--template", "order-shipped"), "batch: give 1 to 128"),
    ],
)
def test_a_batch_that_cannot_be_read_is_told(
    arguments: tuple[str, ...], said: str, folder: Path, command: Command
) -> None:
    for name in ("orders.csv", "orders.txt"):
        (folder / name).write_text(CSV, encoding="utf-8")
    ran = command("push", "batch", *arguments)
    assert ran.code in (1, 2)
    assert said in ran.err


def many(folder: Path, count: int) -> Path:
    """Write a file of so many messages."""
    file = folder / "many.csv"
    rows = (f"oUser{number:024d},A{number},茶\n" for number in range(count))
    file.write_text("to,number,goods\n" + "".join(rows), encoding="utf-8")
    return file


def test_thousands_of_lines_are_followed_to_their_end(
    folder: Path, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(intake, "PLAIN_SECONDS", 0.0)
    monkeypatch.setattr(following, "RECEIPT_SECONDS", 0.0)
    many(folder, 5000)
    batch = ("push", "batch", "many.csv", "--template", "order-shipped")
    ran = command(*batch)
    assert (ran.code, "5,000 queued, 0 refused" in ran.out) == (0, True)
    assert "bytes: 1,000 queued, 0 refused; " in ran.err
    assert end(State.FAILED, "user: 43004", 50) == 50
    assert end(State.SENT) == 4950
    ran = command(*batch, "--follow")
    assert ran.code == 1
    assert ran.out.splitlines()[1:] == ["sent: 4,950 (99.0%)", "failed: 50 (1.0%)"]
    assert ran.err.endswith("4,950 receipts have not come yet\n")
    counted = json.loads(command(*batch, "--follow", "--json").out.splitlines()[1])
    assert counted["states"] == {"sent": 4950, "failed": 50}


def test_a_terminal_shows_a_bar(
    folder: Path, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn = io.StringIO()

    def terminal(**_given: object) -> Console:
        return Console(file=drawn, force_terminal=True, width=120)

    for module in (intake, following):
        monkeypatch.setattr(module, "Console", terminal)
    monkeypatch.setattr(following, "RECEIPT_SECONDS", 0.0)
    many(folder, 2000)
    batch = ("push", "batch", "many.csv", "--template", "order-shipped")
    assert command(*batch).code == 0
    end(State.DELIVERED)
    ran = command(*batch, "--follow")
    assert (ran.code, ran.err) == (0, "")
    for shown_part in ("2,000 queued, 0 refused", "2,000 queued before", "2000/2000", "━"):
        assert shown_part in drawn.getvalue()


def test_status_shows_what_waits_and_what_is_paused_and_resume_ends_a_pause(
    command: Command, pushed: Callable[..., str]
) -> None:
    assert command("push", "status").out == "nothing waits; dead letters: 0\n"
    pushed()
    pushed("--at", "+10m")
    budgets(lambda b: b.pause("main/template", time.time() + 600))
    ran = command("push", "status")
    assert [line.split()[:4] for line in ran.out.splitlines()[:2]] == [
        ["account", "channel", "waiting", "retrying"],
        ["main", "template", "1", "0"],
    ]
    assert "main/template is paused for 10 min, until 20" in ran.out
    told = json.loads(command("push", "status", "--json").out)
    assert told["backlog"][0]["delayed"] == 1
    assert list(told["paused"]) == ["main/template"]
    assert command("push", "resume", "main", "template").out == "main/template goes on\n"
    assert command("push", "resume", "main", "mass").out == "main/mass was not paused\n"
    assert command("push", "resume", "shop", "mass").code == 2
    assert "paused" not in command("push", "status").out


def budgets(work: Callable[[SqliteBudgets], Awaitable[None]]) -> None:
    """Do something with the budgets that the command works on."""

    async def run() -> None:
        opened = SqliteBudgets(FILE, timeout=5)
        await work(opened)
        await opened.close()

    asyncio.run(run())


def test_outcomes_are_counted_with_percentages(
    command: Command, pushed: Callable[..., str]
) -> None:
    assert command("push", "outcomes", "--days", "1").out == "no messages in 1 day\n"
    for _ in range(4):
        pushed()
    end(State.FAILED, most=1)
    end(State.DELIVERED)
    head, row = command("push", "outcomes").out.splitlines()
    assert head.split() == ["day", "account", "template", "messages", "delivered", "failed"]
    assert row.split()[1:] == ["main", "order-shipped", "4", "3", "(75.0%)", "1", "(25.0%)"]
    lines = command("push", "outcomes", "--template", "order-shipped", "--json").out.splitlines()
    assert [json.loads(line)["jobs"] for line in lines] == [3, 1]
    assert "no messages" in command("push", "outcomes", "--template", "other").out


@pytest.mark.parametrize(
    ("filters", "meant"),
    [
        ("--state queued", 1),
        ("--state dead --state queued", 3),
        ("--account main", 3),
        ("--account other", 0),
        ("--channel custom", 1),
        ("--template order-shipped", 2),
        (f"--to {USER}", 3),
        ("--to oOther", 0),
        ("--batch b", 0),
        ("--reason config", 2),
        ("--reason 48001", 0),
        ("--since 1h", 3),
        ("--since 0s", 0),
        ("--before 1h", 0),
        ("--limit 2", 2),
    ],
)
def test_messages_are_listed_as_filtered(
    filters: str, meant: int, command: Command, pushed: Callable[..., str]
) -> None:
    pushed()
    pushed()
    end(State.DEAD, CONFIG)
    time.sleep(0.002)  # Ages are told apart by the millisecond of an id.
    command("push", "text", USER, "hi")
    time.sleep(0.002)
    ran = command("push", "list", *filters.split(), "--json")
    assert (ran.code, ran.err, len(ran.out.splitlines())) == (0, "", meant)


def test_what_waits_is_cancelled_and_queued_again(
    folder: Path, command: Command, pushed: Callable[..., str]
) -> None:
    many(folder, 2100)
    command("push", "batch", "many.csv", "--template", "order-shipped", "--name", "b")
    id_ = pushed()
    assert command("push", "cancel").code == 2
    ran = command("push", "cancel", "--batch", "b", "--dry-run")
    assert ran.out == "2,100 messages would be cancelled\n"
    assert command("push", "cancel", "--batch", "b").out == "2,100 messages cancelled\n"
    assert command("push", "cancel", "--id", id_).out == "1 message cancelled\n"
    assert shown(command, id_)["state"] == "cancelled"
    again = ("push", "retry", "--state", "cancelled", "--batch", "b")
    assert command(*again, "--dry-run").out == "2,100 messages would be queued again\n"
    assert command(*again).out == "2,100 messages queued again\n"
    assert end(State.SENT) == 2100
    assert command("push", "cancel", "--all").out == "0 messages cancelled\n"


WHERE: Final = {
    "reason^=config": 1,
    "reason^=config: 48001 the account may not, really": 0,
    "state=ambiguous": 1,
    "state=dead|ambiguous,account=main": 2,
    "template=order-shipped, since=2h": 2,
    "channel=custom": 0,
    f"to={USER},before=1h": 0,
}


@pytest.mark.parametrize("where", WHERE)
def test_an_expression_says_which_dead_letters_are_meant(
    where: str, command: Command, pushed: Callable[..., str]
) -> None:
    pushed()
    end(State.DEAD, CONFIG)
    pushed()
    end(State.AMBIGUOUS, "unanswered")
    pushed()
    ran = command("push", "dead-letters", "list", "--where", where, "--json")
    assert (ran.code, ran.err, len(ran.out.splitlines())) == (0, "", WHERE[where])
    time.sleep(0.002)
    for act in ("retry", "discard"):
        dry = command("push", "dead-letters", act, "--where", where, "--dry-run")
        assert dry.out.startswith(f"{WHERE[where]} message")


@pytest.mark.parametrize(
    ("where", "said"),
    [
        ("reason=config", "write reason^="),
        ("account^=ma", "write account="),
        ("colour=red", "the names are id, state, "),
        ("account=", "write NAME=VALUE"),
        ("state=sent", "there are: dead, ambiguous"),
        ("channel=post", "there are: template, "),
        ("since=yesterday", "write it like 30s"),
        ("account=main,account=main", "account is given twice"),
    ],
)
def test_an_expression_that_says_nothing_is_told(where: str, said: str, command: Command) -> None:
    ran = command("push", "dead-letters", "list", "--where", where)
    assert ran.code == 2
    assert said in " ".join(ran.err.replace("│", "").split())


def test_dead_letters_are_shown_queued_again_and_discarded(
    command: Command, pushed: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    dead, perhaps = pushed(), ""
    end(State.DEAD, CONFIG)
    perhaps = pushed()
    end(State.AMBIGUOUS, "unanswered")
    time.sleep(0.002)
    ran = command("push", "dead-letters", "show", dead)
    assert (ran.code, CONFIG in ran.out) == (0, True)
    assert SECRET_GOODS not in ran.out
    letters = ("push", "dead-letters")
    assert "which ones?" in command(*letters, "retry").err
    ran = command(*letters, "retry", "--all", "--dry-run")
    assert "2 messages would be queued again, 1 of them ambiguous" in ran.out
    monkeypatch.setattr(sys, "stdin", io.StringIO("n\n"))
    assert command(*letters, "retry", "--all").code == 1
    assert command(*letters, "retry", "--state", "dead", "--all").out == "1 message queued again\n"
    assert shown(command, dead)["state"] == "queued"
    assert command(*letters, "show", dead).code == 1
    monkeypatch.setattr(sys, "stdin", io.StringIO("n\n"))
    assert command(*letters, "discard", "--all").code == 1
    assert command(*letters, "discard", "--id", perhaps, "--yes").out == "1 message discarded\n"
    assert command("push", "show", perhaps).code == 1
    assert command(*letters, "discard", "--all").out == "0 messages discarded\n"


def test_what_says_nothing_any_more_cannot_be_queued_again(
    command: Command, pushed: Callable[..., str]
) -> None:
    pushed()
    end(State.SENT, message_id="7")
    receipt = Receipt("main", Channel.TEMPLATE, USER, "7", "", State.FAILED, "receipt: x", 1.0)
    queue(lambda q: q.receive([receipt]))
    time.sleep(0.002)
    ran = command("push", "retry", "--state", "failed", "--all")
    assert ran.out.splitlines()[0] == "0 messages queued again"
    assert "1 cannot be: what they said is not kept" in ran.out


def test_several_accounts_have_to_be_told_apart(folder: Path, command: Command) -> None:
    both = ACCOUNT.format(name="main") + ACCOUNT.format(name="shop")
    (folder / "gateway.toml").write_text(both)
    ran = command("push", "text", USER, "hi")
    assert (ran.code, "account: missing; there are: main, shop" in ran.err) == (2, True)
    assert command("push", "text", USER, "hi", "--account", "shop").code == 0


def test_a_store_that_is_down_is_a_line_and_exit_status_1(folder: Path, command: Command) -> None:
    dsn = f"postgresql://nobody@127.0.0.1:{free_port()}/gateway"
    settings = ACCOUNT.format(name="main") + f'[store]\npostgres_dsn = "{dsn}"\ntimeout = 0.2\n'
    (folder / "gateway.toml").write_text(settings)
    ran = command("push", "text", USER, "hi")
    assert (ran.code, ran.out, ran.err.count("\n")) == (1, "", 1)


def test_templates_that_were_given_over_the_api_are_pushed_too(
    folder: Path, command: Command
) -> None:
    async def give() -> None:
        store = SqliteTemplates(FILE, timeout=5)
        await store.put("order-paid", b'{"template_id":"T2","fields":{"thing1":{"value":"hi"}}}')
        await store.put("strange", b"{}")
        await store.close()

    asyncio.run(give())
    ran = command("push", "template", "order-paid", "--to", USER)
    assert (ran.code, ran.err.count("\n")) == (0, 1)
    assert ran.err.startswith("gateway: template strange: ")
    (folder / "a.csv").write_text(f"to\n{USER}\n")
    for more in (["--dry-run"], []):
        ran = command("push", "batch", "a.csv", "--template", "order-paid", *more)
        assert (ran.code, "0 refused" in ran.out) == (0, True)
    assert command("push", "text", USER, "hi").err == ""


def test_where_the_store_is_down_a_trial_knows_the_folder_s_templates(
    folder: Path, command: Command
) -> None:
    dsn = f"postgresql://nobody@127.0.0.1:{free_port()}/gateway"
    settings = ACCOUNT.format(name="main") + f'[store]\npostgres_dsn = "{dsn}"\n'
    (folder / "gateway.toml").write_text(settings)
    (folder / "a.csv").write_text(f"to,number,goods\n{USER},A1,茶\n", encoding="utf-8")
    ran = command("push", "batch", "a.csv", "--template", "order-shipped", "--dry-run")
    assert (ran.code, "1 would be queued, 0 refused" in ran.out) == (0, True)
    assert "so no template is known that was given over the API" in ran.err


def test_memory_is_refused_and_a_template_that_is_wrong(folder: Path, command: Command) -> None:
    (folder / "templates" / "bad.toml").write_text("x = 1")
    ran = command("push", "text", USER, "hi")
    assert (ran.code, ran.err.startswith("gateway: template bad: ")) == (2, True)
    settings = ACCOUNT.format(name="main") + '[store]\nurl = "memory://"\n'
    (folder / "gateway.toml").write_text(settings)
    ran = command("push", "status")
    assert (ran.code, ran.err.startswith("gateway: store.url: memory://")) == (2, True)


def test_it_works_on_postgres_as_well(folder: Path, command: Command, postgres: Database) -> None:
    settings = ACCOUNT.format(name="main") + f'[store]\npostgres_dsn = "{postgres.dsn}"\n'
    (folder / "gateway.toml").write_text(settings)
    assert command("migrate").code == 0
    many(folder, 20)
    batch = ("push", "batch", "many.csv", "--template", "order-shipped", "--name", "b")
    assert "20 queued" in command(*batch).out
    assert "20 queued before" in command(*batch).out
    assert command("push", "list", "--batch", "b").out.endswith("20 of 20\n")
    assert "20 (100.0%)" in command("push", "outcomes").out
    time.sleep(0.002)
    assert command("push", "cancel", "--batch", "b").out == "20 messages cancelled\n"
    assert command("push", "status").out == "nothing waits; dead letters: 0\n"


def test_check_and_serve_name_a_template_that_is_wrong(folder: Path, command: Command) -> None:
    ran = command("check")
    assert (ran.code, "templates: order-shipped\n" in ran.out) == (0, True)
    (folder / "templates" / "bad.toml").write_text('template_id = "T"\n[fields.thing1]\n')
    for name in ("check", "serve", "worker"):
        ran = command(name)
        assert (ran.code, ran.out) == (2, "")
        assert ran.err.startswith("gateway: template bad: ")


def test_doctor_tells_of_what_waits_for_long_and_of_dead_letters(
    command: Command, pushed: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert " push " not in command("doctor").out
    pushed()
    end(State.DEAD, CONFIG)
    pushed()
    out = command("doctor").out
    assert re.search(r"ok +push +waiting to be sent: 1, the oldest for 0 s", out)
    assert re.search(r"!! +push +dead letters: 1", out)
    monkeypatch.setattr(sys.modules["gateway.cli.check"], "LATE_SECONDS", 0.0)
    assert "look at gateway push status" in command("doctor").out
