"""The documents that hold figures: in step with the results, and whole where they are not."""

import json
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest

from bench.latency.report import Summary as LatencySummary
from bench.load.cores import NOT_PINNED
from bench.load.python_generator import PythonGenerator
from bench.load.report import Spread, as_json, markdown_table, summaries_of, summarise
from bench.load.runner import Plan
from bench.load.servers import ROWS
from bench.micro.report import as_json as micro_json
from bench.micro.report import read_rows, rows_of
from bench.render.__main__ import ROOT, main
from bench.render.results import Latency, Stress
from tests.bench.test_load import measurement
from tests.bench.test_micro import benchmark

REGION = "<!-- figures: speed -->\n{}<!-- end figures -->\n"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A copy of what the documents are made from, with documents that say nothing yet."""
    bench = tmp_path / "bench"
    shutil.copytree(ROOT / "bench" / "results", bench / "results")
    for name in ("baseline.json", "README.template.md"):
        shutil.copy(ROOT / "bench" / name, bench / name)
    (tmp_path / "docs" / "zh").mkdir(parents=True)
    (tmp_path / "README.md").write_text("# a gateway\n")
    (tmp_path / "docs" / "zh" / "README.md").write_text("# 网关\n", encoding="utf-8")
    return tmp_path


def written(root: Path) -> str:
    """Write the documents and return bench/README.md."""
    assert main([], root) == 0
    return (root / "bench" / "README.md").read_text(encoding="utf-8")


def change(file: Path, **changes: Any) -> None:
    """Change a result."""
    file.write_text(json.dumps(json.loads(file.read_text()) | changes))


def test_the_committed_documents_are_what_the_committed_results_give(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Where they are not: python -m bench.render."""
    status = main(["--check"])
    assert status == 0, capsys.readouterr().out


def test_a_document_follows_its_results_and_the_check_tells_when_it_does_not(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = written(root)
    assert main(["--check"], root) == 0
    change(root / "bench" / "results" / "memory.json", date="2031-02-03T00:00:00+00:00")
    assert main(["--check"], root) == 1
    said = capsys.readouterr().out
    assert "+[memory.json](results/memory.json), 2031-02-03: " in said
    assert "bench/README.md is not what the results give" in said
    assert (root / "bench" / "README.md").read_text(encoding="utf-8") == before
    assert "2031-02-03" in written(root)
    assert main(["--check"], root) == 0


@pytest.mark.parametrize("name", ["load", "micro", "memory", "growth"])
def test_a_missing_result_is_an_error_of_one_line_that_names_its_command(
    root: Path, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (root / "bench" / "results" / f"{name}.json").unlink()
    assert main(["--check"], root) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert f"{name}.json: make it with python -m bench.{name}" in said


@pytest.mark.parametrize(
    ("file", "said"),
    [
        ("results/growth-routes.svg", "make it with python -m bench.growth"),
        ("baseline.json", "python -m bench.gates --renew"),
        ("README.template.md", "there is no template"),
    ],
)
def test_a_missing_picture_baseline_or_template_is_named(
    root: Path, file: str, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (root / "bench" / file).unlink()
    assert main([], root) == 2
    assert said in capsys.readouterr().err


def test_a_section_whose_result_is_optional_is_left_out_without_it(root: Path) -> None:
    for file in (root / "bench" / "results").glob("latency*.json"):
        file.unlink()
    assert "### Latency at a constant rate" not in written(root)
    latency = root / "bench" / "results" / "latency.json"
    latency.write_text(json.dumps(LATENCY))
    assert "### Latency at a constant rate" in written(root)


def test_a_placeholder_that_no_result_fills_is_an_error_that_names_it(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    template = root / "bench" / "README.template.md"
    template.write_text("{{ load.tabel }}\n{{ micro.table }}")
    assert main([], root) == 2
    assert "tabel" in capsys.readouterr().err
    template.write_text('{{ load.row("apache").p50_ms }}')
    assert main([], root) == 2
    assert "has no apache; it has gateway, " in capsys.readouterr().err


def test_regions_are_filled_in_the_language_of_their_document_and_nothing_else_changes(
    root: Path,
) -> None:
    head, tail = "# a gateway\n\n", "\nThe rest.\n"
    english, chinese = root / "README.md", root / "docs" / "zh" / "README.md"
    for file in (english, chinese):
        file.write_text(head + REGION.format("long out of date\n") + tail)
    assert main(["--check"], root) == 1
    assert main([], root) == 0
    [first, second] = (file.read_text(encoding="utf-8") for file in (english, chinese))
    load = json.loads((root / "bench" / "results" / "load.json").read_text())
    rate = load["summary"][0]["requests_per_second"]["median"]
    for text in (first, second):
        assert text.startswith(head + "<!-- figures: speed -->\n")
        assert text.endswith("<!-- end figures -->\n" + tail)
        assert f"{rate:,.0f}" in text
        assert "out of date" not in text
    assert "callbacks a second" in first
    assert "次回调" in second
    assert main(["--check"], root) == 0


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (REGION.format("").replace("speed", "luck"), "figures/luck.en.md"),
        ("<!-- figures: speed -->\n", "figures speed have no <!-- end figures -->"),
        (
            "<!-- figures: memory -->\n" + REGION.format(""),
            "figures memory have no <!-- end figures -->",
        ),
    ],
)
def test_a_region_that_is_unknown_or_has_no_end_is_an_error(
    root: Path, text: str, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (root / "README.md").write_text(text)
    assert main([], root) == 2
    assert said in capsys.readouterr().err
    assert (root / "README.md").read_text() == text


def test_every_region_has_a_template_in_both_languages() -> None:
    names = {file.name for file in (ROOT / "bench" / "render" / "figures").iterdir()}
    assert names == {
        f"{name.partition('.')[0]}.{language}.md" for name in names for language in ("en", "zh")
    }


def test_a_load_run_read_back_from_its_json_is_the_run() -> None:
    rows = [ROWS["gateway"], ROWS["wechatpy-fastapi"]]
    measured = [measurement(row.name, number, 1000.5) for number in (1, 2) for row in rows]
    summaries = summarise(rows, measured)
    plan = Plan(rows=rows, generator=PythonGenerator())
    document = json.loads(json.dumps(as_json(plan, NOT_PINNED, measured, summaries)))
    assert summaries_of(document) == summaries
    assert markdown_table(summaries_of(document)) == markdown_table(summaries)
    assert document["notes"][0].startswith("Rounds: 5 of 4 s")


def test_timings_read_back_from_their_json_are_the_timings() -> None:
    report = {
        "datetime": "2025-01-01T00:00:00+00:00",
        "machine_info": {
            "machine": "x86_64",
            "system": "Linux",
            "release": "6.1",
            "python_implementation": "CPython",
            "python_version": sys.version,
        },
        "benchmarks": [benchmark("pad", side, 1e-6) for side in ("compiled", "wechatpy")],
    }
    rows = read_rows(report)
    document = json.loads(json.dumps(micro_json(report, rows, "cryptography")))
    assert rows_of(document) == rows


SPREAD = Spread(2.0, 1.0, 3.0)
LEVELS = ("p50", "p90", "p99", "p99.9", "max")
LATENCY = {
    "date": "2026-01-01T00:00:00+00:00",
    "machine": {"cpu": "A Processor", "cores": 2, "kernel": "Linux", "virtual": True},
    "python": "3.11.7 (main)",
    "versions": {"granian": "2.0"},
    "options": {"share": 70},
    "goals": ["goal: gateway p99 at 70 % under 10 ms: met (2.0)"],
    "summary": [
        {
            "row": "gateway",
            "title": "this gateway",
            "setup": "",
            "throughput": SPREAD._asdict(),
            "rate": SPREAD._asdict(),
            "latency_ms": {level: SPREAD._asdict() for level in LEVELS},
            "lag_p99_ms": SPREAD._asdict(),
            "generator_cpu": SPREAD._asdict(),
            "server_cpu": 60.0,
            "waited": 0,
            "core_slowdown": 1.2,
            "checked": 10,
            "errors": {},
            "examples": [],
            "disturbed": 0,
        }
    ],
}


def test_latencies_are_read_back_from_their_json(tmp_path: Path) -> None:
    file = tmp_path / "latency.json"
    file.write_text(json.dumps(LATENCY))
    latency = Latency(file)
    row = latency.row("gateway")
    assert isinstance(row, LatencySummary)
    assert row.latency_ms["p99"] == SPREAD
    assert "| this gateway | 2 | 2 | 2.00 (1.00-3.00) | 2.00 |" in latency.table
    assert latency.machine == "A Processor, 2 cores (virtual), Linux"


def test_a_stress_run_shows_each_kind_of_message_and_all_of_them(tmp_path: Path) -> None:
    told = {"requests": 1234, "latency_ms": dict.fromkeys(LEVELS, 1.5)}
    file = tmp_path / "stress-spike.json"
    file.write_text(json.dumps({**told, "kinds": {"text": told}}))
    assert Stress(file).table.splitlines()[2:] == [
        "| text | 1,234 | 1.50 | 1.50 | 1.50 | 1.50 | 1.50 |",
        "| all | 1,234 | 1.50 | 1.50 | 1.50 | 1.50 | 1.50 |",
    ]
    assert Stress(file).picture is None
