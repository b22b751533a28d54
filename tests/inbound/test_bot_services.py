"""What a bot may use while it runs in a gateway: pushing, and WeChat's API."""

import asyncio
from pathlib import Path

import pytest

from gateway import Bot, BotError
from gateway.api import Users
from gateway.app.process import Process
from gateway.errors import SettingsError
from gateway.settings import load_settings
from tests.outbound.desk import APP_ID, SECRET, USER, desk

SETTINGS = """\
[accounts.main]
app_id = "{app_id}"
app_secret = "{secret}"
token = "sometoken"
mode = "plain"
api_url = "{url}"

[accounts.silent]
app_id = "wx0000000000000002"
token = "sometoken"
mode = "plain"

[store]
url = "{store}"
"""


def test_a_bot_that_is_not_served_has_neither() -> None:
    bot = Bot()
    with pytest.raises(BotError, match=r"bot\.push: nothing can be pushed"):
        _ = bot.push
    with pytest.raises(BotError, match=r"bot\.api: there is none"):
        bot.api("main")


@pytest.mark.parametrize("store", ["sqlite:///{}/gateway.db", "memory://"])
def test_a_bot_and_those_it_includes_call_wechat_and_push(tmp_path: Path, store: str) -> None:
    bot, inner, innermost = Bot(), Bot(), Bot()
    inner.include(innermost)
    bot.include(inner)

    async def scenario() -> None:
        async with desk() as at:
            config = tmp_path / "gateway.toml"
            where = store.format(tmp_path)
            config.write_text(
                SETTINGS.format(app_id=APP_ID, secret=SECRET, url=at.url, store=where)
            )
            process = Process(load_settings(config), bot, concurrency=0, sends=0)
            await process.start()
            try:
                api = innermost.api("main")
                assert await api.call("GET", "/cgi-bin/getcallbackip")
                assert (await Users(api).info(USER)).open_id == USER
                with pytest.raises(SettingsError, match=r"accounts\.silent\.app_secret: missing"):
                    bot.api("silent")
                with pytest.raises(SettingsError, match=r"accounts\.gone: there is none"):
                    bot.api("gone")
                if where == "memory://":
                    # What is pushed must not be lost.
                    with pytest.raises(BotError, match="memory://"):
                        _ = innermost.push
                else:
                    text = {"msgtype": "text", "text": {"content": "你好"}}
                    assert await innermost.push.custom("main", USER, text)
            finally:
                await process.stop()

    asyncio.run(scenario())
