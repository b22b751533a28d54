"""The drill's account: what became of every message."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import msgpack
import msgspec
from redis import Redis

from tests.drill.load import Sent


@dataclass(frozen=True)
class Traces:
    """What the messages left, counted by user; a user sends one message."""

    runs: Counter[str]
    customer_service: Counter[str]
    forwarded: Counter[str]
    dead: Counter[str]


@dataclass(frozen=True)
class Ledger:
    """Every message, accounted for."""

    sent: int
    unacknowledged: list[str]
    """Not answered in three tries: WeChat tells their users that something is wrong."""
    lost: list[str]
    """Acknowledged, and then not handled, not answered, not forwarded, or not buried."""
    buried: int
    """Dead letters of messages whose handlers do not fail: their consumers were killed again and
    again, and that is the reason they were given."""
    visible_twice: list[str]
    handled_twice: int
    forwarded_twice: int

    @property
    def is_clean(self) -> bool:
        """Whether nothing was lost, and nothing shown twice."""
        return not self.lost and not self.visible_twice

    def lines(self) -> list[str]:
        """Return it as text."""
        rows = {
            "sent": self.sent,
            "acknowledged": self.sent - len(self.unacknowledged),
            "not acknowledged in 3 tries": len(self.unacknowledged),
            "lost": len(self.lost),
            "dead letters beside poison": self.buried,
            "visible replies twice": len(self.visible_twice),
            "handled twice": self.handled_twice,
            "forwarded twice": self.forwarded_twice,
        }
        every = {
            "not acknowledged": self.unacknowledged,
            "lost": self.lost,
            "visible twice": self.visible_twice,
        }
        named = [f"  {what}: {story}" for what, stories in every.items() for story in stories[:20]]
        return [f"{what:<28}{count:>8,}" for what, count in rows.items()] + named


def account(sent: list[Sent], traces: Traces) -> Ledger:
    """Return the account of what was sent."""
    lost, visible_twice = [], []
    for one in sent:
        missing = ", ".join(_missing(one, traces)) if one.is_acknowledged else ""
        if missing:
            lost.append(f"{one.story()}; {missing}")
        if _visible(one, traces) > 1:
            visible_twice.append(f"{one.story()}; {traces.customer_service[one.user]} more later")
    once = [one for one in sent if one.kind != "poison"]
    return Ledger(
        sent=len(sent),
        unacknowledged=[one.story() for one in sent if not one.is_acknowledged],
        lost=lost,
        visible_twice=visible_twice,
        buried=sum(traces.dead[one.user] > 0 for one in once),
        handled_twice=sum(traces.runs[one.user] > 1 for one in once),
        forwarded_twice=sum(traces.forwarded[one.user] > 1 for one in sent),
    )


def _missing(one: Sent, traces: Traces) -> Iterator[str]:
    """Yield what an acknowledged message should have left, and did not."""
    if not traces.runs[one.user]:
        yield "not handled"
    if not traces.forwarded[one.user]:
        yield "not forwarded"
    if one.kind == "poison":
        if not traces.dead[one.user]:
            yield "not buried"
    elif not _visible(one, traces) and not traces.dead[one.user]:
        yield "not answered"


def _visible(one: Sent, traces: Traces) -> int:
    """Return how often its user saw the handler's reply."""
    reply = one.outcome is not None and one.outcome.reply is not None
    # What a background handler returns comes beside the instant answer.
    in_place = reply and one.kind in ("inline", "slow")
    return traces.customer_service[one.user] + in_place


def customer_service(redis_port: int) -> Counter[str]:
    """Return how many customer-service messages wait for each user."""
    with Redis(port=redis_port) as client:
        entries: Any = client.xrange("{gateway}:lane:customer_service")
    jobs = (msgpack.unpackb(fields[b"e"], raw=True)[2] for _, fields in entries)
    return Counter(msgspec.json.decode(job)["touser"] for job in jobs)
