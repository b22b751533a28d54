"""Background handling: a stored message is given to its handler, what it returns to its user."""

import time
from collections.abc import Mapping

from gateway.inbound.claims import LEASE_SECONDS, Claim, Entry, Finish, Release, State
from gateway.inbound.commit import GroupCommit
from gateway.inbound.consumer import Later, Never
from gateway.inbound.context import Context
from gateway.inbound.ingest import Ingest
from gateway.inbound.ports import Taken
from gateway.inbound.stored import StoredMessage, store_reply, stored_message
from gateway.protocol.account import Account
from gateway.protocol.callback import SUCCESS
from gateway.telemetry.tap import TAP, Happening
from gateway.telemetry.tracing import CONSUMER, current_origin, origin_of, span, trace_id_of


class Background:
    """Handles the entries of the background lane."""

    def __init__(
        self,
        ingest: Ingest,
        accounts: Mapping[str, Account],
        commit: GroupCommit,
        owner: bytes,
    ) -> None:
        self._ingest = ingest
        self._accounts = accounts
        self._commit = commit
        self._owner = owner

    async def handle(self, taken: Taken) -> tuple[Entry, ...]:
        """Run the handler of a stored message; return the reply's entry.

        Raises Later where somebody still handles it, and Never where it cannot be handled here.
        """
        entry = taken.entry
        account = self._accounts.get(entry.account)
        if account is None:
            raise Never(f"account: the settings have none called {entry.account}")
        try:
            stored = stored_message(entry)
        except ValueError:
            raise Never(
                "unreadable: the entry holds no message; was the gateway changed?"
            ) from None
        if stored.late:
            return await self._resume(account, stored, taken)
        return await self._run(account, stored, taken)

    async def _run(
        self, account: Account, stored: StoredMessage, taken: Taken
    ) -> tuple[Entry, ...]:
        with span("process background", CONSUMER, origin=origin_of(stored.origin)):
            return await self._answer(account, stored, taken)

    async def _answer(
        self, account: Account, stored: StoredMessage, taken: Taken
    ) -> tuple[Entry, ...]:
        context = Context(
            account,
            stored.raw_query,
            trace_id=trace_id_of(stored.origin),
            attempt=taken.deliveries,
            key=stored.key,
        )
        message, began = stored.message, time.monotonic()
        reply = await self._ingest.answer(self._ingest.find(message), message, context)
        if TAP.is_open:
            took, id_ = time.monotonic() - began, stored.key.hex()
            user, kind = message.from_user_name, type(message).__name__
            TAP.tell(Happening("handled", account.name, kind, user, id_, "ok", took))
        if not stored.with_reply:
            return ()
        return store_reply(context, message, reply, current_origin())

    async def _resume(
        self, account: Account, stored: StoredMessage, taken: Taken
    ) -> tuple[Entry, ...]:
        """Handle a message whose inline handler died behind WeChat's last try."""
        claim = Claim(stored.key, self._owner, reply=SUCCESS, resume=True)
        outcome = await self._commit.submit(claim)
        if outcome.state is State.IN_FLIGHT:
            raise Later(2 * LEASE_SECONDS)
        if outcome.state is State.DONE:
            return ()
        try:
            late = await self._run(account, stored, taken)
        except BaseException:
            self._commit.post(Release(stored.key, self._owner))
            raise
        await self._commit.submit(Finish(stored.key, self._owner, SUCCESS, late, resumed=True))
        return ()
