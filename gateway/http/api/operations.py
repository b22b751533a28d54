"""What may be done with the API of pushing: each operation with what it takes and tells."""

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

import msgspec

from gateway.http.api import examples, views
from gateway.http.api.batches import BatchQuery
from gateway.http.api.filters import Action, Counted, Page
from gateway.http.api.keys import Scope
from gateway.http.api.templates import Preview
from gateway.outbound.requests import PushRequest
from gateway.outbound.templates import Rendered, TemplateFile

JSON: Final = "application/json"


class ManyMessages(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Up to 1,000 messages."""

    messages: tuple[PushRequest, ...]


class Content(NamedTuple):
    """What is sent or answered."""

    media_type: str
    types: tuple[type, ...]
    """One of these; none for text."""
    examples: dict[str, Any]


class Operation(NamedTuple):
    """What may be done with the API."""

    method: str
    path: str
    scope: Scope | None
    """What a key needs for it; None where no key is asked for."""
    summary: str
    status: int
    """Where nothing goes wrong."""
    told: Content | None
    """None where the status says all."""
    problems: tuple[int, ...] = ()
    """Statuses of what may go wrong, beside those of every operation."""
    more: str = ""
    query: Any = None
    """The struct that the query is read as."""
    bodies: tuple[Content, ...] = ()
    """What may be sent."""
    header: str = ""
    """A header that may be given."""
    said: Mapping[int, dict[str, Any]] = {}
    """Examples of problems that are not those of others, by status."""
    by_session: bool = False
    """Whether it is for who is signed in."""


def json_content(example: Any, *types: type) -> Content:
    """Return what is of one of these types, with an example."""
    return Content(JSON, types, {"example": example})


def _text(media_type: str, example: str) -> Content:
    return Content(media_type, (), {"example": example})


_MATCHING: Final = (
    "Acts on all that match and are there when it is asked; with dry_run they are counted only. A "
    "filter is required, or all = true."
)

OPERATIONS: Final = (
    Operation(
        *("post", "/push/messages", Scope.SEND, "Send a message, or up to 1,000"),
        202,
        Content(
            JSON,
            (views.Queued, views.Many),
            {"one": examples.QUEUED, "many": examples.MANY_TAKEN},
        ),
        (400, 408, 409, 413, 422),
        "Answers once they are stored durably. Of many, each is told of by itself, in their order: "
        "those that nothing is wrong with are queued, the others have errors; so look at each.",
        bodies=(
            Content(
                JSON, (PushRequest, ManyMessages), {"one": examples.ONE, "many": examples.MANY}
            ),
        ),
        header="Idempotency-Key",
    ),
    Operation(
        *("post", "/push/batches", Scope.SEND, "Send messages without number, a line each"),
        202,
        json_content(examples.BATCH_TAKEN, views.BatchTaken),
        (400, 408, 415, 422),
        "Lines are queued while they come in; GET /push/batches/{name} tells how far it is. A line "
        "without an idempotency_key has one of the batch's name and its number: a batch that broke "
        "off is sent again as it was, and nothing is queued twice. Without a Content-Length the "
        "last line has to end with a line feed.",
        query=BatchQuery,
        bodies=(
            _text("application/x-ndjson", examples.NDJSON),
            _text("text/csv", examples.CSV),
        ),
    ),
    Operation(
        *("get", "/push/batches/{name}", Scope.READ, "How many of a batch are in each state"),
        200,
        json_content(examples.BATCH_STANDS, views.BatchStands),
        (404,),
    ),
    Operation(
        *("get", "/push/messages", Scope.READ, "What became of messages, newest first"),
        200,
        json_content(examples.MESSAGES, views.Messages),
        (422,),
        query=Page,
    ),
    Operation(
        *("get", "/push/messages/{id}", Scope.READ, "What became of a message"),
        200,
        json_content(examples.MESSAGE, views.Message),
        (404,),
    ),
    Operation(
        *("get", "/push/dead-letters", Scope.READ, "Messages that a person decides about"),
        200,
        json_content(examples.MESSAGES, views.Messages),
        (422,),
        "Those that are dead, and those that are ambiguous: nobody knows whether they were sent.",
        query=Page,
    ),
    Operation(
        *("get", "/push/outcomes", Scope.READ, "Counts by day, template and state"),
        200,
        json_content(examples.OUTCOMES, views.Outcomes),
        (422,),
        query=Counted,
    ),
    Operation(
        *("get", "/push/backlog", Scope.READ, "What waits, by account and channel"),
        200,
        json_content(examples.BACKLOG, views.Backlog),
    ),
    Operation(
        *("post", "/push/messages/{id}/cancel", Scope.MANAGE, "Cancel a message that waits"),
        200,
        json_content(examples.MESSAGE, views.Message),
        (404, 409),
    ),
    Operation(
        *("post", "/push/messages/{id}/retry", Scope.MANAGE, "Send a message again"),
        200,
        json_content(examples.MESSAGE, views.Message),
        (404, 409),
        "One that was not sent: it is queued as if it were new.",
    ),
    *(
        Operation(
            *("post", path, Scope.MANAGE, summary),
            200,
            json_content(examples.ACTED, views.Acted),
            (400, 408, 422),
            _MATCHING,
            bodies=(json_content(examples.ACTION, Action),),
        )
        for path, summary in (
            ("/push/messages/cancel", "Cancel all messages that wait and match"),
            ("/push/dead-letters/retry", "Send all dead letters again that match"),
            ("/push/dead-letters/discard", "Remove all dead letters for good that match"),
        )
    ),
    Operation(
        *("get", "/push/templates", Scope.READ, "All templates of messages"),
        200,
        json_content(examples.TEMPLATES, views.TemplateList),
        more="Those of the folder push.templates, and those that were given over the API.",
    ),
    Operation(
        *("get", "/push/templates/{name}", Scope.READ, "A template as it is written"),
        200,
        json_content(examples.TEMPLATE_WRITTEN, TemplateFile),
        (404,),
        said=examples.TEMPLATE_PROBLEMS,
    ),
    Operation(
        *("put", "/push/templates/{name}", Scope.MANAGE, "Give a template, or change it"),
        200,
        json_content(examples.TEMPLATE, views.Template),
        (400, 408, 409, 413, 422),
        "Its name is of 1 to 64 small letters, digits, and . _ or -; one of the folder's stays as "
        "it is. What is queued already stays as it was rendered. Other processes of the gateway "
        "know the template within 5 seconds. Needs a key for all accounts, for a template is "
        "theirs.",
        bodies=(json_content(examples.TEMPLATE_WRITTEN, TemplateFile),),
        said=examples.TEMPLATE_PROBLEMS,
    ),
    Operation(
        *("delete", "/push/templates/{name}", Scope.MANAGE, "Remove a template"),
        204,
        None,
        (404, 409),
        "What is queued already is sent all the same. Needs a key for all accounts.",
        said=examples.TEMPLATE_PROBLEMS,
    ),
    Operation(
        *("post", "/push/templates/{name}/preview", Scope.READ, "What would be sent"),
        200,
        json_content(examples.RENDERED, Rendered),
        (400, 404, 408, 413, 422),
        "Nothing is queued.",
        bodies=(json_content(examples.PREVIEW, Preview),),
        said=examples.TEMPLATE_PROBLEMS | examples.PREVIEW_PROBLEMS,
    ),
)
"""All that may be done with messages."""
