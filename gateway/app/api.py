"""WeChat's API for the settings' accounts: each with its tokens, all with one store of them."""

import time
from secrets import token_hex
from typing import NamedTuple

from gateway.adapters.wechat_api import Phases, WeChatTransport
from gateway.app.stores import make_budgets, make_token_store
from gateway.errors import SettingsError
from gateway.outbound.api import WeChatApi
from gateway.outbound.budgets import Rate
from gateway.outbound.counted import Calls, CountedSource
from gateway.outbound.credentials import Credentials, PlainToken, StableToken, Ticket
from gateway.outbound.endpoints.web import WebAuthorization
from gateway.outbound.limits import CallLimits
from gateway.outbound.pages import PageSigner
from gateway.outbound.tokens import Source, Tokens
from gateway.settings import Settings
from gateway.telemetry.metrics import Metrics


class AccountApi(NamedTuple):
    """The API of one account, and the tokens that it is called with."""

    api: WeChatApi
    tokens: Tokens
    tickets: Tokens
    """What web pages are signed with."""
    web: WebAuthorization
    """What users who sign in are exchanged for."""


class Apis:
    """The APIs of all accounts that have an AppSecret."""

    def __init__(self, settings: Settings, metrics: Metrics | None = None) -> None:
        """Without ``metrics`` no call is counted for anybody."""
        self._settings = settings
        self.metrics = metrics or Metrics()
        self.store = make_token_store(settings)
        self.budgets = make_budgets(settings)
        """The limits of calls, and of what is pushed."""
        self._transports: dict[str, WeChatTransport] = {}
        self._accounts: dict[str, AccountApi] = {}

    def of(self, name: str) -> AccountApi:
        """Return an account's, by its name; raise SettingsError where it has no AppSecret."""
        if name not in self._accounts:
            self._accounts[name] = self._make(name)
        return self._accounts[name]

    async def close(self) -> None:
        """Let go of connections and stores."""
        for account in self._accounts.values():
            await account.tickets.close()
            await account.tokens.close()
        for transport in self._transports.values():
            await transport.close()
        await self.store.close()
        await self.budgets.close()

    def _make(self, name: str) -> AccountApi:
        account = self._settings.accounts.get(name)
        if account is None:
            known = ", ".join(self._settings.accounts)
            raise SettingsError(f"accounts.{name}: there is none; there are: {known}")
        if account.app_secret is None:
            raise SettingsError(
                f"accounts.{name}.app_secret: missing; WeChat's API cannot be called without it"
            )
        transport = self._transport(account.api_url)
        credentials = Credentials(account.app_id, account.app_secret.get_secret_value())
        calls = Calls(self.metrics, name)
        bare = WeChatApi(transport, None, calls=calls)
        source: Source
        if account.token_source == "stable":  # noqa: S105  # which tokens, no token
            source = StableToken(bare, credentials, time.time)
        else:
            source = PlainToken(bare, credentials)
        source = CountedSource(source, self.metrics, name)
        tokens = Tokens(account.app_id, source, self.store, clock=time.time)
        rates = {path: Rate(*rate) for path, rate in account.rates.items()}
        limits = CallLimits(name, self.budgets, rates, clock=time.time)
        api = WeChatApi(transport, tokens, limits=limits, calls=calls)
        name = f"{account.app_id}:jsapi"
        tickets = Tokens(name, Ticket(api, "jsapi"), self.store, clock=time.time)
        web = WebAuthorization(WeChatApi(transport, None, limits=limits, calls=calls), credentials)
        return AccountApi(api, tokens, tickets, web)

    def page_signers(self) -> dict[str, PageSigner]:
        """Return what signs the pages of those accounts that have some, by name."""
        return {
            name: PageSigner(
                account.app_id,
                account.jssdk_hosts,
                self.of(name).tickets,
                clock=time.time,
                nonce=lambda: token_hex(8),
            )
            for name, account in self._settings.accounts.items()
            if account.jssdk_hosts
        }

    def _transport(self, url: str) -> WeChatTransport:
        if url not in self._transports:
            given = self._settings.api
            phases = Phases(given.connect_timeout, given.timeout)
            # A message that is being sent does not wait for a connection.
            connections = max(given.connections, self._settings.push.concurrency)
            self._transports[url] = WeChatTransport(url, phases, connections=connections)
        return self._transports[url]
