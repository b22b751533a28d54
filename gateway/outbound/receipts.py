"""The events that tell what became of messages that were sent (PROTOCOL 6.2 and 6.3)."""

from typing import Final

from gateway.outbound.jobs import Channel, Receipt, State
from gateway.protocol.events import MassSendJobFinish, SubscribeMsgSent, TemplateSendJobFinish
from gateway.protocol.messages import Message

RECEIPTS: Final = (TemplateSendJobFinish, SubscribeMsgSent, MassSendJobFinish)


def receipts_of(account: str, message: Message, at: float) -> list[Receipt]:
    """Return what an event tells, of each message that it is about; ``at`` in Unix seconds."""
    match message:
        case TemplateSendJobFinish():
            state, reason = _result(message.status, message.status == "success")
            number = str(message.msg_id)
            user = message.from_user_name
            return [Receipt(account, Channel.TEMPLATE, user, number, "", state, reason, at)]
        case SubscribeMsgSent():
            return [
                Receipt(
                    account,
                    Channel.NOTICE,
                    message.from_user_name,
                    str(item.msg_id),
                    item.template_id,
                    *_result(f"{item.error_code} {item.error_status}", item.error_code == 0),
                    at,
                )
                for item in message.items
            ]
        case MassSendJobFinish():
            return [_mass(account, message, at)]
    return []


def _mass(account: str, message: MassSendJobFinish, at: float) -> Receipt:
    # Old accounts write it without the blank (PROTOCOL 6.2).
    is_sent = message.status.replace(" ", "") == "sendsuccess"
    state, reason = _result(message.status, is_sent)
    counted = f"{message.sent_count:,} of {message.filter_count:,} followers got it"
    reason = f"{reason}; {counted}" if reason else counted
    return Receipt(account, Channel.MASS, "", str(message.msg_id), "", state, reason, at)


def _result(status: str, is_delivered: bool) -> tuple[State, str]:
    if is_delivered:
        return State.DELIVERED, ""
    return State.FAILED, f"receipt: {status}"
