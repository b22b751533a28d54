"""POST /events: what services inside the company send, signed as Standard Webhooks 1.0 has it.

Whoever cannot sign learns nothing; whoever can is told what to mend.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Final

from litestar import MediaType, Request, Response, post
from litestar.handlers import HTTPRouteHandler
from standardwebhooks import Webhook, WebhookVerificationError

from gateway.errors import Reason, StoreDown
from gateway.http.arrivals import trace_known
from gateway.http.patience import Patience, TooSlow
from gateway.http.refusals import Refusals
from gateway.inbound.producers import Acknowledged, Sent, WrongEvent
from gateway.telemetry.logs import get_logger
from gateway.telemetry.tracing import caller_of, current_origin, trace_id_of, traceparent_of

_log = get_logger("gateway.events")

BODY_SECONDS: Final = 10.0
"""How long a body may take to arrive."""

MAX_ID: Final = 256
"""Characters of a webhook-id."""

ID: Final = "webhook-id"
TIMESTAMP: Final = "webhook-timestamp"
SIGNATURE: Final = "webhook-signature"

Take = Callable[[Sent], Awaitable[Acknowledged]]


def events_route(
    take: Take,
    producers: Mapping[str, Sequence[str]],
    refusals: Refusals,
    *,
    max_body: int,
) -> HTTPRouteHandler:
    """Return the route; ``producers`` are the secrets (whsec_…) of each, by name."""
    verifiers = [
        (name, Webhook(secret)) for name, secrets in producers.items() for secret in secrets
    ]
    patience = Patience(BODY_SECONDS)

    @post("/events", media_type=MediaType.JSON, status_code=202, request_max_body_size=max_body)
    async def events(request: Request[Any, Any, Any]) -> Response[Any]:
        """Take one event."""
        try:
            body = await patience.wait(request.body())
        except TooSlow:
            return _nothing(408)
        producer = _producer(verifiers, body, request.headers)
        if producer is None:
            refusals.count("/events", Reason.SIGNATURE)
            return _nothing(401)
        trace_known()
        try:
            taken = await take(_sent(producer, body, request.headers))
        except WrongEvent as wrong:
            return Response({"error": str(wrong)}, status_code=400)
        except StoreDown as down:
            _log.error("event not taken", producer=producer, error=str(down))
            error = "nothing durable can take the event at the moment; send it again"
            return Response({"error": error}, status_code=503, headers={"retry-after": "1"})
        return Response(taken._asdict(), status_code=202)

    return events


def _nothing(status: int) -> Response[bytes]:
    return Response(b"", status_code=status, media_type=MediaType.TEXT)


def _producer(
    verifiers: Sequence[tuple[str, Webhook]], body: bytes, headers: Mapping[str, str]
) -> str | None:
    """Return who signed the body; None where nobody did."""
    signed = {name: headers.get(name, "") for name in (ID, TIMESTAMP, SIGNATURE)}
    for name, webhook in verifiers:
        try:
            webhook.verify(body, signed, json_parse=False)
        except (WebhookVerificationError, ValueError):
            # The library lets through what base64, UTF-8 and str.split say of garbage.
            continue
        return name
    return None


def _sent(producer: str, body: bytes, headers: Mapping[str, str]) -> Sent:
    """Return a verified request's parts; raise WrongEvent where its id is too long."""
    if len(headers[ID]) > MAX_ID:
        raise WrongEvent(f"{ID}: longer than {MAX_ID} characters; give a shorter one")
    origin, caller = current_origin(), caller_of(headers.get("traceparent"))
    return Sent(
        producer=producer,
        id=headers[ID],
        at=int(float(headers[TIMESTAMP])),
        message_type=headers.get("x-message-type", ""),
        content_type=headers.get("content-type", ""),
        body=body,
        trace_id=trace_id_of(origin) or (None if caller is None else caller.trace_id),
        traceparent=traceparent_of(origin),
    )
