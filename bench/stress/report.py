"""What is told of a stress run: the JSON with every figure, a table, what was wrong."""

from typing import Any, Final

from bench import table
from bench.load.cores import SATURATED
from bench.percentiles import LEVELS
from bench.provenance import provenance
from bench.stress.mix import BURST, BURSTS, KINDS, REDELIVERED
from bench.stress.runner import Outcome, Plan

_PACKAGES: Final = (
    *("wechat-gateway", "granian", "litestar", "uvloop", "msgspec", "pycryptodome", "redis"),
    *("locust", "gevent", "geventhttpclient"),
)
_HEADINGS: Final = ("message", "requests", *(f"{level} ms" for level in LEVELS))


def as_json(plan: Plan, outcome: Outcome) -> dict[str, Any]:
    """Return everything; latencies are in milliseconds, counted from when a message was due."""
    record = outcome.record
    tries = record["tries"]
    return {
        **provenance(_PACKAGES, pinning=str(outcome.cores)),
        "server": {"row": plan.row.name, "setup": plan.row.setup},
        "profile": {
            "name": plan.name,
            "seconds": plan.profile.seconds,
            "rate": plan.profile.rate,
            "stages": [stage._asdict() for stage in plan.profile.stages],
            "mix": {name: kind.share for name, kind in KINDS.items()},
            "bursts": BURSTS,
            "burst": BURST,
            "redelivered": REDELIVERED,
        },
        "arrivals": "open: due each second per user, whatever was answered; latency from then",
        "retries": tries.get("retry", 0),
        "redeliveries": tries.get("redelivery", 0),
        "memory_mib": {
            "begin": round(outcome.memory[0]["mib"], 1),
            "end": round(outcome.memory[-1]["mib"], 1),
            "course": [
                {name: round(value, 1) for name, value in point.items()} for point in outcome.memory
            ],
        },
        **{name: value for name, value in record.items() if name != "began"},
    }


def show(document: dict[str, Any]) -> None:
    """Print a run for a terminal."""
    rows = {**document["kinds"], "all": document}
    table.show(
        _HEADINGS,
        [
            (
                kind,
                f"{told['requests']:,}",
                *(f"{told['latency_ms'][level]:.2f}" for level in LEVELS),
            )
            for kind, told in rows.items()
        ],
    )
    print("\n".join(describe(document)))


def describe(document: dict[str, Any]) -> list[str]:
    """Return the lines that say how the numbers came about, and what was wrong."""
    generator, memory = document["generator"], document["memory_mib"]
    lag = generator["lag_ms"]
    lines = [
        f"{document['requests_per_second']:.0f} requests/s over {document['seconds']:.0f} s.",
        f"{document['server']['row']}: {document['machine']['pinning']}.",
        "Every reply was checked, that of a redelivery against the first one's bytes.",
        f"Retries: {document['retries']:,}; redeliveries: {document['redeliveries']:,}.",
        "Latency is counted from when a message was due, whether or not others were answered.",
        f"The generator took {generator['cpu']:.0f} % of its core; it was late itself, which is in",
        f"the latencies, by {lag['p50']:.1f} ms (p50) to {lag['p99']:.1f} ms (p99).",
        f"Resident memory of the server: {memory['begin']:.1f} MiB, then {memory['end']:.1f} MiB.",
    ]
    if generator["cpu"] >= SATURATED:
        lines.append("The generator could not keep up: the server may be faster than shown.")
    if document["failures"]:
        counts = ", ".join(f"{count:,} {kind}" for kind, count in document["failures"].items())
        lines += [f"FAILED: {counts}.", *document["examples"]]
    return lines
