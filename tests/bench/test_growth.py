"""What is measured as work grows: that it is what it says, and what is told of it."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from wechatpy.crypto import WeChatCrypto

from bench.growth.__main__ import main
from bench.growth.bodies import content_for
from bench.growth.clock import Side, WrongResult, microseconds
from bench.growth.path import callback_with, check_echo, gateway_path
from bench.growth.report import markdown_table, plot
from bench.growth.routes import growth
from bench.growth.scale import QUICK
from bench.growth.section import Row
from tests.support import AES_KEY, APP_ID, TOKEN, Kernels, make_account, make_sender


def _took(median: float) -> dict[str, float]:
    return {"median": median, "least": median / 2, "most": median * 2}


def _routes(kind: str, asked: str, *times: float) -> list[Row]:
    return [
        {"routes": 10 ** (number + 1), "kind": kind, "asked": asked, "us": _took(us)}
        for number, us in enumerate(times)
    ]


def test_the_growth_of_routes_is_what_the_most_take_over_what_the_fewest_take() -> None:
    rows = _routes("exact", "last", 0.5, 0.5, 0.6) + _routes("pattern", "last", 4, 40, 400)
    assert growth(rows, "exact", "last") == pytest.approx(1.2)
    assert growth(rows, "pattern", "last") == pytest.approx(100)


def test_a_store_that_forgets_says_how_many_messages_it_has_kept() -> None:
    rows = [
        {
            "store": store,
            "keys": 1_000_000,
            "remembered": 100_000 if store == "memory" else 1_000_000,
            "us": _took(2.0),
            "bytes": None if store == "memory" else 3 << 20,
        }
        for store in ("memory", "sqlite", "redis")
    ]
    table = markdown_table({"rows": {"dedupe": rows}}, "dedupe")
    assert table.splitlines()[2] == (
        "| 1,000,000 | 2.0 (1.0-4.0), 100,000 kept | 2.0 (1.0-4.0) | 3.0 | 2.0 (1.0-4.0) | 3.0 |"
    )


@pytest.mark.parametrize("size", [2_048, 8_192, 32_768])
def test_a_text_is_chosen_so_that_its_sealed_body_has_the_size_asked_for(size: int) -> None:
    """Within a block of the cipher, and what base64 makes of it."""
    body = callback_with(make_sender(), content_for(size)).body
    assert abs(len(body) - size) <= 2 * 32 * 4 / 3


def test_a_size_below_that_of_an_empty_text_is_a_text_of_one_character() -> None:
    assert len(content_for(0)) == 1


def test_a_reply_is_checked_to_be_the_echo_of_what_was_sent(kernels: Kernels) -> None:
    callback = callback_with(make_sender(), "你好")
    answer = gateway_path()
    reply = answer(make_account(kernels), callback.query.encode(), callback.body)
    crypto = WeChatCrypto(TOKEN, AES_KEY, APP_ID)
    check_echo(crypto, reply, "你好")
    with pytest.raises(WrongResult, match="was answered 'echo: 你好'"):
        check_echo(crypto, reply, "再见")


def test_sides_are_timed_in_turns_each_within_what_must_be_around_it() -> None:
    seen: list[str] = []

    @contextmanager
    def around() -> Iterator[None]:
        seen.append("in")
        yield
        seen.append("out")

    sides = {"one": Side(lambda: seen.append("one"), around), "other": Side(lambda: None)}
    timed = microseconds(sides, QUICK._replace(seconds=0.0), least_calls=3)
    assert list(timed) == ["one", "other"]
    # Once to warm up, then once for each run.
    assert seen == ["in", "one", "one", "one", "out"] * (1 + QUICK.runs)
    assert all(0 <= us.least <= us.median <= us.most for us in timed.values())


@pytest.mark.compiled
def test_the_command_measures_everything_and_writes_numbers_and_pictures(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Small sizes, but real stores, a real Redis among them."""
    file = tmp_path / "results" / "growth.json"
    assert main(["--quick", "--json", str(file), "--markdown"]) == 0
    document = json.loads(file.read_text())
    assert {name: len(rows) for name, rows in document["rows"].items()} == {
        "bodies": 2 * 3,
        "accounts": 2 * 2,
        "routes": 2 * 2 * 3,
        "dedupe": 2 * 3,
    }
    assert document["options"]["keys"] == list(QUICK.keys)
    printed = capsys.readouterr().out
    assert "| body KiB | compiled us | pure us | wechatpy us |" in printed
    assert "| messages | memory us | SQLite us | SQLite MiB | Redis us | Redis MiB |" in printed

    pictures = sorted(file.parent.glob("growth-*.svg"))
    assert [one.stem for one in pictures] == [
        "growth-accounts",
        "growth-bodies",
        "growth-dedupe",
        "growth-routes",
    ]
    drawn = [one.read_bytes() for one in pictures]
    assert all(one.startswith(b"<?xml") for one in drawn)
    plot(document, file)
    assert [one.read_bytes() for one in pictures] == drawn


@pytest.mark.compiled
@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--only", "luck"], "invalid choice: 'luck'"),
        (["--runs", "4"], "must be a number from 5 to 100"),
        (["--quick", "--runs", "7"], "leave --runs out"),
    ],
)
def test_a_command_that_makes_no_sense_is_refused_with_what_is_wrong(
    arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as exit_:
        main(arguments)
    assert exit_.value.code == 2
    assert said in capsys.readouterr().err
