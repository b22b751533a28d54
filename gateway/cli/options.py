"""Options that several commands share."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import rich_click as click

from gateway.app.stores import MEMORY
from gateway.errors import SettingsError
from gateway.settings import Settings

_F = TypeVar("_F", bound=Callable[..., Any])


def config_option(function: _F) -> _F:
    """Add ``--config``: the settings file."""
    return click.option(
        "--config",
        type=click.Path(path_type=Path, dir_okay=False),
        metavar="FILE",
        help="The settings file; ./gateway.toml if there is one.",
    )(function)


def refuse_memory(settings: Settings) -> None:
    """Raise SettingsError where callbacks are kept in a process, which no command can look into."""
    if settings.store.url == MEMORY and settings.store.redis_url is None:
        raise SettingsError(
            "store.url: memory:// is within each process, and cannot be looked at from another"
        )


def pick_account(settings: Settings, wanted: str | None, url: str | None) -> str:
    """Return the name of the account meant: the one named, the one in the URL, or the only one."""
    # Apps that users sign in to have no callbacks.
    names = [name for name, one in settings.accounts.items() if one.token is not None]
    last = (url or "").partition("?")[0].rstrip("/").rpartition("/")[2]
    if wanted is None and last in names:
        wanted = last
    if wanted is None and len(names) == 1:
        wanted = names[0]
    if wanted not in names:
        raise SettingsError(f"which account? give --account, one of: {', '.join(names)}")
    return wanted


def callback_url(settings: Settings, account: str, port: int | None = None) -> str:
    """Return where this machine's gateway serves an account; ``port`` if not the settings' own."""
    host = settings.server.host
    if host in ("0.0.0.0", "::"):  # noqa: S104 - compared, not bound
        host = "127.0.0.1"
    shown = f"[{host}]" if ":" in host else host
    return f"http://{shown}:{port or settings.server.port}/wechat/{account}"
