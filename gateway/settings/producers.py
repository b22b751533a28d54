"""Who may send events in, beside WeChat: one ``[producers.NAME]`` section each."""

from collections.abc import Mapping
from typing import Final

from pydantic import Field, SecretStr, field_validator, model_validator

from gateway.protocol.cloudevents import MAX_TYPE, is_produced
from gateway.settings.sections import Section
from gateway.settings.webhooks import check_secret

REPLAY_SECONDS: Final = 600
"""How long a signed request can come again: Standard Webhooks takes timestamps that are up to five
minutes off, either way."""

_CONTENT_TYPES: Final[Mapping[str, str]] = {
    "application/json": "generic/json",
    "application/x-transfer+json": "command/transfer",
}


class ProducerSettings(Section):
    """A service that may POST events to /events, signed as Standard Webhooks 1.0 has it."""

    secret: SecretStr
    """What it signs with: whsec_ and 24 to 64 bytes in base64, known to both sides."""
    previous_secret: SecretStr | None = None
    """The secret before a rotation that is under way: what is signed with it is still taken."""

    @field_validator("secret", "previous_secret")
    @classmethod
    def _check_secret(cls, secret: SecretStr | None) -> SecretStr | None:
        return check_secret(secret)

    @model_validator(mode="after")
    def _check_together(self) -> "ProducerSettings":
        if self.previous_secret == self.secret:
            raise ValueError("previous_secret is the same as secret; remove it")
        return self


class EventsSettings(Section):
    """What is taken at /events, from whoever [producers] names."""

    max_body: int = Field(default=262_144, ge=1024, le=1 << 20)
    """Bytes of an event's body; a longer one is answered 413."""
    content_types: Mapping[str, str] = _CONTENT_TYPES
    """The type of an event that has no X-Message-Type, by its Content-Type; unknown/plain where
    that is not here. What you give stands in place of these. A type is FAMILY/NAME."""

    @field_validator("content_types")
    @classmethod
    def _check_types(cls, types: Mapping[str, str]) -> Mapping[str, str]:
        for content_type, type_ in types.items():
            if not is_produced(type_):
                raise ValueError(
                    f"{content_type} has no type such as command/transfer: FAMILY/NAME, up to "
                    f"{MAX_TYPE} letters, digits, and - or _"
                )
        return {content_type.lower(): type_ for content_type, type_ in types.items()}
