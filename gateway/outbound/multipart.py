"""A file as a form, as the endpoints that take media want it (PROTOCOL 7.4)."""

from secrets import token_hex
from typing import NamedTuple

_QUOTED = str.maketrans({'"': "%22", "\r": "%0D", "\n": "%0A"})


class File(NamedTuple):
    """A file to be uploaded."""

    name: str
    """With the ending that tells its type, such as ``cat.jpg``."""
    content: bytes
    content_type: str = "application/octet-stream"
    fields: tuple[tuple[str, str], ...] = ()
    """What goes along with it, such as a video's ``description``."""


def encode(file: File) -> tuple[bytes, str]:
    """Return the body that uploads a file in the field ``media``, and its content type.

    Built whole, for a call that is repeated needs it again; WeChat's files have 10 MB at most.
    """
    boundary = token_hex(16)
    parts = [
        f'--{boundary}\r\nContent-Disposition: form-data; name="{name.translate(_QUOTED)}"\r\n\r\n'
        f"{value}\r\n".encode()
        for name, value in file.fields
    ]
    head = (
        f'--{boundary}\r\nContent-Disposition: form-data; name="media"; '
        f'filename="{file.name.translate(_QUOTED)}"\r\nContent-Type: {file.content_type}\r\n\r\n'
    )
    end = f"\r\n--{boundary}--\r\n"
    body = b"".join((*parts, head.encode(), file.content, end.encode()))
    return body, f"multipart/form-data; boundary={boundary}"
