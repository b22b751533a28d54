"""Keys made of a secret, and what is sealed with them."""

import os
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.identity.keys import key_ring
from gateway.identity.vault import CannotOpen, Vault

NEW, OLD = "n" * 40, "o" * 40
PLAIN: Final = "刷新-token🎈".encode()


def vault(*secrets: str) -> Vault:
    """Return one of these secrets."""
    return Vault(key_ring(secrets or (NEW,), "vault"), os.urandom)


def test_a_secret_gives_another_key_for_each_use() -> None:
    rings = [key_ring((NEW, OLD), use) for use in ("session", "vault", "state")]
    keys = {key.value for ring in rings for key in ring.all}
    assert len(keys) == 6
    assert {len(key) for key in keys} == {32}
    assert key_ring((NEW,), "vault").current == rings[1].current


def test_a_key_is_found_by_its_name_and_shown_by_nothing_else() -> None:
    ring = key_ring((NEW, OLD), "vault")
    assert [ring.find(key.id) for key in ring.all] == list(ring.all)
    assert ring.find("00000000") is None
    assert ring.find(None) is None
    shown = repr(ring)
    assert ring.current.id in shown
    assert ring.current.value.hex() not in shown
    assert str(ring.current.value) not in shown


def test_what_was_sealed_is_opened_in_its_own_place_alone() -> None:
    one = vault()
    sealed = one.seal(PLAIN, "user_token/wx1/o1")
    assert one.open(sealed, "user_token/wx1/o1") == PLAIN
    assert PLAIN not in sealed
    for place in ("user_token/wx1/o2", "session_key/wx1/o1", ""):
        with pytest.raises(CannotOpen):
            one.open(sealed, place)


def test_nothing_is_sealed_alike_twice() -> None:
    one = vault()
    assert one.seal(PLAIN, "p") != one.seal(PLAIN, "p")


def test_what_was_sealed_before_a_rotation_is_opened_while_the_secret_is_known() -> None:
    sealed = vault(OLD).seal(PLAIN, "p")
    assert vault(NEW, OLD).open(sealed, "p") == PLAIN
    with pytest.raises(CannotOpen):
        vault(NEW).open(sealed, "p")


@given(st.binary(max_size=60), st.integers(0, 200), st.integers(1, 255))
def test_nothing_that_was_changed_is_opened(plain: bytes, at: int, flip: int) -> None:
    one = vault()
    sealed = bytearray(one.seal(plain, "p"))
    sealed[at % len(sealed)] ^= flip
    with pytest.raises(CannotOpen):
        one.open(bytes(sealed), "p")


@given(st.binary(max_size=80))
def test_nothing_is_opened_that_was_not_sealed(raw: bytes) -> None:
    with pytest.raises(CannotOpen):
        vault().open(raw, "p")


@given(st.binary(max_size=60), st.integers(1, 40))
def test_nothing_is_opened_that_is_not_whole(plain: bytes, cut: int) -> None:
    sealed = vault().seal(plain, "p")
    with pytest.raises(CannotOpen):
        vault().open(sealed[:-cut], "p")
