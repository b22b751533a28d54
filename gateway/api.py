"""WeChat's endpoints as methods, for bots: ``Users(bot.api("main"))``, ``Menu(bot.api("main"))``.

Whatever is not here is called by its path: ``await bot.api("main").call("POST", "/cgi-bin/…")``.
"""

from gateway.outbound.api import WeChatApi
from gateway.outbound.endpoints.console import Console, Menu, Templates
from gateway.outbound.endpoints.followers import Tags, UserInfo, Users
from gateway.outbound.endpoints.messages import Messages, Page
from gateway.outbound.multipart import File

__all__ = [
    "Console",
    "File",
    "Menu",
    "Messages",
    "Page",
    "Tags",
    "Templates",
    "UserInfo",
    "Users",
    "WeChatApi",
]
