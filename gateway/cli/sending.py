"""WeChat's side of an account in the settings; and callbacks made now, with fresh randomness."""

import os
import time

from gateway.protocol.account import decode_aes_key
from gateway.settings import Settings
from gateway.settings.sections import AccountSettings
from gateway.simulator.documents import Document
from gateway.simulator.sealing import Callback, Fault, Sender, make_callback


def make_sender(settings: Settings, account: str, as_json: bool = False) -> Sender:
    """Return WeChat's side of an account in the settings."""
    given = settings.accounts[account]
    key = _secret(given, "encoding_aes_key")
    return Sender(
        app_id=given.app_id,
        token=(_secret(given, "token") or "").encode(),
        aes_key=None if key is None else decode_aes_key(key),
        mode=given.mode,
        as_json=as_json,
    )


def receiver_of(settings: Settings, account: str) -> str:
    """Return the ToUserName of what is sent to an account."""
    return settings.accounts[account].original_id or "gh_simulated0001"


def _secret(given: AccountSettings, name: str) -> str | None:
    value = getattr(given, name)
    return None if value is None else str(value.get_secret_value())


def fresh_callback(sender: Sender, document: Document, fault: Fault | None = None) -> Callback:
    """Return a document's callback, signed and sealed at this moment."""
    return make_callback(
        sender,
        document,
        now=int(time.time()),
        nonce=fresh_number(),
        # WeChat's 16 random bytes are hex digits (PROTOCOL 2).
        random=os.urandom(8).hex().encode(),
        fault=fault,
    )


def fresh_number() -> str:
    """Return a number as WeChat's nonces and echostrs are."""
    return str(int.from_bytes(os.urandom(8), "big"))
