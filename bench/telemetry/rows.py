"""The rows: one and the same gateway, seen in more and more ways."""

from typing import Final

from bench.load.servers import GATEWAY, ROWS, Row

OFF: Final = "off"
METRICS: Final = "metrics"
TRACES_1: Final = "traces-1"
TRACES_100: Final = "traces-100"
TAIL: Final = "tail"

GOALS: Final = {METRICS: 0.03, TRACES_1: 0.05}
"""The share of the throughput of OFF that a row may cost."""

_NO_METRICS: Final = {"GATEWAY_TELEMETRY__METRICS": "false", "OTEL_SDK_DISABLED": "true"}


def rows(collector: str) -> list[Row]:
    """Return the rows; ``collector`` is where spans go, an URL."""

    def traced(share: str) -> dict[str, str]:
        return {
            "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": f"{collector}/v1/traces",
            "OTEL_METRICS_EXPORTER": "none",
            "OTEL_TRACES_SAMPLER": "traceidratio",
            "OTEL_TRACES_SAMPLER_ARG": share,
            # What is sampled in a round is to be exported within it.
            "OTEL_BSP_SCHEDULE_DELAY": "500",
        }

    return [
        _row(OFF, "nothing", "telemetry.metrics = false", _NO_METRICS),
        _row(METRICS, "metrics", "as it comes", {}),
        _row(TRACES_1, "metrics, 1 % traced", "a collector on the other core", traced("0.01")),
        _row(TRACES_100, "metrics, all traced", "the same", traced("1")),
        _row(TAIL, "metrics, and gateway tail", "which runs on the other core", {}),
    ]


def _row(name: str, title: str, setup: str, environment: dict[str, str]) -> Row:
    plain = ROWS[GATEWAY]
    return Row(
        name=name,
        title=title,
        setup=setup,
        command=plain.command,
        needs=plain.needs,
        settings=plain.settings,
        dedupes=True,
        environment=environment,
    )
