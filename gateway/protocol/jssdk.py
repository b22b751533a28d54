"""The signature that lets a web page call WeChat's JS-SDK (PROTOCOL 7.6)."""

from hashlib import sha1


def page_signature(ticket: str, nonce: str, timestamp: int, url: str) -> str:
    """Return the signature of a page; what stands behind a ``#`` in its URL does not count.

    ``timestamp`` is in Unix seconds. Nothing is percent-encoded: the URL is signed as it stands.
    """
    url = url.partition("#")[0]
    text = f"jsapi_ticket={ticket}&noncestr={nonce}&timestamp={timestamp}&url={url}"
    # SHA-1 is what WeChat takes.
    return sha1(text.encode(), usedforsecurity=False).hexdigest()
