"""The same request with another body is told from the same request again."""

from gateway.inbound.replays import MAX_SEEN, Replays


def test_the_same_body_again_is_no_change_another_one_is() -> None:
    replays = Replays()
    for _ in range(3):
        assert not replays.is_changed("main", b"1", b"2", b"body")
    assert replays.is_changed("main", b"1", b"2", b"other")
    assert not replays.is_changed("main", b"1", b"2", b"body")


def test_accounts_timestamps_and_nonces_are_told_apart() -> None:
    replays = Replays()
    requests = [
        ("main", b"1", b"2"),
        ("other", b"1", b"2"),
        ("main", b"12", b""),
        ("main", b"", b"12"),
    ]
    for number, (account, timestamp, nonce) in enumerate(requests):
        assert not replays.is_changed(account, timestamp, nonce, b"%d" % number)


def test_only_so_many_are_remembered() -> None:
    replays = Replays()
    for number in range(MAX_SEEN + 10):
        replays.is_changed("main", b"%d" % number, b"", b"x" * 100)
    assert len(replays._bodies) == MAX_SEEN
