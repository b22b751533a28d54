"""The collector's settings and the stack around it: what they name is there."""

import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import pytest

from gateway.telemetry.rendering import EVENT, LEVEL, TIMESTAMP, timestamp
from tests.deploy.series import OBSERVABILITY, load

COLLECTOR: Final[dict[str, Any]] = load("collector.yaml")
COMPOSE: Final[dict[str, Any]] = load("compose.yaml")
SERVICES: Final[dict[str, Any]] = COMPOSE["services"]
TEXT: Final = (OBSERVABILITY / "collector.yaml").read_text(encoding="utf-8")

KINDS: Final = ("receivers", "processors", "exporters")


def test_a_pipeline_s_parts_are_defined_and_each_that_is_defined_is_used() -> None:
    pipelines = COLLECTOR["service"]["pipelines"]
    assert set(pipelines) == {"traces", "logs", "metrics"}
    for kind in KINDS:
        used = {name for pipeline in pipelines.values() for name in pipeline[kind]}
        assert used == set(COLLECTOR[kind])
    assert set(COLLECTOR["service"]["extensions"]) == set(COLLECTOR["extensions"])


def test_what_is_stored_is_stored_by_an_extension_that_is_there() -> None:
    stores = re.findall(r"^ +storage: (\w+)$", TEXT, re.MULTILINE)
    assert stores
    assert set(stores) <= set(COLLECTOR["extensions"])


@pytest.mark.parametrize("pipeline", ["traces", "logs", "metrics"])
def test_memory_is_bounded_first_and_batches_are_made_last(pipeline: str) -> None:
    processors = COLLECTOR["service"]["pipelines"][pipeline]["processors"]
    assert (processors[0], processors[-1]) == ("memory_limiter", "batch")


def test_every_variable_without_a_default_is_explained_and_given_by_the_stack() -> None:
    needed = set(re.findall(r"\$\{env:(\w+)\}", TEXT))
    assert needed == {"TRACES_ENDPOINT", "LOGS_ENDPOINT", "METRICS_ENDPOINT"}
    explained = set(re.findall(r"^#   ([A-Z_]+) ", TEXT, re.MULTILINE))
    given = set(SERVICES["collector"]["environment"])
    assert needed <= explained & given
    known = set(re.findall(r"\$\{env:(\w+)", TEXT))
    assert given | explained <= known


def test_lines_of_the_gateway_are_read_by_the_names_of_their_fields() -> None:
    operators = COLLECTOR["receivers"]["filelog"]["operators"]
    parser, trace, *others = operators
    assert parser["timestamp"]["parse_from"] == f"attributes.{TIMESTAMP}"
    assert parser["severity"]["parse_from"] == f"attributes.{LEVEL}"
    # Go's example of a moment, written as the gateway writes it.
    moment = datetime(2006, 1, 2, 15, 4, 5, 999_999, tzinfo=UTC).timestamp()
    assert parser["timestamp"]["layout"].replace("Z07:00", "Z") == timestamp(moment)
    assert trace["trace_id"]["parse_from"] == "attributes.trace_id"
    moved = {one.get("from") for one in others}
    assert f"attributes.{EVENT}" in moved
    # A line that is no JSON, or lacks a field, passes as it is.
    assert all("if" in one for one in operators)


def test_the_stack_s_images_are_of_one_version_each() -> None:
    for service in SERVICES.values():
        assert re.fullmatch(r"[\w/-]+:v?\d+\.\d+\.\d+", service["image"])


def test_the_files_that_the_stack_mounts_are_there_and_its_volumes_too() -> None:
    mounted = [mount for one in SERVICES.values() for mount in one["volumes"]]
    for mount in mounted:
        source = mount.partition(":")[0]
        if source.startswith("./"):
            assert (OBSERVABILITY / source).exists(), mount
            assert mount.endswith(":ro")
        elif not source.startswith("${"):
            assert source in COMPOSE["volumes"]
    for name in COMPOSE["volumes"]:
        assert any(mount.startswith(f"{name}:") for mount in mounted)


def test_the_stack_listens_on_this_machine_alone() -> None:
    for service in SERVICES.values():
        assert all(port.startswith("127.0.0.1:") for port in service.get("ports", ()))


def test_whoever_calls_another_service_calls_one_that_is_there() -> None:
    files = ("compose.yaml", "grafana/provisioning/datasources/gateway.yaml")
    for name in files:
        text = (OBSERVABILITY / name).read_text(encoding="utf-8")
        hosts = set(re.findall(r"http://([a-z]+):", text)) | set(
            re.findall(r"^ +\w+: ([a-z]+):\d+$", text, re.MULTILINE)
        )
        assert hosts
        assert hosts <= set(SERVICES)
    targets = [
        target
        for job in load("prometheus.yml")["scrape_configs"]
        for given in job["static_configs"]
        for target in given["targets"]
    ]
    names = [host for host, _, _ in (one.partition(":") for one in targets)]
    aliases = [one.partition(":")[0] for one in SERVICES["prometheus"]["extra_hosts"]]
    assert set(names) <= {*aliases, *SERVICES, "127.0.0.1"}


def test_grafana_finds_the_dashboard_and_asks_who_is_there() -> None:
    (provider,) = load("grafana/provisioning/dashboards/gateway.yaml")["providers"]
    folder = Path(provider["options"]["path"])
    mounts = [mount.split(":") for mount in SERVICES["grafana"]["volumes"]]
    assert ["./grafana/dashboard.json", str(folder / "dashboard.json"), "ro"] in mounts
    sources = load("grafana/provisioning/datasources/gateway.yaml")["datasources"]
    uids = {one["uid"] for one in sources}
    assert uids == {one["type"] for one in sources} == {"prometheus", "tempo", "loki"}
    leads = re.findall(
        r"datasourceUid: (\w+)",
        (OBSERVABILITY / "grafana/provisioning/datasources/gateway.yaml").read_text("utf-8"),
    )
    assert set(leads) == {"loki", "tempo"}
