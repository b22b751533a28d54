"""The secrets among the settings, so that whatever goes out can be searched for them."""

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final
from urllib.parse import parse_qsl, unquote

from pydantic import BaseModel, SecretBytes, SecretStr

from gateway.settings.urls import split_url

_WITH_TOKENS: Final = frozenset(("nats", "tls"))
"""Schemes whose URLs may have a token in the user's place."""


_URLS: Final = ("url", "dsn")
"""How the names of those secrets end that are URLs."""

_NEXT_URL: Final = re.compile(r",\s*(?=[a-z]+://)")


def secret_values(settings: BaseModel) -> Iterator[str]:
    """Yield every secret text of settings, previous ones and the passwords in URLs included.

    A URL is one where it holds a password, and yielded with it; one without is none, for it is
    nothing but a place.
    """
    for name, value in _values("", settings):
        text = value if isinstance(value, str) else _text(value)
        if isinstance(value, str) or name.endswith(_URLS):
            yield from _of_urls(text)
        else:
            yield text


def _values(name: str, value: Any) -> Iterator[tuple[str, str | SecretStr | SecretBytes]]:
    """Yield the texts and secrets in settings, however deep, each with its name."""
    if isinstance(value, str | SecretStr | SecretBytes):
        yield name, value
    elif isinstance(value, BaseModel):
        for field in type(value).model_fields:
            yield from _values(field, getattr(value, field))
    elif isinstance(value, Mapping):
        for key, each in value.items():
            yield from _values(str(key), each)
    elif isinstance(value, list | tuple):
        for each in value:
            yield from _values(name, each)


def _text(secret: SecretStr | SecretBytes) -> str:
    value = secret.get_secret_value()
    return value if isinstance(value, str) else value.decode("utf-8", "backslashreplace")


def _of_urls(text: str) -> Iterator[str]:
    """Yield what is secret in a URL; of several there are commas between them."""
    secrets = [secret for url in _NEXT_URL.split(text) for secret in _of_url(url)]
    if secrets:
        yield text
    yield from secrets


def _of_url(url: str) -> Iterator[str]:
    if "://" not in url:
        return
    try:
        parts = split_url(url, several_hosts=True)
    except ValueError:
        # Nobody can tell what in it is a password.
        yield url
        return
    secret = parts.password
    if secret is None and parts.scheme in _WITH_TOKENS:
        secret = parts.username
    if secret:
        yield from (url, secret, unquote(secret))
    for name, value in parse_qsl(parts.query):
        if any(word in name for word in ("password", "secret", "token")):
            yield from (url, value)
