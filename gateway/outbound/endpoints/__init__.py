"""WeChat's endpoints as methods, grouped as its documentation has them (PROTOCOL 7).

What is not here is called by its path: ``await api.call("POST", "/cgi-bin/…", json=…)``.
"""

from typing import Any, Protocol

Answer = dict[str, Any]


class Caller(Protocol):
    """Calls endpoints: an account's WeChatApi."""

    async def call(
        self,
        method: str,
        path: str,
        *,
        json: Any = None,
        query: Any = None,
        file: Any = None,
        repeatable: bool | None = None,
    ) -> Answer:
        """Call an endpoint and return its answer; raise ApiError."""


def given(**values: Any) -> dict[str, Any]:
    """Return the values that are not None."""
    return {name: value for name, value in values.items() if value is not None}
