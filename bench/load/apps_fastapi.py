"""wechatpy on FastAPI, written as its documentation shows it: the comparison's other side."""

from fastapi import FastAPI, Request, Response
from wechatpy import create_reply, parse_message
from wechatpy.crypto import WeChatCrypto
from wechatpy.exceptions import (
    InvalidAppIdException,
    InvalidSignatureException,
)

from bench.load.account import APP_ID, CALLBACK_PATH, ENCODING_AES_KEY, READY_PATH, TOKEN

app = FastAPI(openapi_url=None)
crypto = WeChatCrypto(TOKEN, ENCODING_AES_KEY, APP_ID)


@app.post(CALLBACK_PATH)
async def callback(request: Request, msg_signature: str, timestamp: str, nonce: str) -> Response:
    """Verify and open a callback, answer a text with its echo, seal the answer."""
    body = await request.body()
    try:
        document = crypto.decrypt_message(body, msg_signature, timestamp, nonce)
    except (InvalidSignatureException, InvalidAppIdException):
        return Response(status_code=403)
    message = parse_message(document)
    if message.type != "text":
        return Response("success")
    reply = create_reply("echo: " + message.content, message)
    sealed = crypto.encrypt_message(reply.render(), nonce, timestamp)
    return Response(sealed, media_type="application/xml")


@app.get(READY_PATH)
async def ready() -> Response:
    """Say that callbacks are taken."""
    return Response("ready")
