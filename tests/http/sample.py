"""A Litestar app that does by HTTP what the gateway's own routes do not yet: to test the bridge."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from litestar import Litestar, Request, get, post
from litestar.response import Stream

from gateway.http.callback import CallbackEndpoint
from gateway.http.refusals import Refusals
from gateway.http.rsgi import GatewayApp
from gateway.inbound.bot import Bot
from tests.inbound.driving import make_deliveries

events: list[str] = []


@asynccontextmanager
async def lifespan(_app: Litestar) -> AsyncIterator[None]:
    """Note when the app starts and stops."""
    events.append("started")
    yield
    print("lifespan ended", flush=True)  # noqa: T201 - the test reads the server's output


@get("/health/ready")
async def ready() -> list[str]:
    """Tell what happened so far."""
    return events


@post("/echo")
async def echo(request: Request[Any, Any, Any]) -> dict[str, Any]:
    """Tell what the app saw of the request."""
    return {
        "body": (await request.body()).decode(),
        "query": request.scope["query_string"].decode(),
        "header": request.headers.get("x-sent"),
        "path": request.scope["path"],
        "client": request.scope["client"][0] if request.scope["client"] else None,
        "scheme": request.scope["scheme"],
    }


@get("/path/{rest:path}")
async def show_path(rest: str) -> str:
    """Tell the decoded path."""
    return rest


@get("/stream")
async def stream() -> Stream:
    """Send five parts, one after the other."""

    async def parts() -> AsyncIterator[str]:
        for number in range(5):
            yield f"part {number};"
            await asyncio.sleep(0.02)

    return Stream(parts(), headers={"x-streamed": "yes"})


@get("/fail")
async def fail() -> None:
    """Raise."""
    raise RuntimeError("SECRET")


app = GatewayApp(
    Litestar(
        [ready, echo, show_path, stream, fail],
        lifespan=[lifespan],
        openapi_config=None,
        logging_config=None,
    ),
    CallbackEndpoint(
        {},
        make_deliveries(Bot()),
        Refusals(lambda: asyncio.get_running_loop().call_later),
        max_body=1000,
    ),
)
