"""What is told of a run: tables, and the JSON."""

from collections.abc import Sequence
from statistics import median
from typing import Any, Final

from bench import table
from bench.identity.lookups import PAUSE_SECONDS, WRITTEN
from bench.identity.sign_ins import AT_ONCE
from bench.identity.verifies import CONNECTIONS, ENDED, SAMPLE, SESSIONS
from bench.load.cores import DISTURBED, Cores
from bench.provenance import provenance

_PACKAGES: Final = ("wechat-gateway", "granian", "litestar", "PyJWT", "redis", "asyncpg", "msgspec")
_VERIFIES: Final = (
    *("sessions in", "verifies/s", "min", "max", "p50 ms", "p99 ms", "wrong"),
    *("gateway's core %", "the other %"),
)
_SIGN_INS: Final = ("store", "what", "sign-ins/s", "min", "max", "CPU ms each", "a core allows/s")
_LOOKUPS: Final = ("found by", "while", "p50 ms", "p99 ms", "longest ms", "look-ups")

VERIFIES_GOAL: Final = 10_000
LOOKUP_GOAL_MS: Final = 2.0


def as_json(options: dict[str, Any], cores: Cores, measured: dict[str, Any]) -> dict[str, Any]:
    """Return everything: the machine, the versions, the options, all rounds."""
    return {
        **provenance(_PACKAGES),
        "cores": str(cores),
        "options": options,
        **measured,
    }


def print_tables(document: dict[str, Any]) -> None:
    """Print the tables for a terminal, and what was wanted."""
    for headings, rows in _tables(document):
        if rows:
            table.show(headings, rows)
    for line in goal_lines(document):
        print(line)


def markdown_tables(document: dict[str, Any]) -> list[str]:
    """Return the tables of verifies, sign-ins and look-ups, for a document."""
    return [table.markdown(headings, rows) for headings, rows in _tables(document)]


def goal_lines(document: dict[str, Any]) -> list[str]:
    """Return a line for each thing that was wanted."""
    lines = []
    if verifies := _grouped(document["verifies"], "row"):
        name, rows = next(iter(verifies.items()))
        middle = median(row["per_second"] for row in rows)
        met = "met" if middle >= VERIFIES_GOAL else "not met"
        lines.append(f"{name}: {middle:,.0f} verifies/s; goal {VERIFIES_GOAL:,}: {met}.")
    if ends := document["ends"]:
        met = "met" if ends["longest"] <= ends["cache"] + 0.1 else "not met"
        lines.append(
            f"The end of a session is seen elsewhere after {ends['median']:.2f} s (median), "
            f"{ends['longest']:.2f} s at most; goal {ends['cache']:g} s: {met}."
        )
    if lookups := document["lookups"]:
        worst = max(one["p99_ms"] for one in lookups)
        met = "met" if worst < LOOKUP_GOAL_MS else "not met"
        lines.append(f"Look-ups: p99 {worst:.2f} ms at most; goal {LOOKUP_GOAL_MS:g} ms: {met}.")
    return lines


def describe(document: dict[str, Any]) -> list[str]:
    """Return the lines that say how the numbers came about."""
    options, filled = document["options"], document["filled"]
    rounds = f"{options['seconds']} s a round, {options['rounds']} rounds"
    at_once = f"{AT_ONCE} at once, {options['sign_ins']:,} a round"
    lines = [
        f"Verifies: {SESSIONS:,} sessions in turns, {CONNECTIONS} connections of wrk, {rounds};",
        f"each answer's status and X-Auth-User are looked at, and {SAMPLE} compared before;",
        "the gateway on its core, wrk and the stores on the other.",
        f"Ends: {ENDED} sessions ended in another process.",
        f"Sign-ins: {at_once}, of people known before; each ends in a session.",
        "WeChat, stores and client share the other core; what a core allows is by the",
        "gateway's own processor time.",
    ]
    others = [one.get("others_percent") or 0.0 for one in document["verifies"]]
    if others and max(others) > DISTURBED:
        lines.append(
            f"Disturbed: something else took {median(others):.0f} % of the gateway's core (median "
            f"of all rounds of verifies), {max(others):.0f} % at most; these figures are too low."
        )
    if filled:
        lines.append(
            f"Look-ups: {filled['open_ids']:,} open ids in SQLite ({filled['bytes'] / 2**20:,.0f} "
            f"MiB), filled at {filled['per_second']:,.0f} a second; the writer stores {WRITTEN:,} "
            f"active users, pauses {PAUSE_SECONDS:g} s, and so on."
        )
    return lines


def _tables(document: dict[str, Any]) -> list[tuple[Sequence[str], list[Sequence[str]]]]:
    return [
        (_VERIFIES, [_verifies(n, r) for n, r in _grouped(document["verifies"], "row").items()]),
        (
            _SIGN_INS,
            [
                _sign_ins(store, kind, rows)
                for (store, kind), rows in _grouped(document["sign_ins"], "store", "kind").items()
            ],
        ),
        (_LOOKUPS, [_lookup(one) for one in document["lookups"]]),
    ]


def _grouped(rounds: list[dict[str, Any]], *names: str) -> dict[Any, list[dict[str, Any]]]:
    groups: dict[Any, list[dict[str, Any]]] = {}
    for one in rounds:
        key = one[names[0]] if len(names) == 1 else tuple(one[name] for name in names)
        groups.setdefault(key, []).append(one)
    return groups


def _verifies(name: str, rows: list[dict[str, Any]]) -> Sequence[str]:
    return (
        name,
        *_spread([row["per_second"] for row in rows]),
        f"{median(row['p50_ms'] for row in rows):.1f}",
        f"{median(row['p99_ms'] for row in rows):.1f}",
        f"{sum(row['wrong'] for row in rows):,}",
        *(_percent(rows, name) for name in ("server_percent", "generator_percent")),
    )


def _percent(rows: list[dict[str, Any]], name: str) -> str:
    # Older results have none.
    told = [row[name] for row in rows if row.get(name) is not None]
    return f"{median(told):.0f}" if told else "?"


def _sign_ins(store: str, kind: str, rows: list[dict[str, Any]]) -> Sequence[str]:
    cpu = median(row["cpu_ms"] for row in rows)
    allows = f"{1000 / cpu:,.0f}" if cpu else "?"
    return (store, kind, *_spread([row["per_second"] for row in rows]), f"{cpu:.2f}", allows)


def _lookup(one: dict[str, Any]) -> Sequence[str]:
    times = (f"{one[name]:.2f}" for name in ("p50_ms", "p99_ms", "longest_ms"))
    return (one["by"], one["beside"], *times, f"{one['looks']:,}")


def _spread(values: list[float]) -> tuple[str, str, str]:
    return f"{median(values):,.0f}", f"{min(values):,.0f}", f"{max(values):,.0f}"
