"""bench.identity: a run of the smallest size, and what is told of it."""

import json
from pathlib import Path
from typing import Any

import pytest

from bench.identity import verifies
from bench.identity.__main__ import main
from bench.identity.report import describe, goal_lines, markdown_tables
from bench.load.cores import Cores
from bench.load.generator import LoadError


def _run(folder: Path, *arguments: str) -> dict[str, Any]:
    file = folder / "identity.json"
    assert main([*arguments, "--rounds", "1", "--json", str(file)]) == 0
    told: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    return told


def test_people_are_found_alone_and_beside_a_writer(tmp_path: Path) -> None:
    told = _run(tmp_path, "--only", "lookups", "--identities", "400")
    assert [(one["by"], one["beside"]) for one in told["lookups"]] == [
        (by, beside)
        for beside in ("alone", "beside a writer")
        for by in ("open id", "union id", "id")
    ]
    assert {one["looks"] for one in told["lookups"]} == {400}
    assert told["filled"]["open_ids"] == 400
    assert "Look-ups: p99" in goal_lines(told)[0]
    assert "400 open ids in SQLite" in describe(told)[-1]


def test_everybody_who_signs_in_has_a_session(tmp_path: Path) -> None:
    told = _run(tmp_path, "--only", "sign-ins", "--sign-ins", "20")
    assert {(one["store"], one["kind"]) for one in told["sign_ins"]} == {
        (store, kind)
        for store in ("SQLite", "Redis + Postgres")
        for kind in ("snsapi_base", "snsapi_userinfo", "mini program")
    }
    assert all(one["cpu_ms"] > 0 for one in told["sign_ins"])
    tables = markdown_tables(told)
    assert tables[1].count("\n") == 7


def test_sessions_are_verified_and_their_end_is_seen() -> None:
    row = verifies.Row("Redis", servers=True, cache=0.2)
    made, ends = verifies.measure(row, Cores(None, None), 1, 1, lambda _: None)
    assert [one.wrong for one in made] == [0]
    assert made[0].requests > 100
    assert ends is not None
    assert ends.longest > 0


def test_what_ran_beside_the_gateway_is_told(tmp_path: Path) -> None:
    told = _run(tmp_path, "--only", "lookups", "--identities", "100")
    calm = dict.fromkeys(verifies.Verifies._fields, 1.0) | {"row": "Redis"}
    assert "Disturbed" not in "".join(describe(told | {"verifies": [calm]}))
    disturbed = calm | {"others_percent": 25.0}
    assert "25 % at most" in "".join(describe(told | {"verifies": [calm, disturbed]}))


def test_without_wrk_it_is_said_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(LoadError, match="apt install wrk"):
        verifies.measure(verifies.ROWS[0], Cores(None, None), 1, 1, lambda _: None)
