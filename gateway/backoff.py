"""How long to wait before something is tried again."""


def full_jitter(tried: int, base: float, cap: float, draw: float) -> float:
    """Return the seconds to wait after so many tries: random, up to a capped exponential.

    ``draw`` is in [0, 1). Anything less spread lets what failed together come together again
    (https://aws.amazon.com/builders-library/timeouts-retries-and-backoff-with-jitter/).
    """
    return draw * min(cap, base * 2.0 ** min(tried - 1, 60))
