"""The drill's load: messages at a steady rate, delivered as WeChat does, each one noted."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from random import Random
from typing import Final

import aiohttp

from gateway.cli.sending import fresh_callback
from gateway.simulator.platform import Attempt, Outcome, Platform
from tests.support import fresh_text, make_sender

KINDS: Final = {"inline": 54, "slow": 5, "later": 38, "poison": 3}
"""What is sent, in hundredths: answered at once, answered after 6 seconds, handled later, never."""


@dataclass
class Sent:
    """A message and what WeChat got for it."""

    name: str
    kind: str
    outcome: Outcome | None = None

    @property
    def content(self) -> str:
        """The text that names the handler, and this message."""
        return {
            "inline": f"sleep 0.01 {self.user}",
            "slow": f"sleep 6 {self.user}",
            "later": f"later {self.user}",
            "poison": f"later {self.user}",
        }[self.kind]

    @property
    def user(self) -> str:
        """Who sent it: one user a message, so that what they get can be told apart."""
        return self.name

    def story(self) -> str:
        """Return how its deliveries went: status, or what else, and seconds."""
        assert self.outcome is not None
        attempts = [f"{a.status or 'none'} {a.seconds:.1f}" for a in self.outcome.attempts]
        shown = "a reply" if self.outcome.reply is not None else "no reply"
        return f"{self.name}: {', '.join(attempts)}; {shown}"

    @property
    def is_acknowledged(self) -> bool:
        """Whether WeChat was told that it need not try again."""
        return self.outcome is not None and self.outcome.status == 200


@dataclass
class Load:
    """Sends at a rate that does not wait for answers."""

    rate: float
    """Messages a second."""
    random: Random
    urls: Callable[[], list[str]]
    kinds: dict[str, int] = field(default_factory=lambda: dict(KINDS))
    sent: list[Sent] = field(default_factory=list)

    async def run(self, seconds: float) -> None:
        """Send for so long; return when the last message was answered, or given up by WeChat."""
        connector = aiohttp.TCPConnector(limit=0)
        async with aiohttp.ClientSession(connector=connector) as session:
            under_way = []
            for number in range(int(seconds * self.rate)):
                (kind,) = self.random.choices([*self.kinds], [*self.kinds.values()])
                one = Sent(f"{kind}{number}", kind)
                self.sent.append(one)
                under_way.append(asyncio.create_task(self._deliver(session, one)))
                await asyncio.sleep(1 / self.rate)
            await asyncio.gather(*under_way)

    async def _deliver(self, session: aiohttp.ClientSession, one: Sent) -> None:
        sender = make_sender()
        document = fresh_text(one.content, FromUserName=one.user, CreateTime=int(time.time()))
        make = partial(fresh_callback, sender, document)
        attempts: list[Attempt] = []
        for _ in range(3):
            # A refused connection is the business of the proxy in front: it asks the other one.
            for url in self.urls():
                one.outcome = await Platform(session, sender, url).deliver(make, tries=1)
                if one.outcome.attempts[0].seconds > 0.5 or one.is_acknowledged:
                    break
            assert one.outcome is not None
            attempts += one.outcome.attempts
            if one.is_acknowledged:
                break
            # WeChat does not try again at once.
            await asyncio.sleep(max(0.0, 1.0 - one.outcome.attempts[0].seconds))
        assert one.outcome is not None
        one.outcome = Outcome(tuple(attempts), one.outcome.reply, one.outcome.complaint)
