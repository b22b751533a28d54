"""GET /jssdk/{account}?url=: what a web page gives to ``wx.config``."""

from collections.abc import Mapping
from typing import Any

from litestar import MediaType, Request, Response, get
from litestar.handlers import HTTPRouteHandler

from gateway.errors import ApiError, StoreDown
from gateway.outbound.pages import PageRefused, PageSigner
from gateway.telemetry.logs import get_logger

_log = get_logger("gateway.jssdk")


def jssdk_route(signers: Mapping[str, PageSigner]) -> HTTPRouteHandler:
    """Return the route; ``signers`` are those of the accounts that have pages, by name."""

    @get("/jssdk/{account:str}", media_type=MediaType.JSON)
    async def jssdk(request: Request[Any, Any, Any]) -> Response[dict[str, Any]]:
        """Sign a page."""
        account: str = request.path_params["account"]
        signer = signers.get(account)
        if signer is None:
            return Response({"error": "no account of this name has jssdk_hosts"}, status_code=404)
        try:
            signed = await signer.sign(request.query_params.get("url", ""))
        except PageRefused as refused:
            return Response({"error": str(refused)}, status_code=403)
        except (ApiError, StoreDown) as wrong:
            _log.error("page not signed", account=account, error=str(wrong))
            error = "there is no ticket to sign with at the moment; try again"
            return Response({"error": error}, status_code=503, headers={"retry-after": "5"})
        return Response(
            {
                "appId": signed.app_id,
                "timestamp": signed.timestamp,
                "nonceStr": signed.nonce,
                "signature": signed.signature,
            },
            # The page is of another host than this, most often.
            headers={
                "access-control-allow-origin": signed.origin,
                "vary": "origin",
                "cache-control": "no-store",
            },
        )

    return jssdk
