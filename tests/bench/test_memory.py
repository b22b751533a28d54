"""Memory and garbage collections of a server: how they are counted, and what is said of them."""

import gc
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from bench.garbage import FOLDER_VARIABLE, Garbage, Watch
from bench.memory import (
    FULL_FROM,
    Points,
    describe,
    goal_lines,
    growth,
    main,
    markdown_table,
    settled,
)
from bench.render.__main__ import ROOT
from bench.resident import largest

MIB = 1 << 20
SHORT = Garbage(longest_ms=1.25, total_ms=2.0, collections=(30, 2, 1), collected=7)


def points(*mib: float, each: int = 50_000, garbage: Garbage = SHORT) -> Points:
    """Return made-up points, a set of callbacks each."""
    return [
        {
            "callbacks": each * number,
            "resident": round(size * MIB),
            "garbage": garbage._asdict(),
        }
        for number, size in enumerate(mib, start=1)
    ]


def document(**rows: Points) -> dict[str, Any]:
    """Return a result with these rows, as it comes out of a file."""
    told: dict[str, Any] = {"rows": rows, "options": {"seconds": 3}}
    return dict(json.loads(json.dumps(told)))


def test_growth_is_what_the_last_quarter_adds_to_the_one_before() -> None:
    assert growth(points(80, 90, 100, 100.5)) == pytest.approx(0.5)
    # One set that stands out is no growth.
    assert growth(points(*[90] * 11, 99)) == 0.0
    assert growth(points(80, 90, 100)) is None


def test_a_row_that_remembers_in_its_process_is_flat_or_not_behind_what_it_remembers() -> None:
    growing = points(100, 150, 200, 200, 200, 200.5)
    assert [one["callbacks"] for one in settled("gateway", growing)] == [
        *(150_000, 200_000, 250_000, 300_000),
    ]
    told = document(gateway=growing)
    assert goal_lines(told)[0] == (
        "goal: gateway flat over 200,000 callbacks behind the 100,000 it remembers: met (+0.5 MiB)"
    )
    assert any("remembers 100,000 messages in its process" in line for line in describe(told))
    short = document(gateway=growing[:5])
    assert goal_lines(short)[0].endswith("not measured, for there were too few callbacks")


def test_a_row_whose_store_is_elsewhere_is_flat_or_not_from_its_first_callback_on() -> None:
    flat, _ = goal_lines(document(**{"gateway-sqlite": points(80, 80, 80, 85)}))
    assert flat == "goal: gateway-sqlite flat over 200,000 callbacks: not met (+5.0 MiB)"
    assert FULL_FROM["gateway-redis"] == 0


@pytest.mark.parametrize(("longest", "met"), [(4.99, "met"), (5.0, "not met")])
def test_the_longest_collection_is_judged(longest: float, met: str) -> None:
    garbage = SHORT._replace(longest_ms=longest)
    _, pause = goal_lines(document(**{"gateway-redis": points(80, 80, garbage=garbage)}))
    assert pause == (
        f"goal: gateway-redis longest collection under 5 ms: {met} ({longest:.2f}, of 33)"
    )


def test_the_table_shows_collections_where_they_were_watched() -> None:
    told = document(**{"gateway-sqlite": points(80, 80, 80, 80)})
    head, _, row = markdown_table(told).splitlines()
    assert head.endswith("| longest pause ms | collections | collected |")
    assert row == (
        "| this gateway, SQLite | 200,000 | 80.0 | 80.0 | 80.0 | +0.0, flat "
        "| 1.25 | 30 / 2 / 1 | 7 |"
    )
    for point in told["rows"]["gateway-sqlite"]:
        del point["garbage"]
    assert markdown_table(told).splitlines()[0].endswith("| added by the last quarter |")
    assert goal_lines(told)[1].endswith("under 5 ms: not measured")


class Clock:
    """A clock that is set by hand."""

    now = 100.0

    def __call__(self) -> float:
        """Return the seconds it was set to."""
        return self.now


def collect(watch: Watch, clock: Clock, seconds: float, generation: int, collected: int) -> None:
    """Let the watch see a collection that takes some seconds."""
    watch("start", {"generation": generation})
    clock.now += seconds
    watch("stop", {"generation": generation, "collected": collected})


def test_collections_are_counted_and_told_once_a_second_and_with_each_of_the_oldest_generation(
    tmp_path: Path,
) -> None:
    clock = Clock()
    watch = Watch(tmp_path, clock)

    def told() -> Garbage | None:
        return Garbage.read(tmp_path, os.getpid())

    collect(watch, clock, 0.003, 0, 4)
    assert told() is None
    collect(watch, clock, 0.001, 2, 5)
    assert told() == watch.garbage
    assert watch.garbage.longest_ms == pytest.approx(3.0)
    assert watch.garbage.total_ms == pytest.approx(4.0)
    assert watch.garbage[2:] == ((1, 0, 1), 9)
    collect(watch, clock, 0.001, 0, 0)
    assert told() != watch.garbage
    clock.now += 1.0
    collect(watch, clock, 0.002, 1, 0)
    assert told() == watch.garbage
    assert watch.garbage.collections == (2, 1, 1)


def test_what_was_collected_before_a_process_settles_does_not_count(tmp_path: Path) -> None:
    clock = Clock()
    watch = Watch(tmp_path, clock)
    collect(watch, clock, 0.5, 2, 10_000)
    watch.settled()
    assert Garbage.read(tmp_path, os.getpid()) == Garbage()


CHILD = """
import gc, os
import bench.garbage_bot
gc.collect()
gc.freeze()
cycle = []
cycle.append(cycle)
del cycle
gc.collect()
print(os.getpid(), flush=True)
os._exit(0)  # else the interpreter collects once more
"""


def test_the_bot_tells_of_its_process_from_the_freeze_on(tmp_path: Path) -> None:
    """A real collector, in a process of its own: this one's stays as it is."""
    told = subprocess.run(
        [sys.executable, "-c", CHILD],
        env=os.environ | {"PYTHONPATH": str(ROOT), FOLDER_VARIABLE: str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    garbage = Garbage.read(tmp_path, int(told.stdout))
    assert garbage is not None
    assert garbage.collections[2] == 1
    assert garbage.collected >= 1
    assert garbage.longest_ms > 0


def test_without_the_variable_the_bot_watches_nothing() -> None:
    assert FOLDER_VARIABLE not in os.environ
    watching = list(gc.callbacks)
    import bench.garbage_bot  # noqa: F401, PLC0415  # what importing it does is what is tested

    assert gc.callbacks == watching


def test_the_largest_process_of_a_group_is_found_with_its_size() -> None:
    process, size = largest(os.getpgrp())
    assert process > 0
    assert size > 10 * MIB


@pytest.mark.compiled
def test_the_command_measures_a_row_and_writes_every_number(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "results" / "memory.json"
    short = ["--callbacks", "1", "--seconds", "1", "--signed", "60000", "--only", "gateway-sqlite"]
    assert main([*short, "--json", str(file), "--markdown"]) == 0
    result = json.loads(file.read_text())
    (point,) = result["rows"]["gateway-sqlite"]
    assert point["callbacks"] > 0
    assert point["resident"] > 10 * MIB
    assert len(point["garbage"]["collections"]) == 3
    printed = capsys.readouterr().out
    assert "| this gateway, SQLite | " in printed
    assert printed.splitlines()[-2:] == result["goals"]


@pytest.mark.compiled
def test_callbacks_that_a_gateway_would_know_already_end_the_run_in_a_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    few = ["--seconds", "1", "--signed", "100", "--only", "gateway"]
    assert main([*few, "--json", str(tmp_path / "memory.json")]) == 2
    assert capsys.readouterr().err == (
        "bench.memory: gateway had all callbacks of a set already; sign more: --signed\n"
    )
