"""What tests are written with: kernels by name, vectors, accounts, sealed callbacks."""

import json
import os
import time
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

import pytest

from gateway.kernels import EnvelopeCipher
from gateway.protocol.account import Account, Mode, decode_aes_key
from gateway.simulator.sealing import Sender

VECTORS: Final = Path(__file__).parent / "vectors"

AES_KEY: Final = "HgW04hLnanf7HQ9jpDJSJaFifAUmuZuprQVouvfJECa"
OTHER_AES_KEY: Final = "abcdefghijklmnopqrstuvwxyz0123456789ABCDEFG"
TOKEN: Final = "tokenForTests"
APP_ID: Final = "wx5f6b334cfc4155de"
ACCOUNT_ID: Final = "gh_590e78004b5c"
OPEN_ID: Final = "oMizJHN4WQBCxRunEx3T0RsE0K8y"
NOW: Final = 1_715_984_936
"""The tests' time, in Unix seconds."""

HAS_COMPILED: Final = find_spec("gateway.kernels._fields_c") is not None or "CI" in os.environ
"""Whether the compiled kernels are to be tested: where they were built, and always in CI."""

KERNELS: Final = {
    "gateway.protocol.callback": ("extract", "seal_signed", "text_of"),
    "gateway.protocol.dedupe": ("digest_of",),
    "gateway.protocol.envelope": ("open_signed", "sign"),
    "gateway.protocol.replies": ("write_reply",),
    "gateway.protocol.verify": ("signature_matches",),
    "gateway.telemetry.metrics": ("Tally",),
}
"""Where kernels are used, and which."""


@dataclass(frozen=True)
class Kernels:
    """One implementation of all kernels."""

    name: str
    EnvelopeCipher: type[EnvelopeCipher]
    extract: Any
    pad: Any
    unpad: Any
    sign: Any
    signature_matches: Any
    text_of: Any
    open_signed: Any
    seal_signed: Any
    write_reply: Any
    digest_of: Any
    Tally: Any


def load_kernels(name: str) -> Kernels:
    """Return the kernels called ``pure`` or ``compiled``; raise ImportError if not built."""
    suffix = {"pure": "py", "compiled": "c"}[name]
    digest, document, envelope, fields, padding, signature, signed, tally = (
        import_module(f"gateway.kernels._{kernel}_{suffix}")
        for kernel in (
            *("digest", "document", "envelope", "fields", "padding", "signature", "signed"),
            "tally",
        )
    )
    return Kernels(
        name,
        envelope.EnvelopeCipher,
        fields.extract,
        padding.pad,
        padding.unpad,
        signature.sign,
        signature.signature_matches,
        fields.text_of,
        signed.open_signed,
        signed.seal_signed,
        document.write_reply,
        digest.digest_of,
        tally.Tally,
    )


def use_kernels(monkeypatch: pytest.MonkeyPatch, name: str) -> Kernels:
    """Return the kernels called ``name``; the protocol uses the same for the test's time."""
    chosen = load_kernels(name)
    for module_name, kernels in KERNELS.items():
        module: Any = import_module(module_name)
        for kernel in kernels:
            monkeypatch.setattr(module, kernel, getattr(chosen, kernel))
    return chosen


@cache
def vectors(name: str) -> list[dict[str, Any]]:
    """Return a file of the vectors; a missing one fails the test run."""
    loaded: list[dict[str, Any]] = json.loads((VECTORS / name).read_text(encoding="utf-8"))
    return loaded


def outcome(function: Any, *arguments: Any) -> Any:
    """Return what a call gives, or the type and arguments of what it raises."""
    try:
        return function(*arguments)
    except Exception as error:
        return type(error), error.args


def make_account(kernels: Kernels | None = None, **changes: Any) -> Account:
    """Return an account in safe mode, whose timestamps are not checked, with changes."""
    cipher = EnvelopeCipher if kernels is None else kernels.EnvelopeCipher
    key = changes.pop("encoding_aes_key", AES_KEY)
    previous = changes.pop("previous_encoding_aes_key", None)
    given: dict[str, Any] = {
        "name": "main",
        "app_id": APP_ID,
        "mode": Mode.SAFE,
        "tokens": (TOKEN.encode(),),
        "ciphers": tuple(cipher(decode_aes_key(k)) for k in (key, previous) if k is not None),
        "timestamp_window": 0,
    }
    return Account(**(given | changes))


def make_sender(mode: Mode = Mode.SAFE, **changes: Any) -> Sender:
    """Return WeChat's side of the account that make_account gives."""
    given: dict[str, Any] = {
        "app_id": APP_ID,
        "token": TOKEN.encode(),
        "aes_key": decode_aes_key(AES_KEY),
        "mode": mode,
    }
    return Sender(**(given | changes))


def text_document(content: str = "你好", **changes: Any) -> dict[str, Any]:
    """Return a text message as a tree of WeChat's names."""
    return {
        "ToUserName": ACCOUNT_ID,
        "FromUserName": OPEN_ID,
        "CreateTime": NOW,
        "MsgType": "text",
        "Content": content,
        "MsgId": 24_000_000_000_000_101,
    } | changes


def fresh_text(content: str = "你好", **changes: Any) -> dict[str, Any]:
    """Return a text message that no gateway has seen yet."""
    return text_document(content, MsgId=time.time_ns()) | changes


def random_bytes() -> bytes:
    """Return 16 bytes for an envelope."""
    return os.urandom(16)
