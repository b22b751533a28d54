"""What a right reply to a virtual user's message is."""

from typing import Literal, NamedTuple

from bench.load.account import ACCOUNT_ID
from bench.stress.messages import SENDER, Message
from gateway.kernels import extract
from gateway.simulator.platform import open_reply

FaultKind = Literal["no answer", "status", "wrong", "unreadable", "differs"]
"""What can be wrong: nothing came in time; not a 200; not what its sender is due; not sealed or
signed right; a redelivery answered with other bytes than the message was."""


class Fault(NamedTuple):
    """What is not right about a reply."""

    kind: FaultKind
    why: str


def fault_of(sent: Message, body: bytes, before: bytes | None = None) -> Fault | None:
    """Judge the body of a 200; ``before`` is what the message was answered with already."""
    if before is not None and body != before:
        return Fault("differs", f"{body[:80]!r} after {before[:80]!r}")
    if sent.echo is None or body in (b"", b"success"):
        why = "" if sent.echo is None and body == b"success" else f"{body[:80]!r} to {sent.kind}"
        return Fault("wrong", why) if why else None
    try:
        fields = extract(open_reply(SENDER, extract(body)))
    except ValueError as error:
        return Fault("unreadable", f"{error} in {body[:80]!r}")
    due = {
        "ToUserName": sent.openid,
        "FromUserName": ACCOUNT_ID,
        "MsgType": "text",
        "Content": sent.echo,
    }
    wrong = [
        f"{name} is {fields.get(name)!r} and not {value!r}"
        for name, value in due.items()
        if fields.get(name) != value
    ]
    return Fault("wrong", "; ".join(wrong)) if wrong else None
