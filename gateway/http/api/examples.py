"""Examples of what is sent to the API and of what it answers: for its document."""

from http import HTTPStatus
from typing import Any, Final

_USER: Final = "oMizJHN4WQBCxRunEx3T0RsE0K8y"
_ID: Final = "019ac1f2-7f30-7c3e-9a51-3f1b6f0c2d11"
_OTHER_ID: Final = "019ac1f2-7f31-7a90-8d02-77c1f0b9e6a4"

ONE: Final[dict[str, Any]] = {
    "to": _USER,
    "template": "order-shipped",
    "data": {"goods": "巧克力", "fen": 3980},
    "idempotency_key": "order-20261126-0001",
}
MANY: Final[dict[str, Any]] = {
    "messages": [
        ONE,
        {"to": "?", "template": "order-shipped", "data": {"goods": "巧克力", "fen": 3980}},
        {"to": _USER, "custom": {"msgtype": "text", "text": {"content": "您好"}}},
    ]
}
NDJSON: Final = (
    f'{{"to": "{_USER}", "data": {{"goods": "巧克力", "fen": 3980}}}}\n'
    f'{{"to": "{_USER}", "data": {{"goods": "茶", "fen": 1200}}, "priority": "high"}}\n'
)
CSV: Final = f"to,goods,fen\n{_USER},巧克力,3980\n"
ACTION: Final[dict[str, Any]] = {
    "filter": {"template": "order-shipped", "reason": "busy"},
    "dry_run": True,
}

QUEUED: Final[dict[str, Any]] = {"id": _ID, "state": "queued", "is_new": True}
_TO_MEND: Final = {
    "field": "to",
    "detail": "no open id; it is of letters, digits, - and _, such as oUser…",
}
MANY_TAKEN: Final[dict[str, Any]] = {
    "queued": 2,
    "known": 0,
    "refused": 1,
    "messages": [QUEUED, {"errors": [_TO_MEND]}, QUEUED | {"id": _OTHER_ID}],
}
BATCH_TAKEN: Final[dict[str, Any]] = {
    "batch": "2026-11-26-shipped",
    "queued": 99_998,
    "known": 0,
    "refused": 2,
    "refused_lines": [
        {"line": 17, "errors": [_TO_MEND]},
        {
            "line": 4711,
            "errors": [
                {"field": "data.thing1", "detail": "has 21 characters, and WeChat takes 20"}
            ],
        },
    ],
    "more_refused": 0,
}
BATCH_STANDS: Final[dict[str, Any]] = {
    "batch": "2026-11-26-shipped",
    "messages": 99_998,
    "states": {"queued": 61_200, "sending": 64, "sent": 2_034, "delivered": 36_700},
}
MESSAGE: Final[dict[str, Any]] = {
    "id": _ID,
    "account": "main",
    "channel": "template",
    "template": "order-shipped",
    "to": _USER,
    "state": "delivered",
    "reason": "",
    "priority": "normal",
    "created_at": 1_795_660_000.125,
    "not_before": 1_795_660_000.125,
    "expires_at": None,
    "batch": None,
    "idempotency_key": "order-20261126-0001",
    "tries": 1,
    "attempts": [{"at": 1_795_660_000.25, "seconds": 0.061, "outcome": "sent", "reason": ""}],
    "message_id": "2400000000000000001",
    "ended_at": 1_795_660_000.311,
    "receipt_at": 1_795_660_001.0,
    "trace_id": "0af7651916cd43dd8448eb211c80319c",
}
MESSAGES: Final[dict[str, Any]] = {"messages": [MESSAGE], "next": _ID}
OUTCOMES: Final[dict[str, Any]] = {
    "outcomes": [
        {
            "day": "2026-11-26",
            "account": "main",
            "template": "order-shipped",
            "state": "delivered",
            "messages": 36_700,
        }
    ]
}
BACKLOG: Final[dict[str, Any]] = {
    "backlog": [
        {
            "account": "main",
            "channel": "template",
            "waiting": 61_200,
            "retrying": 12,
            "delayed": 0,
            "sending": 64,
            "oldest": 301.5,
        }
    ]
}
ACTED: Final[dict[str, Any]] = {"matched": 1200, "done": 0}

_PLATFORM_ID: Final = "ngqIpbwh8bUfcSsECmogfXcV14J0tQlEpBO27izEYtY"
TEMPLATE_WRITTEN: Final[dict[str, Any]] = {
    "template_id": _PLATFORM_ID,
    "fields": {
        "thing1": {
            "value": "{{ goods | truncate_to(20) }}",
            "optional": False,
            "skip_empty": False,
        },
        "amount2": {"value": "{{ fen | money }}", "optional": False, "skip_empty": False},
    },
    "channel": "template",
    "url": "https://shop.example/orders",
    "page": None,
    "variants": {},
}
TEMPLATE: Final[dict[str, Any]] = {
    "name": "order-paid",
    "channel": "template",
    "template_id": _PLATFORM_ID,
    "languages": ["zh_CN"],
    "fields": [
        {"name": "thing1", "kind": "thing", "limit": 20},
        {"name": "amount2", "kind": "amount", "limit": 16},
    ],
    "source": "api",
}
TEMPLATES: Final[dict[str, Any]] = {
    "templates": [TEMPLATE, TEMPLATE | {"name": "order-shipped", "source": "file"}]
}
PREVIEW: Final[dict[str, Any]] = {
    "data": {"goods": "巧克力", "fen": 3980},
    "language": "zh_CN",
}
RENDERED: Final[dict[str, Any]] = {
    "template_id": _PLATFORM_ID,
    "data": {"thing1": "巧克力", "amount2": "¥39.80"},
    "url": "https://shop.example/orders",
    "page": None,
}

_DETAILS: Final[dict[int, dict[str, Any]]] = {
    400: {"detail": "the body is not JSON in UTF-8: Input data was truncated"},
    401: {},
    403: {"errors": [{"field": "scope", "detail": "this key has not push:send"}]},
    404: {"detail": "there is no message of this id"},
    408: {"detail": "the body did not arrive in time"},
    409: {
        "errors": [
            {
                "field": "idempotency_key",
                "detail": f"message {_ID} has it and says something else; give another key, or the "
                "same message",
            }
        ],
        "id": _ID,
    },
    413: {"detail": "more than is taken at once; send fewer messages, or a batch"},
    415: {"detail": "Content-Type: give one of: application/x-ndjson, text/csv"},
    422: {"errors": [_TO_MEND]},
    503: {"detail": "the store is down at the moment; send it again"},
}


def _problems(details: dict[int, dict[str, Any]]) -> dict[int, dict[str, Any]]:
    return {
        status: {"title": HTTPStatus(status).phrase, "status": status, **members}
        for status, members in details.items()
    }


PROBLEMS: Final = _problems(_DETAILS)
"""What is told of each status of a request that fails."""

TEMPLATE_PROBLEMS: Final = _problems(
    {
        404: {"detail": "there is no template of this name"},
        409: {
            "detail": "the template is a file of push.templates; change that, or give another name"
        },
        413: {"detail": "give 65,536 bytes at most"},
        422: {
            "detail": "the template is not kept; mend it",
            "errors": [
                {"field": "template_id", "detail": "missing"},
                {"field": "fields.thing1.value", "detail": "Expected `str`, got `int`"},
            ],
        },
    }
)
PREVIEW_PROBLEMS: Final = _problems(
    {
        422: {
            "errors": [
                {
                    "field": "data.thing1",
                    "detail": "'goods' is undefined; give it with the data",
                }
            ]
        }
    }
)
