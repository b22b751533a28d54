"""What can go wrong, as a tree.

GatewayError
├── SettingsError    the operator's settings are wrong; says which one and how to mend it
├── StoreDown        a store cannot be reached, or does not answer in time
├── BotError         the bot cannot be loaded, or a handler cannot be called as it is written
│   └── WrongReply   a handler returned what is no reply
├── TemplateWrong    a template cannot be read, or does not fit the data that it is given
├── PushRefused      a message is not queued, for something is wrong with it
│   └── KeyReused       another message has the same idempotency key
├── Refused          a callback is not WeChat's; carries the reason, never what was sent
└── ApiError         a call of WeChat's API failed
    ├── NotSent             it did not reach WeChat
    ├── Unanswered          it may have, and no answer came
    ├── TokenUnavailable    there is no token to call with
    ├── Limited             it was not called: a limit is used up for now
    └── Rejected            WeChat answered with an error code
        ├── TokenRejected       the token is dead
        ├── Busy                later, perhaps
        ├── Throttled           a limit is used up for now
        ├── UserRejected        never for this user
        ├── AccountRejected     not until an operator mends something
        ├── RequestRejected     never: the call is wrong
        └── UnknownErrcode      a code that is in no table
"""

from enum import StrEnum
from traceback import walk_tb
from typing import Final


class GatewayError(Exception):
    """The root of every error the gateway raises on purpose."""


class SettingsError(GatewayError):
    """The settings are wrong; each argument is one line that names a setting and its fix."""

    def __str__(self) -> str:
        return "\n".join(str(line) for line in self.args)


class StoreDown(GatewayError):
    """A store cannot be reached or does not answer; the message names it, and the fix."""


class BotError(GatewayError):
    """A bot or handler is wrong; the message names it and its fix."""


class WrongReply(BotError, TypeError):
    """A handler returned what is no reply; the message names the type, never the value."""


class TemplateWrong(GatewayError):
    """A template of messages is wrong, or its data; each argument is a line that names a field."""

    def __str__(self) -> str:
        return "\n".join(str(line) for line in self.args)


class PushRefused(GatewayError):
    """A message is not queued; each argument is a line that names a field and its fix."""

    def __str__(self) -> str:
        return "\n".join(str(line) for line in self.args)


class KeyReused(PushRefused):
    """Another message has the same idempotency key; ``id`` is that message's."""

    def __init__(self, id_: str) -> None:
        super().__init__(
            f"idempotency_key: message {id_} has it and says something else; give another key, or "
            "the same message"
        )
        self.id = id_


class Reason(StrEnum):
    """Why a callback was refused. Logged and counted; the sender never learns it."""

    QUERY = "query"
    """A query parameter is missing, repeated or too long."""
    TIMESTAMP = "timestamp"
    """The timestamp is no number, or outside the account's window."""
    SIGNATURE = "signature"
    """The signature is not the one of the account's token."""
    MODE = "mode"
    """The body is not of the form the account's mode asks for."""
    DOCUMENT = "document"
    """The body, or what was sealed in it, is neither sound XML nor a JSON object."""
    BASE64 = "base64"
    """Encrypt is not base64."""
    BLOCK = "block"
    """Encrypt holds no whole number of AES blocks."""
    PADDING = "padding"
    """The padding is wrong: most often, another EncodingAESKey."""
    LENGTH = "length"
    """The length field says more than there is."""
    APP_ID = "app_id"
    """It was sealed for another app id."""
    TO_USER_NAME = "to_user_name"
    """It is addressed to another account than the one pinned by original_id."""
    ACCOUNT = "account"
    """The path names none of the accounts."""
    SIZE = "size"
    """The body is longer than server.max_body."""
    REPLAY = "replay"
    """In plain mode: a request that came before, now with another body."""
    SLOW = "slow"
    """The body did not arrive in time."""


class Refused(GatewayError):
    """A callback is refused for ``reason``."""

    def __init__(self, reason: Reason) -> None:
        super().__init__(reason)
        self.reason = reason


class ApiError(GatewayError):
    """A call of WeChat's API failed; the message names its path, never its token or body."""


class NotSent(ApiError):
    """A call did not reach WeChat: nothing was done there."""


class Unanswered(ApiError):
    """A call may have reached WeChat, and no whole answer came: nobody knows if it was done."""


class TokenUnavailable(ApiError):
    """There is no token to call with; the message says why, and what to do."""


class Limited(ApiError):
    """A call was not made: a limit of the account's is used up; the message says for how long."""


class Rejected(ApiError):
    """WeChat answered with an error code."""

    def __init__(self, path: str, code: int, said: str, meaning: str, rid: str) -> None:
        super().__init__(path, code, said, meaning, rid)
        self.path = path
        self.code = code
        self.said = said
        """WeChat's own words."""
        self.meaning = meaning
        """What the code means; empty where it is not known."""
        self.rid = rid
        """WeChat's number of the request: POST /cgi-bin/openapi/rid/get explains it for 7 days."""

    def __str__(self) -> str:
        rid = f" (rid {self.rid})" if self.rid else ""
        return f"{self.path}: errcode {self.code}, {self.meaning or 'unknown'}: {self.said}{rid}"


class TokenRejected(Rejected):
    """The access token holds no more."""


class Busy(Rejected):
    """WeChat cannot do it now: the same call may succeed later."""


class Throttled(Rejected):
    """A limit of calls or of messages is used up for now."""


class UserRejected(Rejected):
    """It cannot be done for this user, now or later."""


class AccountRejected(Rejected):
    """The account is not set up for it: an operator has to mend something."""


class RequestRejected(Rejected):
    """The call itself is wrong: a bug, or data that the platform does not take."""


class UnknownErrcode(Rejected):
    """A code that is in no table."""


PLACES: Final = 5
"""Frames that place_of names, innermost first."""


def place_of(error: BaseException) -> str:
    """Return where an error was raised, and from where that was called, for a log line.

    Files and lines only, no values: those may be what a user wrote.
    """
    frames = [f"{frame.f_code.co_filename}:{line}" for frame, line in walk_tb(error.__traceback__)]
    return "<".join(reversed(frames[-PLACES:])) or "?"
