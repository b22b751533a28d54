"""Which series a Prometheus has: those of the instruments, those of our rules, and its own."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Final

import yaml

from gateway.telemetry.instruments import ALL, Instrument, Kind
from tests.deploy.promql import Names, Selector, names_in

OBSERVABILITY: Final = Path(__file__).parents[2] / "deploy" / "observability"

TARGET: Final = frozenset({"job", "instance", "role"})
"""Labels that prometheus.yml gives to whatever a target tells."""

ITS_OWN: Final = {
    "up": TARGET,
    "prometheus_rule_evaluation_failures_total": TARGET | {"rule_group"},
}
"""What Prometheus tells of its targets, and of itself."""


def load(name: str) -> Any:
    """Return what one of the YAML files holds."""
    return yaml.safe_load((OBSERVABILITY / name).read_text(encoding="utf-8"))


def rules() -> list[dict[str, Any]]:
    """Return every rule, in order."""
    groups = load("alerts.yml")["groups"]
    return [rule for group in groups for rule in group["rules"]]


def alerts() -> dict[str, dict[str, Any]]:
    """Return the alerts, by name."""
    return {rule["alert"]: rule for rule in rules() if "alert" in rule}


def instruments_by_series() -> dict[str, Instrument]:
    """Return which instrument each series is of."""
    return {series: one for one in ALL for series in _series(one)}


def _series(instrument: Instrument) -> Iterator[str]:
    name = instrument.prometheus_name
    match instrument.kind:
        case Kind.COUNTER:
            yield f"{name}_total"
        case Kind.GAUGE:
            yield name
        case Kind.HISTOGRAM:
            yield from (f"{name}_bucket", f"{name}_sum", f"{name}_count")


def labels_by_series() -> dict[str, frozenset[str]]:
    """Return the labels of all that there is to be asked for."""
    found: dict[str, frozenset[str]] = dict(ITS_OWN)
    for series, instrument in instruments_by_series().items():
        bound = {"le"} if series.endswith("_bucket") else set()
        found[series] = frozenset(instrument.labels) | bound | TARGET
    for rule in rules():
        if "record" in rule:
            found[rule["record"]] = names_in(rule["expr"]).grouped - {"le"}
    return found


def unknown(names: Names) -> list[str]:
    """Return what an expression names that there is not."""
    labels = labels_by_series()
    found = [one.name for one in names.selectors if one.name not in labels]
    for one in names.selectors:
        asked = {label for label, _, _ in one.matchers} | names.grouped
        # A histogram's bounds, where its count is asked for as well.
        found += [f"{one.name}{{{label}}}" for label in asked - labels.get(one.name, asked)]
    return found


def unheard_of(selectors: Iterable[Selector]) -> list[str]:
    """Return values asked for that the instruments' texts do not name."""
    of = instruments_by_series()
    found = []
    for selector in selectors:
        instrument = of.get(selector.name)
        for label, operator, value in selector.matchers if instrument else ():
            assert instrument is not None
            values = value.split("|") if "~" in operator else [value]
            if label == "le":
                values = [one.replace("[.]", ".") for one in values]
                known = {f"{bound:g}" for bound in instrument.bounds}
                known |= {str(bound) for bound in instrument.bounds}
            else:
                known = {word.strip("(),.:;") for word in instrument.help.split()}
            found += [f"{selector.name}{{{label}={one}}}" for one in values if one not in known]
    return found
