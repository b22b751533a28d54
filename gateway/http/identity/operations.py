"""What may be done with sessions, apps and people: each operation with what it takes and tells."""

from typing import Any, Final

from gateway.http.api.keys import Scope
from gateway.http.api.operations import Operation, json_content
from gateway.http.api.problems import problem_example
from gateway.http.identity import bodies, views
from gateway.http.identity.by_code import PhoneView

_PERSON: Final = "01a216f2-d3f1-76fa-a9f3-a24dc0f00e6c"
_FORMER: Final = "01a216f1-08a2-7d0e-8a11-5c1f0b6d2e90"
_OPEN_ID: Final = "oMizJHN4WQBCxRunEx3T0RsE0K8y"
_UNION_ID: Final = "o6_bmasdasdsad6_2sgVt7hMZOPfL"
_AT: Final = "2026-11-26T08:14:48Z"

_SESSION: Final[dict[str, Any]] = {
    "person": _PERSON,
    "account": "main",
    "tenant": "main",
    "app_id": "wx1234567890abcdef",
    "open_id": _OPEN_ID,
    "union_id": _UNION_ID,
    "nickname": "小明🎈",
    "roles": ["staff"],
    "permissions": ["orders:read"],
    "began_at": _AT,
    "expires_at": "2026-11-26T10:14:48Z",
    "ends_at": "2026-12-26T08:14:48Z",
}
_TOKEN: Final = {"token": "eyJhbGciOiJIUzI1NiIsImtpZCI6IjNjNTUyYTFi…", "session": _SESSION}
_ENTRIES: Final = [
    {
        "handle": "d5644f451ca9005f",
        "account": "main",
        "began_at": _AT,
        "seen_at": _AT,
        "expires_at": "2026-11-26T10:14:48Z",
        "current": True,
    }
]
_WHO: Final[dict[str, Any]] = {
    "id": _PERSON,
    "union_id": _UNION_ID,
    "created_at": _AT,
    "last_active": _AT,
    "identities": [
        {
            "account": "main",
            "app_id": "wx1234567890abcdef",
            "open_id": _OPEN_ID,
            "platform": "official_account",
            "subscribed": True,
            "subscribed_at": _AT,
            "nickname": "小明🎈",
            "avatar": "https://thirdwx.qlogo.cn/mmopen/0",
            "first_seen": _AT,
            "last_active": _AT,
        }
    ],
    "tags": ["vip"],
    "roles": ["staff"],
    "consents": [
        {"app_id": "wx1234567890abcdef", "template_id": "T1", "accepted": True, "at": _AT}
    ],
    "former_ids": [_FORMER],
}
_MERGES: Final = [
    {
        "number": 1,
        "at": _AT,
        "app_id": "wx1234567890abcdef",
        "former": _FORMER,
        "person": _PERSON,
        "whole": True,
    }
]

_NOT_SIGNED_IN: Final = {401: problem_example(401, "not signed in")}
_NOBODY: Final = {404: problem_example(404, "nobody is known by this")}
_CODE: Final = {
    400: problem_example(400, "code: WeChat does not take it, or not again; get another one"),
    403: problem_example(403, "WeChat does not let this user sign in"),
    404: problem_example(404, "no mini_program of this name has an app_secret"),
    503: problem_example(503, "WeChat does not answer at the moment; try again"),
}
_CHANGES: Final = json_content({"add": ["staff"]}, bodies.Changes)

SESSIONS: Final = (
    Operation(
        *("get", "/session", None, "Who is signed in"),
        200,
        json_content(_SESSION, views.SessionView),
        said=_NOT_SIGNED_IN,
        by_session=True,
    ),
    Operation(
        *("delete", "/session", None, "Sign out"),
        *(204, None),
        said=_NOT_SIGNED_IN,
        by_session=True,
    ),
    Operation(
        *("post", "/session/renew", None, "A new token for an old one"),
        200,
        json_content(_TOKEN, views.TokenView),
        (409,),
        "One that came in a cookie goes back in one, and the status is 204; so it is in the very "
        "second in which a token was made.",
        said={**_NOT_SIGNED_IN, 409: problem_example(409, "at its end; sign in again")},
        by_session=True,
    ),
    Operation(
        *("get", "/sessions", None, "All sessions of who is signed in"),
        200,
        json_content(_ENTRIES, list[views.SessionEntry]),
        said=_NOT_SIGNED_IN,
        by_session=True,
    ),
    Operation(
        *("delete", "/sessions", None, "Sign out everywhere"),
        *(204, None),
        said=_NOT_SIGNED_IN,
        by_session=True,
    ),
    Operation(
        *("delete", "/sessions/{handle}", None, "Sign out elsewhere"),
        *(204, None, (404,)),
        said={**_NOT_SIGNED_IN, 404: problem_example(404, "you have no session of this handle")},
        by_session=True,
    ),
)
"""What users do with their own sessions. /session/verify is for proxies: docs/identity.md."""

BY_CODE: Final = (
    *(
        Operation(
            *("post", path, None, summary),
            200,
            json_content(_TOKEN, views.TokenView),
            (400, 403, 404, 408, 422),
            "Whoever brings a code again within a minute gets the same session.",
            bodies=(json_content({"code": "013Nlf100…"}, bodies.Code),),
            said=_CODE,
        )
        for path, summary in (
            ("/miniprogram/{account}/login", "Sign in by the code of wx.login"),
            ("/app/{account}/login", "Sign in by the code of WeChat's SDK in a mobile app"),
        )
    ),
    Operation(
        *("post", "/miniprogram/{account}/phone", None, "A phone number, for a code"),
        200,
        json_content({"number": "13800000000", "pure": "13800000000", "country": "86"}, PhoneView),
        (400, 404, 408, 422),
        bodies=(json_content({"code": "e31968a7f94cc5ee…"}, bodies.Code),),
        said={**_CODE, 401: problem_example(401, "not signed in to this account")},
        by_session=True,
    ),
)
"""What apps do that bring a code."""

PEOPLE: Final = (
    Operation(
        *("get", "/identities/{id}", Scope.READ_PEOPLE, "Somebody, by their id"),
        200,
        json_content(_WHO, views.PersonView),
        (404,),
        "Or by one that was theirs before a merge. A key for some accounts sees what they are to "
        "those.",
        said=_NOBODY,
    ),
    Operation(
        *("post", "/identities/find", Scope.READ_PEOPLE, "Somebody, by an open id or union id"),
        200,
        json_content(_WHO, views.PersonView),
        (400, 404, 408, 422),
        "In the body, for URLs end up in logs.",
        bodies=(json_content({"account": "main", "open_id": _OPEN_ID}, bodies.Find),),
        said=_NOBODY,
    ),
    Operation(
        *("get", "/identities/merges", Scope.READ_PEOPLE, "Who turned out to be somebody else"),
        200,
        json_content(_MERGES, list[views.MergeView]),
        (422,),
        "Oldest first; after is the number of the last one seen. For keys of all accounts.",
        query=bodies.MergesQuery,
    ),
    Operation(
        *("get", "/identities/{id}/sessions", Scope.READ_PEOPLE, "Somebody's sessions"),
        200,
        json_content(_ENTRIES, list[views.SessionEntry]),
        (404,),
        said=_NOBODY,
    ),
    Operation(
        *("delete", "/identities/{id}/sessions", Scope.MANAGE_PEOPLE, "End somebody's sessions"),
        200,
        json_content({"ended": 2}, bodies.Ended),
        (404,),
        said=_NOBODY,
    ),
    *(
        Operation(
            *("post", f"/identities/{{id}}/{what}", Scope.MANAGE_PEOPLE, summary),
            200,
            json_content(_WHO, views.PersonView),
            (400, 404, 408, 422),
            more,
            bodies=(_CHANGES,),
            said=_NOBODY,
        )
        for what, summary, more in (
            (
                "roles",
                "Grant roles, and take them back",
                "Sessions follow. For keys of all accounts.",
            ),
            ("tags", "Add tags, and remove some", "For keys of all accounts."),
        )
    ),
    Operation(
        *("post", "/identities/{id}/profile", Scope.MANAGE_PEOPLE, "Name and picture anew"),
        200,
        json_content(_WHO, views.PersonView),
        (400, 404, 408, 409, 422),
        "WeChat is asked, with the token that their sign-in left.",
        bodies=(json_content({"account": "main"}, bodies.InAccount),),
        said={
            **_NOBODY,
            409: problem_example(409, "no token of theirs holds; they have to sign in again"),
        },
    ),
)
"""What services do with people."""
