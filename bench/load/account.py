"""The made-up account every measured server answers for."""

from base64 import b64decode
from typing import Final

APP_ID: Final = "wx5f1c9d0be7a34286"
ACCOUNT_ID: Final = "gh_7d2f9a4c1b3e"
"""The account's original id: ToUserName of what users send, FromUserName of the replies."""

TOKEN: Final = "bench7token"
ENCODING_AES_KEY: Final = "kq3Zs0XwTtq8Yv1RrA9eB2uJc4Mh6NfGdLp5oKiVxE0"
KEY: Final = b64decode(ENCODING_AES_KEY + "=")

CALLBACK_PATH: Final = "/wechat/main"
READY_PATH: Final = "/health/ready"
