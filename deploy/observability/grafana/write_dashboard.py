# ruff: noqa: INP001  # a command beside the file that it writes, no package
"""Write dashboard.json: python deploy/observability/grafana/write_dashboard.py.

The JSON is what Grafana 10 and newer read. Change it here, not there: a test compares the two.
"""

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

Json = dict[str, Any]

PROMETHEUS: Final = {"type": "prometheus", "uid": "${prometheus}"}
LOKI: Final = {"type": "loki", "uid": "${loki}"}
TEMPO: Final = {"type": "tempo", "uid": "${tempo}"}

WIDTH: Final = 24
HEIGHT: Final = 8

ACCOUNT: Final = 'account=~"$account"'

GREEN, YELLOW, ORANGE, RED = "green", "yellow", "orange", "red"

Steps = Sequence[tuple[str, float | None]]
"""Colours, and the value that each begins at."""


class Query(NamedTuple):
    """One of a panel's queries, in PromQL."""

    expr: str
    legend: str = ""
    format: str = "time_series"
    instant: bool = False


class Panel(NamedTuple):
    """What a panel shows, and how."""

    title: str
    queries: Sequence[Query]
    about: str
    unit: str = "short"
    kind: str = "timeseries"
    steps: Steps = ()
    width: int = 8
    stacked: bool = False
    maximum: float | None = None


class Row(NamedTuple):
    """Panels beside and below one another, under a title."""

    title: str
    panels: Sequence[Panel]


def rate(counter: str, *by: str, where: str = "") -> str:
    """Return how often a counter is counted each second, by labels."""
    return f"sum by ({', '.join(by)}) (rate({counter}{_braced(where)}[$__rate_interval]))"


def quantile(q: float, histogram: str, *by: str, where: str = "") -> str:
    """Return a histogram's quantile, by labels."""
    return f"histogram_quantile({q}, {rate(f'{histogram}_bucket', *by, 'le', where=where)})"


def greatest(gauge: str, *by: str, where: str = "") -> str:
    """Return what all processes tell of the same thing, once, by labels."""
    return f"max by ({', '.join(by)}) ({gauge}{_braced(where)})"


def _braced(where: str) -> str:
    return f"{{{where}}}" if where else ""


GLANCE: Final = Row(
    "At a glance",
    [
        Panel(
            "Messages per second",
            [
                Query(
                    f"sum(rate(gateway_messages_total{{{ACCOUNT}}}[$__rate_interval])) or vector(0)"
                )
            ],
            "Verified deliveries, repeats included.",
            unit="reqps",
            kind="stat",
            width=3,
        ),
        Panel(
            "Errors",
            [Query(f"max(account:gateway_callback_errors:ratio5m{{{ACCOUNT}}})")],
            "The share of callbacks that were answered 500, of the account that has most.",
            unit="percentunit",
            kind="stat",
            steps=[(GREEN, None), (YELLOW, 0.005), (RED, 0.05)],
            width=3,
        ),
        Panel(
            "Time to acknowledge, p99",
            [Query(f"max(account:gateway_acknowledge_seconds:p99_5m{{{ACCOUNT}}})")],
            "WeChat waits for 5 s.",
            unit="s",
            kind="stat",
            steps=[(GREEN, None), (YELLOW, 2.5), (ORANGE, 4), (RED, 5)],
            width=3,
        ),
        Panel(
            "Oldest entry",
            [Query("max(gateway_lane_age_seconds) or vector(0)")],
            "Of all lanes: since it was stored.",
            unit="s",
            kind="stat",
            steps=[(GREEN, None), (YELLOW, 60), (ORANGE, 300)],
            width=3,
        ),
        Panel(
            "Oldest push",
            [Query(f"max(gateway_push_age_seconds{{{ACCOUNT}}}) or vector(0)")],
            "For how long a message might have been sent that was not.",
            unit="s",
            kind="stat",
            steps=[(GREEN, None), (YELLOW, 30), (ORANGE, 900)],
            width=3,
        ),
        Panel(
            "Dead letters",
            [Query("sum(max by (kind) (gateway_dead_letters))")],
            "What waits for a person, in both directions.",
            kind="stat",
            steps=[(GREEN, None), (YELLOW, 1)],
            width=3,
        ),
        Panel(
            "Spill",
            [Query("max(gateway_spill_age_seconds) or vector(0)")],
            "Since the oldest message was put on a gateway's own disk; 0: there is none.",
            unit="s",
            kind="stat",
            steps=[(GREEN, None), (ORANGE, 1), (RED, 60)],
            width=3,
        ),
        Panel(
            "Seen",
            [Query('sum by (role) (up{job="gateway"})', "{{role}}")],
            "Processes whose metrics are read.",
            kind="stat",
            steps=[(RED, None), (GREEN, 1)],
            width=3,
        ),
    ],
)

ARRIVING: Final = Row(
    "Arriving",
    [
        Panel(
            "Messages by account",
            [Query(rate("gateway_messages_total", "account", where=ACCOUNT), "{{account}}")],
            "Verified deliveries, repeats included.",
            unit="reqps",
            stacked=True,
        ),
        Panel(
            "Messages by type",
            [Query(rate("gateway_messages_total", "type", where=ACCOUNT), "{{type}}")],
            "What they bring.",
            unit="reqps",
            stacked=True,
        ),
        Panel(
            "Callbacks by outcome",
            [
                Query(
                    rate("gateway_callback_duration_seconds_count", "outcome", where=ACCOUNT),
                    "{{outcome}}",
                )
            ],
            "failed: a 500, WeChat tries again. left: WeChat had gone, and asks again.",
            unit="reqps",
            stacked=True,
        ),
        Panel(
            "Refused, by reason",
            [
                Query(
                    rate("gateway_callback_refusals_total", "account", "reason", where=ACCOUNT),
                    "{{account}} {{reason}}",
                )
            ],
            "The account is - where the path names none.",
            unit="reqps",
        ),
        Panel(
            "Duplicates and late replies",
            [
                Query(
                    rate("gateway_messages_duplicates_total", "found", where=ACCOUNT),
                    "duplicate, {{found}}",
                ),
                Query(
                    rate("gateway_replies_late_total", "account", where=ACCOUNT), "late {{account}}"
                ),
            ],
            "A message that comes again was not answered in time. late: given up at the deadline.",
            unit="reqps",
        ),
        Panel(
            "Handlers that raise",
            [Query(rate("gateway_handler_failures_total", "handler"), "{{handler}}")],
            "By name; the log has their tracebacks.",
            unit="reqps",
        ),
    ],
)

ACKNOWLEDGING: Final = Row(
    "Time to acknowledge: WeChat waits for 5 s",
    [
        Panel(
            "Quantiles",
            [
                Query(
                    quantile(
                        q,
                        "gateway_callback_duration_seconds",
                        where=f'{ACCOUNT}, outcome!="refused"',
                    ),
                    name,
                )
                for q, name in ((0.5, "p50"), (0.9, "p90"), (0.99, "p99"))
            ],
            "From a callback's arrival to its answer, without refused ones.",
            unit="s",
            steps=[(GREEN, None), (RED, 5)],
        ),
        Panel(
            "How long they take",
            [
                Query(
                    rate("gateway_callback_duration_seconds_bucket", "le", where=ACCOUNT),
                    "{{le}}",
                    format="heatmap",
                )
            ],
            "How many callbacks took how long.",
            unit="s",
            kind="heatmap",
        ),
        Panel(
            "Answered within 5 s",
            [
                Query(
                    rate(
                        "gateway_callback_duration_seconds_bucket",
                        "account",
                        where=f'{ACCOUNT}, le=~"5|5[.]0"',
                    )
                    + " / ("
                    + rate("gateway_callback_duration_seconds_count", "account", where=ACCOUNT)
                    + " > 0)",
                    "{{account}}",
                )
            ],
            "The share that WeChat waited for.",
            unit="percentunit",
            steps=[(RED, None), (YELLOW, 0.99), (GREEN, 0.995)],
            maximum=1.0,
        ),
    ],
)

WAITING: Final = Row(
    "Lanes: what is handled behind the answer",
    [
        Panel(
            "Age of the oldest",
            [Query(greatest("gateway_lane_age_seconds", "lane"), "{{lane}}")],
            "How late a lane is; its depth says only how full.",
            unit="s",
            steps=[(GREEN, None), (ORANGE, 300)],
        ),
        Panel(
            "Lateness, p99",
            [Query(quantile(0.99, "gateway_lane_lateness_seconds", "lane"), "{{lane}}")],
            "From an entry's storing to its end.",
            unit="s",
        ),
        Panel(
            "Depth",
            [Query(greatest("gateway_lane_depth", "lane", "state"), "{{lane}} {{state}}")],
            "waiting: may be taken now. delayed: their time has not come. held: being handled.",
        ),
        Panel(
            "Ended",
            [
                Query(
                    rate("gateway_lane_lateness_seconds_count", "lane", "outcome"),
                    "{{lane}} {{outcome}}",
                ),
            ],
            "done, or dead: a dead letter.",
            unit="ops",
        ),
        Panel(
            "Retries",
            [Query(rate("gateway_lane_retries_total", "lane"), "{{lane}}")],
            "Entries put back behind a failure.",
            unit="ops",
        ),
        Panel(
            "Events for sinks",
            [Query(rate("gateway_sink_events_total", "sink", "outcome"), "{{sink}} {{outcome}}")],
            "ok: it took them. failed: they are tried again, or become dead letters.",
            unit="ops",
        ),
    ],
)

PUSHING: Final = Row(
    "Pushing",
    [
        Panel(
            "Users who get theirs more than 30 s late",
            [
                Query(
                    f"account_channel:gateway_push_late:increase5m{{{ACCOUNT}}}",
                    "{{account}} {{channel}}",
                )
            ],
            "In the last 5 minutes; over 200 somebody is told.",
            steps=[(GREEN, None), (ORANGE, 200)],
        ),
        Panel(
            "Age of the oldest",
            [
                Query(
                    greatest("gateway_push_age_seconds", "account", "channel", where=ACCOUNT),
                    "{{account}} {{channel}}",
                )
            ],
            "For how long a message might have been sent that was not.",
            unit="s",
            steps=[(GREEN, None), (ORANGE, 900)],
        ),
        Panel(
            "Lateness, p99",
            [
                Query(
                    quantile(
                        0.99, "gateway_push_lateness_seconds", "account", "channel", where=ACCOUNT
                    ),
                    "{{account}} {{channel}}",
                )
            ],
            "From when a message might be sent to when WeChat took it.",
            unit="s",
        ),
        Panel(
            "Queued",
            [
                Query(
                    rate("gateway_push_queued_total", "account", "channel", where=ACCOUNT),
                    "{{account}} {{channel}}",
                )
            ],
            "Messages that bots, services and commands gave.",
            unit="ops",
            stacked=True,
        ),
        Panel(
            "Attempts by outcome",
            [Query(rate("gateway_push_attempts_total", "outcome", where=ACCOUNT), "{{outcome}}")],
            "What follows: retry and defer go on, the others are ends.",
            unit="ops",
            stacked=True,
        ),
        Panel(
            "Attempts by error code",
            [
                Query(
                    rate(
                        "gateway_push_attempts_total",
                        "channel",
                        "errcode",
                        where=f'{ACCOUNT}, errcode!="0"',
                    ),
                    "{{channel}} {{errcode}}",
                )
            ],
            "WeChat's; - where it did not answer, other where its table has none.",
            unit="ops",
        ),
        Panel(
            "Depth",
            [
                Query(
                    greatest("gateway_push_depth", "account", "channel", "state", where=ACCOUNT),
                    "{{account}} {{channel}} {{state}}",
                )
            ],
            "retrying: those of waiting that were tried before.",
        ),
        Panel(
            "Paused for",
            [
                Query(
                    greatest("gateway_push_paused_seconds", "account", "channel", where=ACCOUNT),
                    "{{account}} {{channel}}",
                )
            ],
            "WeChat told of a limit: nothing is sent for so long.",
            unit="s",
        ),
        Panel(
            "Receipts",
            [
                Query(
                    rate("gateway_push_receipts_total", "channel", "state", where=ACCOUNT),
                    "{{channel}} {{state}}",
                )
            ],
            "What WeChat said later of what it had taken.",
            unit="ops",
            stacked=True,
        ),
    ],
)

CALLING: Final = Row(
    "WeChat's API: calls, tokens, quotas",
    [
        Panel(
            "Calls by endpoint and outcome",
            [
                Query(
                    rate(
                        "gateway_api_duration_seconds_count", "endpoint", "outcome", where=ACCOUNT
                    ),
                    "{{endpoint}} {{outcome}}",
                )
            ],
            "rejected: an error code. token: it was dead. unanswered, not_sent: the way there.",
            unit="reqps",
        ),
        Panel(
            "Duration, p99",
            [
                Query(
                    quantile(0.99, "gateway_api_duration_seconds", "endpoint", where=ACCOUNT),
                    "{{endpoint}}",
                )
            ],
            "Of a call, by endpoint.",
            unit="s",
        ),
        Panel(
            "Error codes",
            [
                Query(
                    rate("gateway_api_errors_total", "endpoint", "errcode", where=ACCOUNT),
                    "{{errcode}} {{endpoint}}",
                )
            ],
            "Of all calls, those of pushing included.",
            unit="reqps",
        ),
        Panel(
            "Tokens: they hold for",
            [
                Query(
                    f"min by (account) (gateway_token_remaining_seconds{{{ACCOUNT}}})",
                    "{{account}}",
                ),
                Query(
                    f"min by (account) (gateway_token_age_seconds{{{ACCOUNT}}})",
                    "{{account}}, age",
                ),
            ],
            "Renewed some 5 minutes before their end, when they are needed; others may end.",
            unit="s",
            steps=[(RED, None), (GREEN, 120)],
        ),
        Panel(
            "Tokens fetched",
            [
                Query(
                    rate("gateway_token_refreshes_total", "account", "outcome", where=ACCOUNT),
                    "{{account}} {{outcome}}",
                )
            ],
            "Each about every 2 hours.",
            unit="ops",
        ),
        Panel(
            "Quota left today",
            [
                Query(
                    f"min by (account, endpoint) (gateway_quota_remaining{{{ACCOUNT}}})",
                    "{{account}} {{endpoint}}",
                )
            ],
            "Calls, as WeChat tells; it begins anew at midnight in Beijing.",
        ),
    ],
)

STANDING: Final = Row(
    "Stores, spill, dead letters",
    [
        Panel(
            "Round trips that fail",
            [Query("operation:gateway_store_errors:ratio2m", "{{operation}}")],
            "Their share: the store is down, too slow, or out of connections.",
            unit="percentunit",
            steps=[(GREEN, None), (RED, 0.05)],
        ),
        Panel(
            "Round trips, p99",
            [Query("operation:gateway_store_seconds:p99_5m", "{{operation}}")],
            "Behind store.timeout a store counts as down.",
            unit="s",
            steps=[(GREEN, None), (YELLOW, 0.5)],
        ),
        Panel(
            "Round trips",
            [
                Query(
                    rate("gateway_store_duration_seconds_count", "operation", "outcome"),
                    "{{operation}} {{outcome}}",
                )
            ],
            "A commit holds the steps of many callbacks.",
            unit="ops",
        ),
        Panel(
            "Spill: age of the oldest",
            [Query(greatest("gateway_spill_age_seconds", "instance"), "{{instance}}")],
            "It grows as long as nothing is drained.",
            unit="s",
            steps=[(GREEN, None), (RED, 60)],
        ),
        Panel(
            "Spilled",
            [Query(rate("gateway_spill_messages_total", "instance"), "{{instance}}")],
            "Messages kept on a gateway's own disk, for the store was down.",
            unit="ops",
        ),
        Panel(
            "Dead letters",
            [Query(greatest("gateway_dead_letters", "kind"), "{{kind}}")],
            "inbound: gateway inbox dead-letters. push: gateway push dead-letters list.",
        ),
    ],
)

PEOPLE: Final = Row(
    "People",
    [
        Panel(
            "Signed in",
            [
                Query(
                    rate("gateway_sign_ins_total", "account", "outcome", where=ACCOUNT),
                    "{{account}} {{outcome}}",
                )
            ],
            "By account, and those who were refused.",
            unit="ops",
            width=12,
        ),
        Panel(
            "Sessions verified",
            [Query(rate("gateway_session_verifications_total", "outcome"), "{{outcome}}")],
            "Answers of /session/verify.",
            unit="reqps",
            width=12,
        ),
    ],
)

ITSELF: Final = Row(
    "The gateway and its telemetry",
    [
        Panel(
            "Event loop: lag, p99",
            [Query("instance:gateway_loop_lag_seconds:p99_5m", "{{instance}}")],
            "How much later than asked for it ran; a handler without await holds up all others.",
            unit="s",
            steps=[(GREEN, None), (YELLOW, 0.25)],
            width=6,
        ),
        Panel(
            "Spans, and exports of metrics",
            [
                Query(rate("gateway_telemetry_spans_total", "outcome"), "spans {{outcome}}"),
                Query(rate("gateway_telemetry_exports_total", "outcome"), "exports {{outcome}}"),
            ],
            "failed: the collector did not take them. dropped: the queue was full.",
            unit="ops",
            width=6,
        ),
        Panel(
            "Gauges that could not be read",
            [Query(rate("gateway_telemetry_unread_total", "component"), "{{component}}")],
            "They are missing above, and in the alerts.",
            unit="ops",
            width=6,
        ),
        Panel(
            "What runs",
            [
                Query(
                    "sum by (instance, role, version, kernels, store) (gateway_info)",
                    format="table",
                    instant=True,
                )
            ],
            "Versions, kernels, stores.",
            kind="table",
            width=6,
        ),
    ],
)

ROWS: Final = [
    *(GLANCE, ARRIVING, ACKNOWLEDGING, WAITING, PUSHING, CALLING, STANDING, PEOPLE, ITSELF),
]


def dashboard() -> Json:
    """Return the whole dashboard."""
    return {
        "uid": "wechat-gateway",
        "title": "WeChat gateway",
        "description": "What arrives, what becomes of it, how late things are, and why.",
        "tags": ["wechat", "gateway"],
        "schemaVersion": 39,
        "version": 1,
        "editable": True,
        "graphTooltip": 1,
        "refresh": "30s",
        "time": {"from": "now-3h", "to": "now"},
        "timezone": "browser",
        "annotations": {"list": [_alerts()]},
        "links": [],
        "templating": {"list": _variables()},
        "panels": _panels(),
    }


def _alerts() -> Json:
    """Return the marks that show when which alert fired."""
    return {
        "name": "Alerts",
        "datasource": PROMETHEUS,
        "enable": True,
        "iconColor": RED,
        "expr": 'ALERTS{alertname=~"Gateway.*", alertstate="firing"}',
        "titleFormat": "{{alertname}}",
        "textFormat": "{{severity}} {{account}} {{channel}} {{lane}} {{instance}}",
    }


def _variables() -> list[Json]:
    sources = [("prometheus", "Metrics"), ("loki", "Logs"), ("tempo", "Traces")]
    return [
        *(
            {"name": kind, "label": label, "type": "datasource", "query": kind, "current": {}}
            for kind, label in sources
        ),
        {
            "name": "account",
            "label": "Account",
            "type": "query",
            "datasource": PROMETHEUS,
            "query": {
                "query": "label_values(gateway_callback_duration_seconds_count, account)",
                "refId": "accounts",
            },
            "definition": "label_values(gateway_callback_duration_seconds_count, account)",
            "refresh": 2,
            "sort": 1,
            "multi": True,
            "includeAll": True,
            "allValue": ".*",
            "current": {"text": "All", "value": "$__all"},
        },
        {
            "name": "trace",
            "label": "Trace id",
            "type": "textbox",
            "query": "",
            "current": {"text": "", "value": ""},
        },
    ]


def _panels() -> list[Json]:
    panels: list[Json] = []
    top = 0
    for row in ROWS:
        panels.append(_row(row.title, top))
        top += 1
        left, height = 0, HEIGHT
        for panel in row.panels:
            height = 4 if panel.kind == "stat" else HEIGHT
            if left + panel.width > WIDTH:
                left, top = 0, top + height
            panels.append(_panel(panel, {"x": left, "y": top, "w": panel.width, "h": height}))
            left += panel.width
        top += height
    panels += [_row("Logs and traces", top), _logs(top + 1), _trace(top + 1)]
    for number, panel_json in enumerate(panels, 1):
        panel_json["id"] = number
    return panels


def _row(title: str, top: int) -> Json:
    place = {"x": 0, "y": top, "w": WIDTH, "h": 1}
    return {"type": "row", "title": title, "collapsed": False, "gridPos": place, "panels": []}


def _panel(panel: Panel, place: Json) -> Json:
    return {
        "type": panel.kind,
        "title": panel.title,
        "description": panel.about,
        "datasource": PROMETHEUS,
        "gridPos": place,
        "targets": [_target(query, chr(ord("A") + at)) for at, query in enumerate(panel.queries)],
        "fieldConfig": {"defaults": _field(panel), "overrides": []},
        "options": _options(panel),
        **({"transformations": [_columns()]} if panel.kind == "table" else {}),
    }


def _target(query: Query, reference: str) -> Json:
    return {
        "refId": reference,
        "datasource": PROMETHEUS,
        "expr": query.expr,
        "legendFormat": query.legend or "__auto",
        "format": query.format,
        "instant": query.instant,
        "range": not query.instant,
    }


def _field(panel: Panel) -> Json:
    steps = panel.steps or [(GREEN, None)]
    field: Json = {
        "unit": panel.unit,
        "thresholds": {
            "mode": "absolute",
            "steps": [{"color": colour, "value": value} for colour, value in steps],
        },
    }
    if panel.maximum is not None:
        field["max"] = panel.maximum
    if panel.kind == "stat":
        field["color"] = {"mode": "thresholds"}
    if panel.kind == "timeseries":
        field["color"] = {"mode": "palette-classic"}
        field["custom"] = {
            "lineWidth": 1,
            "fillOpacity": 20 if panel.stacked else 0,
            "showPoints": "never",
            "stacking": {"mode": "normal" if panel.stacked else "none", "group": "A"},
            "thresholdsStyle": {"mode": "dashed" if panel.steps else "off"},
        }
        if panel.maximum is None:
            field["min"] = 0
    return field


def _options(panel: Panel) -> Json:
    match panel.kind:
        case "stat":
            return {
                "colorMode": "value",
                "graphMode": "area",
                "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False},
            }
        case "heatmap":
            return {
                "calculate": False,
                "cellGap": 1,
                "color": {"mode": "scheme", "scheme": "Oranges", "steps": 64},
                "yAxis": {"unit": "s"},
                "tooltip": {"mode": "single", "yHistogram": True},
            }
        case "table":
            return {"showHeader": True}
    return {
        "legend": {"displayMode": "table", "placement": "bottom", "calcs": ["max", "lastNotNull"]},
        "tooltip": {"mode": "multi", "sort": "desc"},
    }


def _columns() -> Json:
    hidden = {"Time": True, "Value": True}
    return {"id": "organize", "options": {"excludeByName": hidden}}


def _logs(top: int) -> Json:
    lines = '{service_name="gateway"} | account=~"$account" | trace_id=~"$trace.*"'
    return {
        "type": "logs",
        "title": "Lines",
        "description": "Each leads to its trace, and is found by it: put a trace's id above.",
        "datasource": LOKI,
        "gridPos": {"x": 0, "y": top, "w": 12, "h": 2 * HEIGHT},
        "targets": [{"refId": "A", "datasource": LOKI, "expr": lines, "queryType": "range"}],
        "options": {"showTime": True, "enableLogDetails": True, "sortOrder": "Descending"},
    }


def _trace(top: int) -> Json:
    return {
        "type": "traces",
        "title": "Trace $trace",
        "description": "One message: from its callback to its receipt.",
        "datasource": TEMPO,
        "gridPos": {"x": 12, "y": top, "w": 12, "h": 2 * HEIGHT},
        "targets": [{"refId": "A", "datasource": TEMPO, "query": "$trace", "queryType": "traceql"}],
    }


def written() -> str:
    """Return the file's text."""
    return json.dumps(dashboard(), ensure_ascii=False, indent=2) + "\n"


if __name__ == "__main__":
    target = Path(__file__).with_name("dashboard.json")
    target.write_text(written(), encoding="utf-8")
    sys.stdout.write(f"{target}\n")
