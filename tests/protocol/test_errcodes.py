"""WeChat's error codes, as PROTOCOL 8 and the vectors have them."""

import pytest

from gateway.protocol.errcodes import ErrorClass, errcode

C = ErrorClass


@pytest.mark.parametrize(
    ("code", "error_class"),
    [
        (0, C.SUCCESS),
        (45065, C.SUCCESS),
        (40001, C.REFRESH_TOKEN),
        (42001, C.REFRESH_TOKEN),
        (-1, C.BACKOFF),
        (45009, C.RATE_LIMITED),
        (45011, C.RATE_LIMITED),
        (40003, C.USER),
        (43101, C.USER),
        (40164, C.CONFIG),
        (48001, C.CONFIG),
        (47003, C.REQUEST),
    ],
)
def test_a_code_has_the_class_that_the_platform_means(code: int, error_class: ErrorClass) -> None:
    known = errcode(code)
    assert known is not None
    assert (known.code, known.error_class) == (code, error_class)
    assert known.meaning
    assert known.source


def test_a_code_that_nobody_knows_is_none() -> None:
    assert errcode(123_456_789) is None
