"""Late replies become customer-service messages, each once: over real SQLite files."""

import asyncio
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import pytest

from gateway import Article, NewsReply, Reply, TextReply
from gateway.errors import StoreDown
from gateway.inbound.claims import Entry
from gateway.inbound.late_replies import ANSWER_SECONDS, LateReplies
from gateway.inbound.ports import Wanted
from gateway.inbound.stored import CUSTOMER_SERVICE, store_reply
from gateway.outbound.jobs import Added, Ask, Channel, Held, Job, Priority, State
from gateway.outbound.push import Push
from gateway.outbound.requests import PushRequest
from gateway.protocol.decode import decode
from tests.inbound.driving import TRACE, make_context
from tests.inbound.pushed import Pushed, pushed
from tests.inbound.whole import play
from tests.outbound.pool import user
from tests.support import text_document

MESSAGE: Final = decode(text_document(FromUserName=user(1)))


async def reply(one: Pushed, said: Reply | str = "at last", account: str = "main") -> None:
    """Store a reply that came too late."""
    given = TextReply(said) if isinstance(said, str) else said
    (entry,) = store_reply(make_context(), MESSAGE, given)
    await one.store_entry(entry._replace(account=account))


async def hand_over(one: Pushed) -> int:
    """Hand over the replies that are due; return how many those were."""
    return await one.take(CUSTOMER_SERVICE, LateReplies(one.push).hand_over)


async def held(one: Pushed) -> list[Held]:
    """Return the messages as a worker gets them."""
    await one.queue.beat("worker", 3600)
    return await one.queue.claim("worker", [Ask("main", Channel.CUSTOM, 100, 100)], 100)


def test_a_late_reply_is_queued_for_its_user_ahead_of_others(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with pushed(tmp_path) as one:
            await reply(one)
            assert await hand_over(one) == 1
            assert await one.waiting(CUSTOMER_SERVICE) == 0
            (record,) = await one.messages()
            assert (record.channel, record.to) == (Channel.CUSTOM, user(1))
            assert (record.state, record.priority) == (State.QUEUED, Priority.HIGH)
            assert record.expires_at == one.now + ANSWER_SECONDS
            (job,) = await held(one)
            said = {"touser": user(1), "msgtype": "text", "text": {"content": "at last"}}
            assert json.loads(job.body) == said
            # It is part of the trace of the message that it answers.
            assert (job.trace, record.trace_id) == (TRACE, TRACE)

    play(scenario)


def test_an_article_stays_one(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with pushed(tmp_path) as one:
            await reply(one, NewsReply([Article("新闻", "今天", url="https://example.com")]))
            await hand_over(one)
            (job,) = await held(one)
            assert json.loads(job.body)["msgtype"] == "news"

    play(scenario)


def test_a_reply_that_was_handed_over_and_not_taken_out_is_one_message(tmp_path: Path) -> None:
    """Its process died in between: another one takes the entry once the lease is over."""

    async def scenario() -> None:
        async with pushed(tmp_path) as one:
            await reply(one)
            with pytest.raises(asyncio.CancelledError):
                await one.take(CUSTOMER_SERVICE, LateReplies(Dies(one.push)).hand_over)
            one.now += 60
            assert await hand_over(one) == 1
            assert len(await one.messages()) == 1
            assert await one.waiting(CUSTOMER_SERVICE) == 0

    play(scenario)


class Dies:
    """Stores what it is given, and dies of it."""

    def __init__(self, push: Push) -> None:
        self._push = push

    def make(self, request: PushRequest) -> Job:
        """Return the job of a request."""
        return self._push.make(request)

    async def store(self, jobs: Sequence[Job]) -> list[Added]:
        """Store jobs, and die."""
        await self._push.store(jobs)
        raise asyncio.CancelledError


def test_two_replies_of_the_same_words_are_two_messages(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with pushed(tmp_path) as one:
            for _ in range(2):
                await reply(one, "the same")
            assert await hand_over(one) == 2
            assert len(await one.messages()) == 2

    play(scenario)


def test_what_cannot_be_queued_is_a_dead_letter_and_holds_up_no_other(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with pushed(tmp_path) as one:
            await reply(one, account="bare")
            await one.store_entry(Entry(CUSTOMER_SERVICE, "main", "text", b"[]"))
            await one.store_entry(Entry(CUSTOMER_SERVICE, "main", "text", b"{}"))
            await reply(one)
            assert await hand_over(one) == 4
            letters = await one.dead.find(Wanted(), 10)
            assert sorted(letter.reason for letter in letters) == [
                "refused: account: there is none called bare; there are: main",
                "refused: to: no open id; it is of letters, digits, - and _, such as oUser…",
                "unreadable",
            ]
            assert len(await one.messages()) == 1

    play(scenario)


def test_a_reply_that_waited_longer_than_wechat_takes_it_is_a_dead_letter(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with pushed(tmp_path) as one:
            await reply(one)
            one.now += ANSWER_SECONDS
            await hand_over(one)
            assert await one.messages() == []
            (letter,) = await one.dead.find(Wanted(), 10)
            assert letter.reason.startswith("refused: expires_at: is past")

    play(scenario)


def test_while_the_queue_is_down_replies_stay(tmp_path: Path) -> None:
    class Down(Dies):
        async def store(self, jobs: Sequence[Job]) -> list[Added]:
            raise StoreDown(f"no Postgres for {len(jobs)}")

    async def scenario() -> None:
        async with pushed(tmp_path) as one:
            await reply(one)
            with pytest.raises(StoreDown):
                await one.take(CUSTOMER_SERVICE, LateReplies(Down(one.push)).hand_over)
            assert await one.waiting(CUSTOMER_SERVICE) == 1

    play(scenario)
