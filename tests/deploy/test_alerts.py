"""The rules that wake somebody: sound, tested each way, and each with a runbook."""

import json
import re
import shlex
from pathlib import Path
from typing import Any, Final

import click
import pytest

from gateway.cli import gateway
from tests.deploy.promql import names_in
from tests.deploy.promtool import faults, promtool
from tests.deploy.series import (
    OBSERVABILITY,
    alerts,
    labels_by_series,
    load,
    rules,
    unheard_of,
    unknown,
)

ALERTS: Final = alerts()
CASES: Final[list[dict[str, Any]]] = load("alerts_test.yml")["tests"]

DOCS: Final = OBSERVABILITY.parents[1] / "docs"
RUNBOOKS: Final = {
    language: (folder / "runbooks.md").read_text(encoding="utf-8")
    for language, folder in (("en", DOCS), ("zh", DOCS / "zh"))
}

_THRESHOLD: Final = re.compile(r"([<>]) ([\d.]*[1-9][\d.]*)\s*(?=$|\n|\))", re.MULTILINE)
"""What an alert compares with, unless it is 0."""

_ANY: Final = ("0", "1e9")
"""Thresholds that let anything pass, one for each direction."""


def of(alert: str) -> list[dict[str, Any]]:
    """Return the cases of an alert."""
    return [case for case in CASES if case["name"].startswith(f"{alert} ")]


def sections(language: str) -> dict[str, str]:
    """Return a runbook's sections, by title."""
    return dict(
        re.findall(r"^## (.+?)\n(.*?)(?=^## |\Z)", RUNBOOKS[language], re.DOTALL | re.MULTILINE)
    )


def blocks(text: str, kind: str) -> list[str]:
    """Return the pieces of code of a kind."""
    return re.findall(rf"```{kind}\n(.*?)```", text, re.DOTALL)


@pytest.mark.parametrize(
    "arguments",
    [
        ("check", "rules", "alerts.yml"),
        ("check", "config", "prometheus.yml"),
        ("test", "rules", "alerts_test.yml"),
    ],
    ids=lambda arguments: " ".join(arguments[:2]),
)
def test_prometheus_finds_nothing_wrong(arguments: tuple[str, ...]) -> None:
    code, said = promtool(OBSERVABILITY, *arguments)
    assert code == 0, said
    assert "SUCCESS" in said


@pytest.mark.parametrize("alert", ALERTS)
def test_an_alert_says_how_urgent_it_is_and_what_to_do(alert: str) -> None:
    rule = ALERTS[alert]
    assert rule["labels"] in ({"severity": level} for level in ("yellow", "orange", "red"))
    assert rule["annotations"]["runbook_url"] == f"docs/runbooks.md#{alert.lower()}"
    assert (
        "{{ $value" in rule["annotations"]["description"]
        or "absent(" in rule["expr"]
        or (
            # Nothing but 0 is to be told of one that is down.
            "== 0" in rule["expr"]
        )
    )


def test_there_are_alerts_of_each_level() -> None:
    levels = {rule["labels"]["severity"] for rule in ALERTS.values()}
    assert levels == {"yellow", "orange", "red"}


@pytest.mark.parametrize("alert", ALERTS)
def test_an_alert_s_text_names_labels_that_it_has(alert: str) -> None:
    rule = ALERTS[alert]
    names = names_in(rule["expr"])
    told = names.grouped
    if not told and not rule["expr"].startswith(("absent(", "sum(")):
        labels = labels_by_series()
        told = frozenset().union(*(labels[one.name] for one in names.selectors))
    used = re.findall(r"\$labels\.(\w+)", " ".join(rule["annotations"].values()))
    assert set(used) <= told


@pytest.mark.parametrize("rule", rules(), ids=lambda rule: rule.get("alert") or rule["record"])
def test_a_rule_asks_for_what_the_gateway_tells(rule: dict[str, Any]) -> None:
    names = names_in(rule["expr"])
    assert names.selectors
    assert unknown(names) == []
    # Who was asked and did not answer is named where that is composed, not in the text.
    told = [one for one in unheard_of(names.selectors) if "component" not in one]
    assert told == []


def test_a_recorded_series_is_named_for_its_labels() -> None:
    for rule in rules():
        if "record" in rule:
            level = rule["record"].partition(":")[0]
            assert set(level.split("_")) == names_in(rule["expr"]).grouped - {"le"}


@pytest.mark.parametrize("alert", ALERTS)
def test_an_alert_has_a_case_in_which_it_fires_and_one_near_it_in_which_it_does_not(
    alert: str,
) -> None:
    fires, stays_quiet = of(alert)
    for case in (fires, stays_quiet):
        assert {one["alertname"] for one in case["alert_rule_test"]} == {alert}
    assert fires["name"].startswith(f"{alert} fires - ")
    assert all(one["exp_alerts"] for one in fires["alert_rule_test"])
    assert stays_quiet["name"].startswith(f"{alert} does not fire - ")
    assert all(one["exp_alerts"] == [] for one in stays_quiet["alert_rule_test"])


def test_each_case_is_of_an_alert() -> None:
    assert {case["name"].partition(" ")[0] for case in CASES} == set(ALERTS)


@pytest.mark.parametrize(
    "alert", [name for name, rule in ALERTS.items() if _THRESHOLD.search(rule["expr"])]
)
def test_the_case_that_does_not_fire_is_near_the_threshold(alert: str, tmp_path: Path) -> None:
    """It does fire where any of the alert's thresholds is lifted."""
    _, stays_quiet = of(alert)
    expression = ALERTS[alert]["expr"]
    for found in _THRESHOLD.finditer(expression):
        before, behind = expression[: found.start(2)], expression[found.end(2) :]
        lifted = [fires(alert, f"{before}{any_}{behind}", stays_quiet, tmp_path) for any_ in _ANY]
        assert any(lifted), found[0]


def fires(alert: str, expression: str, case: dict[str, Any], folder: Path) -> bool:
    """Tell whether an alert fires in a case in which it should not, with another expression."""
    groups = load("alerts.yml")
    for group in groups["groups"]:
        for rule in group["rules"]:
            if rule.get("alert") == alert:
                rule["expr"] = expression
    tests = {"rule_files": ["alerts.yml"], "tests": [case]}
    # JSON is YAML.
    (folder / "alerts.yml").write_text(json.dumps(groups), encoding="utf-8")
    (folder / "test.yml").write_text(json.dumps(tests), encoding="utf-8")
    code, said = promtool(folder, "test", "rules", "test.yml")
    assert (code == 1) == (f"alertname: {alert}" in said), said
    return code == 1


@pytest.mark.parametrize("language", RUNBOOKS)
def test_each_alert_has_a_runbook_in_the_order_of_the_other_language(language: str) -> None:
    titles = list(sections(language))
    assert set(titles) == set(ALERTS)
    assert titles == list(sections("en"))


@pytest.mark.parametrize("alert", ALERTS)
def test_a_runbook_says_the_same_in_both_languages(alert: str) -> None:
    """As far as machines see: its queries, its commands, its level, the sections it leads to."""
    english, chinese = (sections(language)[alert] for language in ("en", "zh"))
    for kind in ("promql", "console"):
        shown = [
            [re.sub(r"\s*#.*", "", block) for block in blocks(text, kind)]
            for text in (english, chinese)
        ]
        assert shown[0] == shown[1]
    assert blocks(english, "promql")
    level = ALERTS[alert]["labels"]["severity"]
    assert re.search(rf"\*{level}:", english, re.IGNORECASE)
    assert f"*{ {'yellow': '黄', 'orange': '橙', 'red': '红'}[level] }：" in chinese
    for name in ("Why", "Mend", "Over"):
        assert f"- **{name}:** " in english
    for name in ("原因", "处理", "结束"):
        assert f"- **{name}：**" in chinese
    leads = [sorted(set(re.findall(r"\]\(#(\w+)\)", text))) for text in (english, chinese)]
    assert leads[0] == leads[1]
    assert set(leads[0]) <= {name.lower() for name in ALERTS}


def test_a_runbook_s_queries_ask_for_what_there_is(tmp_path: Path) -> None:
    shown = blocks(RUNBOOKS["en"], "promql")
    queries = [line for block in shown for line in block.splitlines()]
    assert faults(queries, tmp_path) == ""
    for query in queries:
        names = names_in(query)
        assert unknown(names) == []
        assert unheard_of(names.selectors) == []


def test_a_runbook_s_commands_exist() -> None:
    shown = blocks(RUNBOOKS["en"], "console")
    lines = re.findall(r"^\$ gateway (.*)$", "".join(shown), re.MULTILINE)
    lines += re.findall(r"`gateway ((?!serve`|worker`)[^`]+)`", RUNBOOKS["en"])
    assert lines
    for line in lines:
        assert_is_command(shlex.split(line, comments=True))


@pytest.mark.parametrize("alert", ALERTS)
def test_the_commands_that_an_alert_names_exist(alert: str) -> None:
    said = ALERTS[alert]["annotations"]["description"]
    for line in re.findall(r"gateway ((?:[a-z-]+ )+(?:--[a-z-]+ )*)", said):
        words = [word for word in line.split() if not word.startswith("--")]
        command: click.Command = gateway
        for word in words:
            if isinstance(command, click.Group):
                assert word in command.commands, line
                command = command.commands[word]


def assert_is_command(words: list[str]) -> None:
    """Parse a command with its options, as running it would; run nothing."""
    command: click.Command = gateway
    while isinstance(command, click.Group) and words:
        assert words[0] in command.commands, words
        command = command.commands[words.pop(0)]
    command.make_context(command.name, words)
