"""What no log line shows: secrets, and who a user is.

It looks at whole lines as they are written, so that tracebacks and what libraries say are masked
too. What is masked twice looks the same as what is masked once.
"""

import hashlib
import html
import re
from collections.abc import Iterable
from typing import Final

MASKED: Final = "***"

SHORTEST: Final = 8
"""Characters of the shortest secret that is looked for: a shorter one would be found in words."""

# What comes before a word, with X for what is read of it already. A line holds escapes, as of JSON
# and URLs, whose last letter is no part of the word behind them.
_BEGIN_X = (
    r"(?:(?<![A-Za-z0-9_-]X)|(?<=\\[abfnrtv]X)|(?<=\\x[0-9a-f]{2}X)|(?<=\\u[0-9a-f]{4}X)"
    r"|(?<=%[0-9A-Fa-f]{2}X))"
)
_BEGIN = _BEGIN_X.replace("X", "")

# A line costs little where each search begins with a character that is rare.
_OPEN_ID = re.compile(
    r"o(?=[A-Za-z0-9_-]{27}(?![A-Za-z0-9_-]))"
    rf"{_BEGIN_X.replace('X', 'o')}[A-Za-z0-9_-]{{27}}"
)
"""Open ids and union ids, as all that were ever seen are."""

_NAMES = (
    "access_token|component_access_token|authorizer_access_token|refresh_token|ticket|secret"
    "|app_secret|appsecret|session_key|js_code|code|msg_signature|openid|open_id|unionid|union_id"
)

_MAYBE_NAMED = re.compile(
    r"[=\"'%\\](?<=[dentyDENTY].)(?:(?<=token.)|(?<=ticket.)|(?<=secret.)|(?<=key.)|(?<=code.)"
    r"|(?<=g_signature.)|(?<=nid.)|(?<=n_id.))",
    re.IGNORECASE,
)
"""The end of any of these, and what comes behind a name."""

_HASHED = r"user:[0-9a-f]{12}\b"

_PARAMETER = re.compile(
    rf"{_BEGIN}((?:{_NAMES})(?:=|%3D))(?!{_HASHED})[^\s&\"'\\<>,;)}}\]]+", re.IGNORECASE
)

_FIELD = re.compile(
    rf"([\"'](?:{_NAMES})[\"']\s*:\s*b?([\"']))(?!{_HASHED})(?:(?!\2)[^\\]|\\.)+", re.IGNORECASE
)
"""Of JSON, or of Python's repr."""

_NESTED_FIELD = re.compile(
    rf"(\\+[\"'](?:{_NAMES})\\+[\"']\s*:\s*b?(\\+[\"']))(?!{_HASHED})(?:(?!(?<!\\)\2).)+",
    re.IGNORECASE,
)
"""The same within a string, where its quotes have backslashes."""

_BEARER = re.compile(
    r"(\bbearer|\bauthorization\W{1,9}basic) +(?!\*)[A-Za-z0-9._~+/-]+=*", re.IGNORECASE
)

_PASSWORD = re.compile(r"(://[^\s/:@\"'\\]*:)[^\s/\"'\\]+@")
"""Up to the last ``@``: passwords have some that ought to be percent-encoded."""


def open_id_hash(open_id: str) -> str:
    """Return the one form in which an open id or union id is shown: the same for the same user.

    ``user:`` and 12 hex digits of its SHA-256.
    """
    digest = hashlib.sha256(open_id.encode("utf-8", "surrogatepass")).hexdigest()
    return f"user:{digest[:12]}"


_LETTERS: Final = {"\b": "b", "\f": "f", "\n": "n", "\r": "r", "\t": "t"}
"""Characters whose escapes are of a letter; of the others they are of digits."""


class Mask:
    """Replaces in a text what must not be shown."""

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        """``secrets`` are masked wherever they stand; shorter ones than SHORTEST are not."""
        known = {secret for secret in secrets if len(secret) >= SHORTEST}
        # Of two that begin at the same place the longer one is masked.
        patterns = map(_pattern, sorted(known, key=len, reverse=True))
        self._secret = re.compile("|".join(patterns)) if known else None

    def __call__(self, text: str) -> str:
        """Return the text, masked."""
        if self._secret is not None:
            text = self._secret.sub(MASKED, text)
        text = _PASSWORD.sub(rf"\1{MASKED}@", text)
        if "earer " in text or "asic " in text:
            text = _BEARER.sub(rf"\1 {MASKED}", text)
        if _MAYBE_NAMED.search(text):
            for named in (_FIELD, _NESTED_FIELD, _PARAMETER):
                text = named.sub(_masked, text)
        return _OPEN_ID.sub(_hashed, text)


def _masked(found: re.Match[str]) -> str:
    return f"{found[1]}{_shown(found[0][len(found[1]) :])}"


def _shown(value: str) -> str:
    """Return what is shown of a value; an open id is still told apart from others."""
    return open_id_hash(value) if _OPEN_ID.fullmatch(value) else MASKED


def _hashed(found: re.Match[str]) -> str:
    return open_id_hash(found[0])


def _pattern(secret: str) -> str:
    """Return a pattern of a text, as it is and escaped: by JSON, Python, URLs and HTML.

    However often, as of JSON within a text within JSON.
    """
    return "".join(
        part if part.isascii() and part.isalnum() else f"(?:{_forms(part)})"
        for part in re.findall(r"\\+|[^\\]", secret)
    )


def _forms(character: str) -> str:
    if character.startswith("\\"):
        # Some number of them; one that is left over belongs to a quote behind the secret.
        encoded = rf"(?:%(?:25)*5[cC]){{{len(character)}}}"
        return rf"(?:\\\\)+(?=\\[\"'])|\\+|{encoded}"
    as_bytes = character.encode("utf-8", "surrogatepass")
    forms = [
        # Before a quote, or a backslash, are others where it stands within quotes.
        rf"\\*{re.escape(character)}",
        "".join(rf"%(?:25)*{_digits(f'{byte:02x}')}" for byte in as_bytes),
    ]
    if character == " ":
        forms.append(r"\+")
    if (as_html := html.escape(character)) != character:
        forms.append(re.escape(as_html))
    if not (character.isascii() and character.isprintable()):
        # A text's escapes by its code, of which JSON has two beyond 16 bits; and those of bytes.
        units = character.encode("utf-16-be", "surrogatepass").hex()
        pairs = (units[start : start + 4] for start in range(0, len(units), 4))
        forms += [
            "".join(rf"\\+u{_digits(unit)}" for unit in pairs),
            rf"\\+U{_digits(f'{ord(character):08x}')}",
            rf"\\+x{_digits(f'{ord(character):02x}')}",
            "".join(rf"\\+x{_digits(f'{byte:02x}')}" for byte in as_bytes),
        ]
    if letter := _LETTERS.get(character):
        # Text for people is indented behind the end of a line.
        forms += [rf"\\+{letter}", rf"{re.escape(character)} *"]
    return "|".join(forms)


def _digits(digits: str) -> str:
    """Return a pattern of hex digits, in capitals or not."""
    return "".join(f"[{digit}{digit.upper()}]" if digit.isalpha() else digit for digit in digits)
