"""The dashboard: in step with what writes it, and asking for what the gateway tells."""

import json
import re
import runpy
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from tests.deploy.promql import names_in
from tests.deploy.promtool import faults
from tests.deploy.series import OBSERVABILITY, instruments_by_series, rules, unheard_of, unknown

FILE: Final = OBSERVABILITY / "grafana" / "dashboard.json"
TEXT: Final = FILE.read_text(encoding="utf-8")
DASHBOARD: Final[dict[str, Any]] = json.loads(TEXT)


def panels() -> list[dict[str, Any]]:
    """Return the panels that are no rows."""
    return [one for one in DASHBOARD["panels"] if one["type"] != "row"]


def queries() -> Iterator[str]:
    """Return what Prometheus is asked, with values for Grafana's variables."""
    for panel in panels():
        if panel["datasource"]["type"] == "prometheus":
            for target in panel["targets"]:
                yield target["expr"].replace("$__rate_interval", "1m").replace("$account", ".*")


def test_it_is_what_its_command_writes() -> None:
    """Renew it with: python deploy/observability/grafana/write_dashboard.py."""
    written = runpy.run_path(str(FILE.with_name("write_dashboard.py")))["written"]
    assert written() == TEXT


def test_its_queries_ask_for_what_the_gateway_tells(tmp_path: Path) -> None:
    asked = list(queries())
    assert faults(asked, tmp_path) == ""
    for query in asked:
        names = names_in(query)
        assert unknown(names) == [], query
        asked_for = (
            one._replace(matchers=tuple(m for m in one.matchers if m[2] not in {".*", "gateway"}))
            for one in names.selectors
        )
        assert unheard_of(asked_for) == [], query


def test_it_shows_every_instrument() -> None:
    recorded = {rule["record"]: rule["expr"] for rule in rules() if "record" in rule}
    of = instruments_by_series()
    shown = set()
    for query in queries():
        for one in names_in(query).selectors:
            inner = names_in(recorded[one.name]).selectors if one.name in recorded else (one,)
            shown |= {of[series.name].name for series in inner if series.name in of}
    assert shown == {one.name for one in of.values()}


def test_it_knows_no_machine_and_no_datasource_of_its_own() -> None:
    assert not re.search(r"https?://|localhost|\d+\.\d+\.\d+\.\d+|:\d{4}", TEXT)
    variables = {one["name"]: one for one in DASHBOARD["templating"]["list"]}
    for panel in DASHBOARD["panels"]:
        for holder in (panel, *panel.get("targets", ())):
            if "datasource" in holder:
                source = holder["datasource"]
                assert source["uid"] == f"${{{source['type']}}}"
                assert variables[source["type"]]["query"] == source["type"]
    used = set(re.findall(r"\$\{?(?!__)(\w+)", TEXT))
    assert used == set(variables)


def test_every_panel_has_its_place_and_says_what_it_shows() -> None:
    numbers = [one["id"] for one in DASHBOARD["panels"]]
    assert len(set(numbers)) == len(numbers)
    taken: set[tuple[int, int]] = set()
    for panel in DASHBOARD["panels"]:
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= 24
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not cells & taken, panel["title"]
        taken |= cells
    assert all(one["description"] for one in panels())


def test_the_time_to_acknowledge_is_seen_against_5_seconds() -> None:
    (panel,) = [one for one in panels() if one["title"] == "Quantiles"]
    field = panel["fieldConfig"]["defaults"]
    assert field["thresholds"]["steps"][-1] == {"color": "red", "value": 5}
    assert field["custom"]["thresholdsStyle"]["mode"] == "dashed"
