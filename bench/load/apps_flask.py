"""wechatpy on Flask, written as its documentation shows it."""

from flask import Flask, Response, request
from wechatpy import create_reply, parse_message
from wechatpy.crypto import WeChatCrypto
from wechatpy.exceptions import (
    InvalidAppIdException,
    InvalidSignatureException,
)

from bench.load.account import APP_ID, CALLBACK_PATH, ENCODING_AES_KEY, READY_PATH, TOKEN

app = Flask(__name__)
crypto = WeChatCrypto(TOKEN, ENCODING_AES_KEY, APP_ID)


@app.post(CALLBACK_PATH)
def callback() -> Response:
    """Verify and open a callback, answer a text with its echo, seal the answer."""
    query = request.args
    timestamp, nonce = query["timestamp"], query["nonce"]
    try:
        document = crypto.decrypt_message(
            request.get_data(), query["msg_signature"], timestamp, nonce
        )
    except (InvalidSignatureException, InvalidAppIdException):
        return Response(status=403)
    message = parse_message(document)
    if message.type != "text":
        return Response("success")
    reply = create_reply("echo: " + message.content, message)
    sealed = crypto.encrypt_message(reply.render(), nonce, timestamp)
    return Response(sealed, mimetype="application/xml")


@app.get(READY_PATH)
def ready() -> str:
    """Say that callbacks are taken."""
    return "ready"
