"""The demo's tour: what WeChat would send, what is answered, what is pushed, and its receipt."""

import asyncio
import time
from functools import partial
from typing import Final

import aiohttp

from gateway.app.stores import make_job_records
from gateway.cli.push.shown import has_ended
from gateway.cli.push.stores import closing
from gateway.cli.sending import fresh_callback, make_sender
from gateway.cli.show import show_outcome, show_pushed, show_sent
from gateway.outbound.jobs import Record, Wanted
from gateway.outbound.ports import JobRecords
from gateway.settings import Settings
from gateway.simulator.api.world import Account
from gateway.simulator.documents import MESSAGES, USER, Document, event, message
from gateway.simulator.platform import Platform

_LOOK_SECONDS: Final = 0.02
_PUSH_SECONDS: Final = 5.0
"""How long the tour waits for the receipt of what was pushed."""


async def take_tour(
    settings: Settings, session: aiohttp.ClientSession, url: str, wechat: Account | None
) -> None:
    """Send the account ``demo`` some callbacks, and show what comes back.

    ``wechat`` is the platform's side of it; None where nothing can be pushed.
    """
    began = time.time()
    sender = make_sender(settings, "demo")
    platform = Platform(session, sender, url)
    for document in _documents(settings.accounts["demo"].original_id or ""):
        show_sent(document, sender.mode)
        show_outcome(await platform.deliver(partial(fresh_callback, sender, document)))
    if wechat is not None:
        await _show_pushed(settings, wechat, began)


def _documents(to: str) -> list[Document]:
    now = int(time.time())
    msg_id = time.time_ns() // 1000
    return [
        message("text", MESSAGES["text"], to=to, sender=USER, now=now, msg_id=msg_id),
        message("image", MESSAGES["image"], to=to, sender=USER, now=now, msg_id=msg_id + 1),
        event("CLICK", "V1001", to=to, sender=USER, now=now),
        event("subscribe", "1001", to=to, sender=USER, now=now),
    ]


async def _show_pushed(settings: Settings, wechat: Account, began: float) -> None:
    """Show what the user received, and what the store says of it once the receipt is there."""
    async with closing(make_job_records(settings)) as records:
        record = await _pushed(records, Wanted(account="demo", to=USER, since=began))
    if record is not None:
        received = [one for one in wechat.ledger.of(USER) if one.client_msg_id == record.id]
        show_pushed(record, received[0].body if received else None)


async def _pushed(records: JobRecords, wanted: Wanted) -> Record | None:
    """Return the message that was pushed, once it has ended; None where there is none."""
    until = time.monotonic() + _PUSH_SECONDS
    while found := await records.find(wanted, 1):
        if has_ended(found[0]) or time.monotonic() > until:
            return found[0]
        await asyncio.sleep(_LOOK_SECONDS)
    return None
