"""The bot that is named on the command line, looked up and imported."""

import sys
from importlib import import_module
from pathlib import Path
from typing import Final

from gateway.errors import BotError
from gateway.inbound.bot import Bot

DEMO_BOT: Final = "gateway.demo:bot"


def load_bot(target: str) -> Bot:
    """Return the bot that ``MODULE:NAME`` names, looked up from the working directory too.

    Raises BotError where there is none. What the module itself raises passes through.
    """
    module_name, _, name = target.partition(":")
    if module_name.endswith(".py"):
        dotted = module_name.removesuffix(".py").replace("/", ".")
        raise BotError(f"{target}: name the module, not its file: {dotted}:{name or 'bot'}")
    if not module_name or not name:
        raise BotError(f"{target}: name a bot as MODULE:BOT, such as shop.bot:bot")
    here = str(Path.cwd())
    if "" not in sys.path and here not in sys.path:
        sys.path.insert(0, here)
    try:
        module = import_module(module_name)
    except ModuleNotFoundError as missing:
        if missing.name is not None and (module_name + ".").startswith(missing.name + "."):
            raise BotError(
                f"{target}: there is no module {missing.name} here; run in the folder it is in"
            ) from None
        raise
    bot = getattr(module, name, None)
    if not isinstance(bot, Bot):
        found = [key for key, value in vars(module).items() if isinstance(value, Bot)]
        hint = f"it has: {', '.join(found)}" if found else "it has none: write bot = Bot()"
        raise BotError(f"{target}: {module_name} has no Bot called {name}; {hint}")
    return bot
