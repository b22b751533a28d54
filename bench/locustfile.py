"""Virtual users that call a gateway as WeChat does, for locust.

    locust -f bench/locustfile.py --headless --profile smoke --host http://127.0.0.1:8000

The server must run `bench.load.bots:echo` for the account of `bench/load/account.py`;
`python -m bench.stress PROFILE` starts one, and both sides on cores of their own.

Arrivals are an open model: a user has a turn each second, at times that no answer moves, and sends
its message whether or not those before it were answered. So what is called coordinated omission is
left out of nothing: where the server stalls, all that falls due meanwhile is sent, and waits. It is
what locust's ``constant_throughput(1)`` is for; that one, though, holds a turn back until the one
before it is answered, and lets all users of a step call in the same instant. Latencies recorded are
counted from when a turn was due, locust's own, in its HTML report, from sending.
"""

import json
import random
import time
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import gevent  # type: ignore[import-untyped]  # it carries no types
from gevent.pool import Group  # type: ignore[import-untyped]  # the same
from geventhttpclient.client import HTTPClientPool
from locust import FastHttpUser, LoadTestShape, events, task
from locust.argument_parser import LocustArgumentParser
from locust.env import Environment

from bench.stress.messages import Followers, Message, deliver
from bench.stress.mix import BURST, BURSTS, REDELIVERED
from bench.stress.profiles import DEFAULT, MOST_RATE, MOST_SECONDS, PROFILES, Profile
from bench.stress.record import Record, Try
from bench.stress.replies import Fault, fault_of
from gateway.simulator.platform import TIMEOUT, TRIES

PERIOD: Final = 1.0
"""Seconds between two turns of a user, so that there are as many users as messages a second."""

CONNECTIONS: Final = 512
"""Kept alive by all users together; a delivery for which none is free waits, and that counts."""

STOP_SECONDS: Final = TRIES * TIMEOUT + 1
"""What messages under way may take behind the last turn, until they count as unfinished."""

_random: Final = random.Random()  # noqa: S311  # no secret, and no two runs send the same
_followers: Final = Followers(_random, int(time.time() * 1000) << 10)


def _profile(environment: Environment) -> Profile:
    """Return the course that the options ask for."""
    options: Any = environment.parsed_options
    profile = PROFILES[options.profile or DEFAULT]
    return profile.scaled(options.seconds, options.rate)


class _Run:
    """What belongs to a run, and is renewed with each that locust's web page starts."""

    record = Record(1)
    under_way: Any = Group()


class Account(FastHttpUser):
    """A share of an account's followers: each second one of them has something to say."""

    # Shared, so that a burst finds connections which the others have opened.
    client_pool = HTTPClientPool(concurrency=CONNECTIONS)

    def on_start(self) -> None:
        """Take a place of its own within the second: locust starts a whole step at once."""
        self._due = time.perf_counter() + _random.random() * PERIOD
        gevent.sleep(self._due - time.perf_counter())

    def wait_time(self) -> float:
        """Return the seconds until the next turn is due."""
        self._due += PERIOD
        return max(0.0, self._due - time.perf_counter())

    @task
    def turn(self) -> None:
        """Send a message, or now and then a broadcast's burst; wait for no answer."""
        _Run.record.lagged(1e3 * (time.perf_counter() - self._due))
        now = int(time.time())
        # On their own, for locust ends users in the middle of whatever they do.
        if _random.random() >= BURSTS:
            _Run.under_way.spawn(self._converse, _followers.one(now), self._due)
            return
        _Run.under_way.spawn(self._converse, _followers.broadcast_over(now), self._due)
        for _ in range(BURST):
            _Run.under_way.spawn(self._converse, _followers.text(now), self._due)

    def _converse(self, message: Message, due: float) -> None:
        """Deliver a message until it is answered, and now and then once more."""
        answer: bytes | None = None
        tried: Try = "first"
        for _ in range(TRIES):
            answer = self._deliver(message, tried, due)
            if answer is not None:
                break
            tried, due = "retry", time.perf_counter()
        if answer is not None and _random.random() < REDELIVERED:
            self._deliver(message, "redelivery", time.perf_counter(), answer)

    def _deliver(
        self, message: Message, tried: Try, due: float, before: bytes | None = None
    ) -> bytes | None:
        """Return the body of a 200, or None where there was none in time, or another status."""
        delivery = deliver(message, int(time.time()), _random)
        name = message.kind if tried == "first" else tried
        # The whole of it, and not each wait for bytes, which is what the client could limit.
        with gevent.Timeout(TIMEOUT):
            answer = self.client.post(
                delivery.target,
                # Typed for text, but it passes bytes on as they are.
                data=delivery.body,  # type: ignore[arg-type]
                headers=delivery.headers,
                name=name,
                catch_response=True,
            )
        with answer as response:
            latency = 1e3 * (time.perf_counter() - due)
            status, body = response.status_code, response.content
            fault = _fault(message, status, body, before, getattr(response, "error", None))
            if fault is not None:
                # By its kind alone: the report has a line for each distinct text.
                response.failure(fault.kind)
        _Run.record.delivered(name, tried, latency, fault)
        return body if status == 200 else None


def _fault(
    message: Message, status: int, body: bytes | None, before: bytes | None, error: Any
) -> Fault | None:
    if status == 0 or body is None:
        return Fault("no answer", repr(error))
    if status != 200:
        return Fault("status", f"{status}: {body[:80]!r}")
    return fault_of(message, body, before)


class Course(LoadTestShape):
    """The load over time: that of the profile, of which there is always one."""

    def tick(self) -> tuple[int, float] | None:
        """Return how many users there are to be, and how many may start in a second."""
        assert self.runner is not None
        rate = _profile(self.runner.environment).rate_at(time.perf_counter() - self.start_time)
        return None if rate is None else (rate, rate)


def _add_options(parser: LocustArgumentParser) -> None:
    """Add this file's options to locust's; ``--profile`` is one of its own."""
    group = parser.add_argument_group("WeChat", f"--profile is one of: {', '.join(PROFILES)}")
    group.add_argument("--seconds", type=int, help="of the whole run (default: the profile's)")
    group.add_argument("--rate", type=int, help="messages per second at most (the same)")
    group.add_argument("--record", metavar="FILE", help="where the run's figures go, as JSON")


def _check_options(environment: Environment, **_: Any) -> None:
    options: Any = environment.parsed_options
    if (options.profile or DEFAULT) not in PROFILES:
        raise SystemExit(f"--profile {options.profile}: is none of {', '.join(PROFILES)}")
    profile = _profile(environment)
    if not 1 <= profile.seconds <= MOST_SECONDS or not 1 <= profile.rate <= MOST_RATE:
        raise SystemExit(f"--seconds: 1 to {MOST_SECONDS}; --rate: 1 to {MOST_RATE}")
    if urlsplit(environment.host or "").hostname not in {"127.0.0.1", "localhost"}:
        raise SystemExit("--host: http://127.0.0.1:PORT; only this machine is loaded")


def _begin(environment: Environment, **_: Any) -> None:
    _Run.record = Record(_profile(environment).seconds)
    _Run.under_way = Group()


def _end(environment: Environment, **_: Any) -> None:
    _Run.under_way.join(STOP_SECONDS)
    _Run.record.unfinished(len(_Run.under_way))
    _Run.under_way.kill()
    options: Any = environment.parsed_options
    if options.record:
        Path(options.record).write_text(json.dumps(_Run.record.result()), encoding="utf-8")


for _hook, _listener in (
    (events.init_command_line_parser, _add_options),
    (events.init, _check_options),
    (events.test_start, _begin),
    (events.test_stop, _end),
):
    _hook.add_listener(_listener)  # type: ignore[no-untyped-call]  # locust declares no types here
