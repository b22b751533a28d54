"""All of the API's routes, below /push, and the document that describes them."""

import time
from collections.abc import Callable
from typing import NamedTuple

from litestar import Router

from gateway.http.api.asking import Bodies, asker
from gateway.http.api.batches import batch_route
from gateway.http.api.keys import Keys
from gateway.http.api.managing import Managing, managing_routes
from gateway.http.api.messages import Sending, sending_route
from gateway.http.api.problems import HANDLERS
from gateway.http.api.reading import Reading, reading_routes
from gateway.http.api.templates import Templating, template_routes
from gateway.outbound.batches import Pushes
from gateway.outbound.ports import JobRecords
from gateway.outbound.registry import Templates


class Parts(NamedTuple):
    """What the API is made of."""

    push: Pushes
    records: JobRecords
    templates: Templates
    keys: Keys
    max_body: int
    """Bytes of what is sent to /push/messages at once."""
    clock: Callable[[], float] = time.time


def push_router(parts: Parts) -> Router:
    """Return /push with all its routes."""
    ask, bodies = asker(parts.keys), Bodies()
    reading = Reading(parts.records)
    managing = Managing(parts.records, reading, parts.clock)
    sending = Sending(parts.push, parts.records)
    return Router(
        "/push",
        route_handlers=[
            sending_route(ask, sending, bodies, parts.max_body),
            batch_route(ask, parts.push),
            *reading_routes(ask, reading),
            *managing_routes(ask, managing, bodies),
            *template_routes(ask, Templating(parts.templates), bodies),
        ],
        exception_handlers=HANDLERS,
    )
