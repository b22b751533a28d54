"""The demo bot: what `gateway serve` answers with when it is given no bot of yours."""

import re
from contextlib import suppress
from html import escape
from typing import Any

from litestar import MediaType, Request, get

from gateway import (
    Article,
    Bot,
    BotError,
    Click,
    Context,
    Event,
    Image,
    ImageReply,
    Message,
    PushRefused,
    Scan,
    Subscribe,
    Text,
)
from gateway.web import Session

bot = Bot()


@bot.on(Text, content="帮助")
async def show_help(message: Text) -> str:
    """Answer one exact text."""
    return "发送任意文字，我会原样返回；发送「订单 123」查询订单。\nSend any text and I echo it."


@bot.on(Text, content=re.compile(r"^订单\s*(\d+)$"))
async def show_order(message: Text, number: str) -> str:
    """Answer a pattern; its group arrives as an argument."""
    return f"订单 {number} 正在路上 (order {number} is on its way)"


@bot.on(Text)
async def echo(message: Text) -> str:
    """Answer any other text with itself."""
    return message.content


@bot.on(Image)
async def echo_image(message: Image) -> ImageReply:
    """Answer a picture with the same picture."""
    return ImageReply(message.media_id)


@bot.on(Subscribe)
async def welcome(message: Subscribe, context: Context) -> str:
    """Greet a new follower, and push a template message; tell where a QR code says they are from.

    The reply is in time whatever becomes of the message: that one is queued, and sent behind it.
    """
    # The same for each delivery of the event: the message goes out once.
    key = f"welcome/{message.from_user_name}/{message.create_time}"
    with suppress(
        BotError, PushRefused
    ):  # An account need not have an app_secret, or the template.
        await bot.push.template(
            context.account.name,
            message.from_user_name,
            "welcome",
            {"since": message.create_time},
            idempotency_key=key,
        )
    source = "" if message.scene is None else f"（来自二维码 {message.scene}）"
    return f"欢迎关注{source}！(Welcome!)"


@bot.on(Scan)
async def greet(message: Scan) -> str:
    """Greet a follower who scanned a QR code."""
    return f"欢迎回来（来自二维码 {message.scene}）"


@bot.on(Click, key="V1001")
async def show_news(message: Click) -> list[Article]:
    """Answer a tap on a menu entry with an article."""
    return [
        Article("今日新闻", "菜单 V1001 的图文回复", url="https://example.com/news", pic_url="")
    ]


@bot.on(Event)
async def note(message: Event) -> None:
    """Take any other event without a reply."""


@bot.on(Message)
async def shrug(message: Message) -> str:
    """Answer anything else."""
    return "收到 (received)"


@get("/me", media_type=MediaType.HTML, sync_to_thread=False)
def show_me(request: Request[Session | None, Any, Any]) -> str:
    """Greet whoever is signed in: a page of one's own beside the bot."""
    user = request.user
    if user is None:
        return "<!doctype html><p>未登录 (not signed in)"
    name = escape(user.nickname or "朋友 (friend)")
    return f"<!doctype html><h1>你好，{name}</h1><p>person {user.person}, union id {user.union_id}"


bot.web(show_me)
