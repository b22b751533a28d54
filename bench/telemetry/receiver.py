"""`python -m bench.telemetry.receiver PORT`: takes what is exported by OTLP over HTTP, drops it."""

import sys

from aiohttp import web

from bench.load.generator import HOST


async def _take(request: web.Request) -> web.Response:
    await request.read()
    return web.Response(body=b"", content_type="application/x-protobuf")


def main(port: int) -> None:
    """Serve until terminated."""
    app = web.Application(client_max_size=1 << 26)
    app.router.add_post("/v1/traces", _take)
    app.router.add_post("/v1/metrics", _take)
    web.run_app(app, host=HOST, port=port, print=None, access_log=None)


if __name__ == "__main__":
    main(int(sys.argv[1]))
