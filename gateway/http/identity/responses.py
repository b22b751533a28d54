"""Responses without a body."""

from collections.abc import Mapping, Sequence

from litestar import MediaType, Response
from litestar.datastructures import Cookie

NO_STORE = {"cache-control": "no-store"}
"""For whatever tells who somebody is."""


def empty(
    status: int, headers: Mapping[str, str] | None = None, cookies: Sequence[Cookie] = ()
) -> Response[None]:
    """Return a response without a body, which nothing keeps."""
    return Response(
        None,
        status_code=status,
        media_type=MediaType.TEXT,
        headers={**NO_STORE, **(headers or {})},
        cookies=list(cookies),
    )
