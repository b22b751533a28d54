"""How a user is found in what is stored of them for later."""

import msgspec


def written(open_id: str) -> tuple[bytes, bytes]:
    """Return an open id as it is in the bytes of entries: whole, in JSON and in MessagePack.

    So it is not found where it is only the beginning of another one.
    """
    return msgspec.json.encode(open_id), msgspec.msgpack.encode(open_id)
