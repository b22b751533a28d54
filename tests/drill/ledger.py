"""The drill's account: what became of every message."""

from collections import Counter
from dataclasses import dataclass
from typing import Any

import msgpack
import msgspec
from redis import Redis

from tests.drill.load import Sent


@dataclass(frozen=True)
class Ledger:
    """Every message, accounted for."""

    sent: int
    acknowledged: int
    given_up: list[str]
    """Not acknowledged in three tries: WeChat tells their users that something is wrong."""
    lost: list[str]
    """Acknowledged, and not handled or without the reply that they were due."""
    handled_twice: list[str]
    visible_twice: list[str]

    @property
    def clean(self) -> bool:
        """Whether nothing was lost, and nothing shown twice."""
        return not self.lost and not self.visible_twice

    def lines(self) -> list[str]:
        """Return it as text."""
        rows = {
            "sent": self.sent,
            "acknowledged": self.acknowledged,
            "not acknowledged in 3 tries": len(self.given_up),
            "lost": len(self.lost),
            "handled twice": len(self.handled_twice),
            "visible replies twice": len(self.visible_twice),
        }
        named = [
            f"  {what}: {story}"
            for what, stories in (("lost", self.lost), ("twice", self.visible_twice))
            for story in stories[:20]
        ]
        return [f"{what:<28}{count:>8,}" for what, count in rows.items()] + named


def account(sent: list[Sent], runs: Counter[str], messages: Counter[str]) -> Ledger:
    """Return the account; ``messages`` counts the customer-service messages of each user."""
    lost, twice = [], []
    for one in sent:
        reply = one.outcome is not None and one.outcome.reply is not None
        late = messages[one.user]
        # What a background handler returns comes beside the instant answer.
        visible = late + (reply if one.kind != "later" else 0)
        if one.acknowledged and (runs[one.name] == 0 or visible == 0):
            lost.append(f"{one.story()}, {late} later, {runs[one.name]} runs")
        if visible > 1:
            twice.append(f"{one.story()}, {late} later, {runs[one.name]} runs")
    return Ledger(
        sent=len(sent),
        acknowledged=sum(one.acknowledged for one in sent),
        given_up=[one.name for one in sent if not one.acknowledged],
        lost=lost,
        handled_twice=[one.name for one in sent if runs[one.name] > 1],
        visible_twice=twice,
    )


def customer_service_messages(redis_port: int) -> Counter[str]:
    """Return how many such messages wait for each user."""
    with Redis(port=redis_port) as client:
        entries: Any = client.xrange("{gateway}:lane:customer_service")
    jobs = (msgpack.unpackb(fields[b"e"], raw=True)[2] for _, fields in entries)
    return Counter(msgspec.json.decode(job)["touser"] for job in jobs)
