"""URLs in settings: most of them hold a password, so nothing of one is in what is said of it."""

from urllib.parse import SplitResult, urlsplit


def split_url(url: str, *, several_hosts: bool = False) -> SplitResult:
    """Return the URL's parts; raise ValueError, without any of them, where it cannot be read."""
    try:
        parts = urlsplit(url)
        _ = several_hosts or parts.port
    except ValueError:
        # It names what it stumbled over, which may be in the password.
        raise ValueError(
            "cannot be read as a URL; percent-encode all but letters and digits in user and "
            "password, and give the port as a number"
        ) from None
    return parts


def is_loopback(host: str) -> bool:
    """Tell whether a host, without a port, is this machine."""
    return host in ("localhost", "127.0.0.1", "::1")
