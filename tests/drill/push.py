"""The drill of pushing, `python -m tests.drill.push`: sends under harm, then the account.

A simulated platform in this process answers a tenth of the calls wrongly, or not at all, after it
did what it was asked or before. Two workers, a gateway that takes receipts, Redis and Postgres are
killed meanwhile. What users received is in the platform's ledger.
"""

import argparse
import asyncio
import os
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Final

import aiohttp

from gateway.adapters.postgres_job_records import PostgresRecords
from gateway.adapters.postgres_queue import PostgresQueue
from gateway.cli.sending import fresh_callback
from gateway.errors import StoreDown
from gateway.outbound.jobs import Channel, Record, State, Wanted
from gateway.outbound.push import Push
from gateway.outbound.requests import JobMaker, PushRequest
from gateway.simulator.api.faults import ApiFault, Faults
from gateway.simulator.api.quotas import Quota, Quotas
from gateway.simulator.api.server import ApiServer
from gateway.simulator.api.tokens import AccountTokens
from gateway.simulator.api.world import Account, Receipt, World
from gateway.simulator.documents import event_of
from gateway.simulator.platform import Platform
from tests.e2e.server import Server, start, wait_until_ready
from tests.outbound.desk import SECRET, TEMPLATE
from tests.outbound.pool import DATA, SHIPPED
from tests.proxy import TcpProxy
from tests.services import postgres_server, redis_server
from tests.support import ACCOUNT_ID, AES_KEY, APP_ID, TOKEN, make_sender

SETTINGS: Final = """\
[accounts.main]
app_id = "{app_id}"
app_secret = "{secret}"
token = "{token}"
encoding_aes_key = "{key}"
api_url = "{url}"

[api]
connect_timeout = 0.5
timeout = 1.5

[push]
concurrency = {concurrency}
lease = 4
max_attempts = 100
retry_base = 0.1
retry_cap = 2

[store]
redis_url = "redis://127.0.0.1:{redis}/0"
postgres_dsn = "{postgres}"
"""

FAULTS: Final = {
    ApiFault.BUSY: 0.02,
    ApiFault.STATUS: 0.02,
    ApiFault.RESET_BEFORE: 0.02,
    ApiFault.RESET_AFTER: 0.02,
    ApiFault.HALF: 0.02,
}
"""A tenth of all calls; limits and tokens that die are harms of their own."""

LATENCY: Final = 0.1
"""Seconds that each call takes, so that there are always some under way."""

SETTLES: Final = 120.0
"""Seconds until nothing may wait any more."""

OVER: Final = (
    *(State.SENT, State.DELIVERED, State.FAILED, State.DEAD, State.AMBIGUOUS, State.EXPIRED),
)


@dataclass
class Outcome:
    """What became of every message."""

    pushed: int
    states: Counter[str]
    reasons: Counter[str]
    twice: list[str]
    """Jobs whose users received the message more than once."""
    claimed: list[str]
    """Jobs that are said to be sent, whose users received nothing."""
    denied: list[str]
    """Jobs that are said not to be sent, whose users received something."""
    unsure_and_received: int
    """Ambiguous ones that users have; the others do not."""
    lost: int
    """Messages that were stored, and that no job is kept of."""
    harms: Counter[str] = field(default_factory=Counter)

    @property
    def is_clean(self) -> bool:
        """Whether every job ended in one state, which is true, and no user got anything twice."""
        over = sum(self.states[state] for state in OVER)
        return (
            over == self.pushed
            and not self.lost
            and not (self.twice or self.claimed or self.denied)
        )

    def lines(self) -> list[str]:
        """Return it as text."""
        rows: dict[str, object] = {
            "pushed": self.pushed,
            **{f"  {state}": count for state, count in sorted(self.states.items())},
            "lost": self.lost,
            "received twice": len(self.twice),
            "said to be sent, and was not": len(self.claimed),
            "said not to be sent, and was": len(self.denied),
            "ambiguous, and was sent": self.unsure_and_received,
            **{f"  because {reason}": count for reason, count in self.reasons.most_common()},
        }
        return [f"{what:<44}{count:>8}" for what, count in rows.items()]


class PushWorld:
    """The platform, a gateway, two workers, Redis behind a proxy, Postgres."""

    def __init__(self, folder: Path, random: Random, *, concurrency: int) -> None:
        self._folder = folder
        self._random = random
        self._concurrency = concurrency
        self._stack = ExitStack()
        self._receipts: set[asyncio.Task[None]] = set()
        self.harms: Counter[str] = Counter()
        tokens = AccountTokens(time.time, lambda: os.urandom(64).hex())
        self.account = Account(APP_ID, SECRET, tokens, Quotas(time.time))
        self.account.templates[TEMPLATE.id] = TEMPLATE
        for path in ("template/send", "custom/send"):
            self.account.quotas.limits[f"/cgi-bin/message/{path}"] = Quota(10_000_000)
        self.faults = Faults(random.random)
        self._platform = ApiServer(World(time.time, [self.account], self._notify), self.faults)

    async def run(self, drill: Callable[[], Awaitable[Outcome]]) -> Outcome:
        """Start everything, drill, end everything."""
        async with self._platform.serving("127.0.0.1", 0) as port, aiohttp.ClientSession() as http:
            self._http = http
            try:
                await asyncio.to_thread(self._start, f"http://127.0.0.1:{port}")
                return await drill()
            except BaseException:
                print(*self.log_lines()[-100:], sep="\n")
                raise
            finally:
                for task in self._receipts:
                    task.cancel()
                await asyncio.to_thread(self._stack.close)

    def _start(self, url: str) -> None:
        enter = self._stack.enter_context
        self.redis = enter(redis_server(self._folder / "redis"))
        self.postgres = enter(postgres_server(self._folder / "postgres"))
        self._proxy = enter(TcpProxy(self.redis.port))
        settings = {
            "app_id": APP_ID,
            "secret": SECRET,
            "token": TOKEN,
            "key": AES_KEY,
            "url": url,
            "redis": self._proxy.port,
            "postgres": self.postgres.dsn,
        }
        self._workers_settings = SETTINGS.format(concurrency=self._concurrency, **settings)
        self._gateways_settings = SETTINGS.format(concurrency=0, **settings)
        migration = start("migrate", self._folder, self._gateways_settings)
        if migration.process.wait(30) != 0:
            raise RuntimeError(migration.log)
        self._servers: dict[str, Server] = {}
        self._stack.callback(self._kill_all)
        for name in ("gateway", "worker 1", "worker 2"):
            self._begin(name)
        for server in self._servers.values():
            wait_until_ready(server)

    def _begin(self, name: str, port: int = 0) -> Server:
        kind = name.partition(" ")[0]
        settings = self._workers_settings if kind == "worker" else self._gateways_settings
        folder = self._folder / name.replace(" ", "-")
        folder.mkdir(exist_ok=True)
        one = start("worker" if kind == "worker" else "rsgi", folder, settings, port)
        self._servers[name] = one
        return one

    def _kill_all(self) -> None:
        for server in self._servers.values():
            server.kill()

    def _notify(self, due: Receipt) -> None:
        task = asyncio.create_task(self._bring(due))
        self._receipts.add(task)
        task.add_done_callback(self._receipts.discard)

    async def _bring(self, due: Receipt) -> None:
        """Send a receipt as WeChat does: soon, three tries."""
        await asyncio.sleep(self._random.uniform(0.0, 0.3))
        sender = make_sender()
        document = event_of(
            due.event, due.fields, to=ACCOUNT_ID, sender=due.open_id, now=int(time.time())
        )
        for _ in range(3):
            url = f"{self._servers['gateway'].url}/wechat/main"
            told = await Platform(self._http, sender, url).deliver(
                lambda: fresh_callback(sender, document), tries=1
            )
            if told.attempts[0].status == 200:
                return
            # WeChat does not try again at once.
            await asyncio.sleep(max(0.0, 1.0 - told.attempts[0].seconds))

    async def hurt(self, until: Callable[[], bool]) -> None:
        """Do one harm after another until that is so; mend each of them."""
        harms: list[tuple[str, Callable[[], Awaitable[None]]]] = [
            ("worker killed", self._kill_worker),
            ("worker stopped", self._stop_worker),
            ("gateway killed", self._kill_gateway),
            ("Redis killed", self._kill_redis),
            ("connections to Redis cut", self._cut),
            ("Postgres killed", self._kill_postgres),
            ("token killed", self._kill_token),
            ("worker hung", self._hang_worker),
        ]
        self._random.shuffle(harms)
        while not until():
            harms.append(harms.pop(0))
            what, harm = harms[-1]
            self.harms[what] += 1
            await harm()
            await asyncio.sleep(self._random.uniform(0.2, 1.0))

    async def _kill_worker(self) -> None:
        name = self._random.choice(("worker 1", "worker 2"))
        await asyncio.to_thread(self._servers[name].kill)
        await asyncio.sleep(self._random.uniform(0, 0.5))
        await asyncio.to_thread(wait_until_ready, self._begin(name))

    async def _stop_worker(self) -> None:
        name = self._random.choice(("worker 1", "worker 2"))
        await asyncio.to_thread(self._servers[name].stop)
        await asyncio.to_thread(wait_until_ready, self._begin(name))

    async def _hang_worker(self) -> None:
        """Let a worker stand still for longer than it holds its jobs, and then go on."""
        name = self._random.choice(("worker 1", "worker 2"))
        pid = self._servers[name].process.pid
        os.kill(pid, 19)
        await asyncio.sleep(self._random.uniform(4.5, 6.0))
        os.kill(pid, 18)

    async def _kill_gateway(self) -> None:
        killed = self._servers["gateway"]
        await asyncio.to_thread(killed.kill)
        await asyncio.to_thread(wait_until_ready, self._begin("gateway", killed.port))

    async def _kill_redis(self) -> None:
        self.redis.kill()
        await asyncio.sleep(self._random.uniform(0.2, 2))
        await asyncio.to_thread(self.redis.start)

    async def _cut(self) -> None:
        self._proxy.cut()
        await asyncio.sleep(self._random.uniform(0.1, 1))
        self._proxy.mend()

    async def _kill_postgres(self) -> None:
        await asyncio.to_thread(self.postgres.kill)
        await asyncio.sleep(self._random.uniform(0.2, 1))
        await asyncio.to_thread(self.postgres.start)

    async def _kill_token(self) -> None:
        self.account.tokens.kill()

    def log_lines(self) -> list[str]:
        """Return what the gateway and the workers wrote."""
        return [line for server in self._servers.values() for line in server.log.splitlines()]


def _user(number: int) -> str:
    return f"oUser{number:024d}"


async def _push_all(world: PushWorld, sends: int, seconds: float) -> list[str]:
    """Store the messages over some seconds, again where the store was down; return their ids."""
    queue = PostgresQueue(world.postgres.dsn, timeout=5)
    push = Push(JobMaker(["main"], {SHIPPED.name: SHIPPED}), queue)
    ids: list[str] = []
    batch = max(1, sends // 100)
    try:
        for first in range(0, sends, batch):
            numbers = range(first, min(sends, first + batch))
            ids += await _store(push, numbers)
            await asyncio.sleep(seconds * batch / sends)
    finally:
        await queue.close()
    return ids


async def _store(push: Push, numbers: range) -> list[str]:
    while True:
        # Made anew each time, and known by their keys: stored once all the same.
        jobs = [push.make(_request(number)) for number in numbers]
        try:
            return [one.id for one in await push.store(jobs)]
        except StoreDown:
            await asyncio.sleep(0.1)


def _request(number: int) -> PushRequest:
    if number % 4 == 3:
        text = {"msgtype": "text", "text": {"content": f"你好 {number}"}}
        return PushRequest(to=_user(number), custom=text, idempotency_key=f"drill/{number}")
    return PushRequest(
        to=_user(number),
        template=SHIPPED.name,
        data=DATA,
        idempotency_key=f"drill/{number}",
    )


async def _settle(world: PushWorld, seconds: float) -> list[Record]:
    """Wait until every job is over; return them all."""
    records = PostgresRecords(world.postgres.dsn, timeout=10)
    until = time.monotonic() + seconds
    try:
        waiting = Wanted(states=(State.QUEUED, State.SENDING))
        while await records.count(waiting) and time.monotonic() < until:
            await asyncio.sleep(0.2)
        # Receipts that came before their messages' answers were stored.
        template = Wanted(states=(State.SENT,), channel=Channel.TEMPLATE)
        until = time.monotonic() + 10
        while await records.count(template) and time.monotonic() < until:
            await asyncio.sleep(0.2)
        return await records.find(Wanted(), 10_000_000)
    finally:
        await records.close()


def _account(world: PushWorld, ids: list[str], jobs: list[Record]) -> Outcome:
    received = Counter(one.open_id for one in world.account.ledger.received)
    sent = (State.SENT, State.DELIVERED)
    kept = {one.id for one in jobs}
    return Outcome(
        pushed=len(ids),
        states=Counter(one.state for one in jobs),
        reasons=Counter(
            f"{one.channel} {one.state}: {one.reason}" for one in jobs if one.state not in sent
        ),
        twice=[_story(world, one) for one in jobs if received[one.to] > 1],
        claimed=[_story(world, one) for one in jobs if one.state in sent and not received[one.to]],
        denied=[
            _story(world, one)
            for one in jobs
            if one.state not in (*sent, State.AMBIGUOUS) and received[one.to]
        ],
        unsure_and_received=sum(
            one.state is State.AMBIGUOUS and received[one.to] > 0 for one in jobs
        ),
        lost=len(set(ids) - kept),
        harms=world.harms,
    )


def _story(world: PushWorld, job: Record) -> str:
    """Return what happened to a job, by both sides."""
    got = [f"{one.at:.3f}" for one in world.account.ledger.of(job.to)]
    tried = [f"{a.at:.3f}+{a.seconds:.3f} {a.outcome}: {a.reason}" for a in job.attempts]
    return f"{job.id} {job.channel} {job.state}; received at {got}; attempts {tried}"


async def drill(
    folder: Path, sends: int, seconds: float, seed: int, *, concurrency: int = 16
) -> Outcome:
    """Push so many messages over so many seconds, under harm; return what became of each."""
    world = PushWorld(folder, Random(seed), concurrency=concurrency)

    async def run() -> Outcome:
        for number in range(3, sends, 4):
            user = world.account.user(_user(number))
            assert user is not None
            user.wrote_at, user.answers_left = time.time(), 5
        world.faults.rates, world.faults.latency = FAULTS, LATENCY
        pushing = asyncio.create_task(_push_all(world, sends, seconds))
        await world.hurt(pushing.done)
        ids = await pushing
        world.faults.rates = {}
        outcome = _account(world, ids, await _settle(world, SETTLES))
        if not outcome.is_clean:
            stories = [*outcome.twice, *outcome.claimed, *outcome.denied]
            print(*world.log_lines()[-100:], *stories[:50], sep="\n")
        return outcome

    return await world.run(run)


def main() -> int:
    """Run the drill; return 0 where every job ended in one true state, else 1."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.drill.push",
        description="Push messages while workers, a gateway, Redis and Postgres are killed.",
        epilog="example: python -m tests.drill.push --sends 20000 --seconds 120 --seed 7",
    )
    parser.add_argument("--sends", type=int, default=20_000, help="messages (default: 20,000)")
    parser.add_argument("--seconds", type=float, default=120, help="to store them (default: 120)")
    parser.add_argument("--seed", type=int, help="of what is hurt when; a new one by default")
    options = parser.parse_args()
    seed = options.seed if options.seed is not None else random.SystemRandom().getrandbits(32)
    with tempfile.TemporaryDirectory(prefix="drill-") as folder:
        outcome = asyncio.run(drill(Path(folder), options.sends, options.seconds, seed))
    for what, count in sorted(outcome.harms.items()):
        print(f"{what:<44}{count:>8,}")
    print(*outcome.lines(), f"seed {seed}", sep="\n")
    return 0 if outcome.is_clean else 1


if __name__ == "__main__":
    sys.exit(main())
