"""How the simulator's doings look in a terminal."""

from typing import Any

from rich.console import Console
from rich.markup import escape

from gateway.outbound.jobs import Record
from gateway.protocol.account import Mode
from gateway.simulator.documents import Document
from gateway.simulator.platform import Attempt, Outcome

_console = Console(highlight=False, soft_wrap=True)

_COMMON = ("ToUserName", "FromUserName", "CreateTime", "MsgType", "Event", "MsgId")


def show_sent(document: Document, mode: Mode) -> None:
    """Print what goes out."""
    kind = document.get("Event") or document["MsgType"]
    own = {name: value for name, value in document.items() if name not in _COMMON}
    _console.print(f"[cyan]WeChat  ->[/] [bold]{escape(kind)}[/] {escape(_brief(own))} [dim]{mode}")


def show_outcome(outcome: Outcome, refusal_wanted: bool = False) -> None:
    """Print what came back for it, each try of it."""
    for attempt in outcome.attempts[:-1]:
        show_attempt(attempt, "tried again")
    last = outcome.attempts[-1]
    if refusal_wanted:
        show_attempt(last, "refused, as it should be" if last.status == 403 else "NOT REFUSED")
    elif outcome.complaint:
        show_attempt(last, f"[red]该公众号暂时无法提供服务[/] ({escape(outcome.complaint)})")
    elif outcome.reply is None:
        show_attempt(last, "[dim]success, nothing is shown to the user")
    else:
        kind = str(outcome.reply.get("MsgType", ""))
        own = {name: value for name, value in outcome.reply.items() if name not in _COMMON}
        show_attempt(last, f"[bold]{escape(kind)}[/] {escape(_brief(own))}")


def show_attempt(attempt: Attempt, what: str) -> None:
    """Print one answer: status, time, meaning."""
    status = attempt.error or str(attempt.status)
    took = f"{attempt.seconds * 1000:.1f} ms"
    _console.print(f"[green]gateway ->[/] {escape(status)} {what} [dim]{took}")


def show_pushed(record: Record, body: dict[str, Any] | None) -> None:
    """Print what a user received of a pushed message, and how it ended."""
    if body is not None:
        values = {name: field["value"] for name, field in body["data"].items()}
        said = f"[bold]{escape(record.template)}[/] {escape(_brief(values))}"
        _console.print(f"[green]gateway ->[/] pushed {said} [dim]by {record.channel}")
    told = escape(f"{record.state}: {record.reason}" if record.reason else record.state)
    if record.receipt_at is None:
        _console.print(f"[cyan]WeChat  ->[/] no receipt yet; message {record.id} is {told}")
        return
    took = f"{record.receipt_at - record.created_at:.1f} s"
    _console.print(f"[cyan]WeChat  ->[/] receipt: [bold]{told}[/] [dim]message {record.id}, {took}")


def _brief(fields: dict[str, Any]) -> str:
    if set(fields) == {"Content"}:
        return str(fields["Content"])
    return " ".join(f"{name}={_value(value)}" for name, value in fields.items())


def _value(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + _brief(value) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(_value(item) for item in value) + "]"
    return str(value)
