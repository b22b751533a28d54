"""The kernel that writes documents, in both implementations."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lxml import etree

from tests.support import Kernels, load_kernels, outcome

HEAD = (
    "<xml><ToUserName><![CDATA[oUser]]></ToUserName><FromUserName><![CDATA[gh_1]]></FromUserName>"
    "<CreateTime>1715984936</CreateTime><MsgType><![CDATA[text]]></MsgType>"
)


def write(kernels: Kernels, tree: dict[str, Any], to_user_name: str = "oUser") -> bytes:
    """Write a reply with these elements of its own."""
    written: bytes = kernels.write_reply(to_user_name, "gh_1", 1_715_984_936, "text", tree)
    return written


def test_each_kind_of_value_is_written_as_wechat_has_it(kernels: Kernels) -> None:
    tree: dict[str, Any] = {"A": "你好😀", "N": 7, "F": 1.5, "None": None}
    tree |= {"D": {"E": ""}, "L": ["1", {"x": 2}], "O": {}}
    assert write(kernels, tree).decode() == (
        f"{HEAD}<A><![CDATA[你好😀]]></A><N>7</N><F>1.5</F><D><E><![CDATA[]]></E></D>"
        "<L><![CDATA[1]]></L><L><x>2</x></L><O></O></xml>"
    )


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("]]>", "]]>"),
        ("a]]>b]]>", "a]]>b]]>"),
        ("]]]]>>", "]]]]>>"),
        ("]]", "]]"),
        ("tab\tline\nend", "tab\tline\nend"),
        ("\x00\x08\x0b\x1f", ""),
        ("a\ufffeb\uffffc\ufffd", "abc\ufffd"),
        ("\ud83d half", " half"),
        ("\x7f\x85", "\x7f\x85"),
        ("x" * 5000 + "😀" * 5000, "x" * 5000 + "😀" * 5000),
    ],
)
def test_a_document_is_well_formed_and_says_what_xml_can_say(
    kernels: Kernels, text: str, kept: str
) -> None:
    root = etree.fromstring(write(kernels, {"T": text, "U": {"V": [text, text]}}, text))
    assert [each.text or "" for each in root.iter("ToUserName", "T", "V")] == [kept] * 4


def test_a_tree_that_is_none_is_refused(kernels: Kernels) -> None:
    with pytest.raises((TypeError, AttributeError)):
        kernels.write_reply("", "", 0, "", None)


_TEXT = st.text(st.characters(codec=None), max_size=30) | st.sampled_from(["]]>", "]]]>", "\x01"])
_VALUES = st.recursive(
    st.none() | _TEXT | st.integers() | st.floats(allow_nan=False) | st.booleans(),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["A", "Bc", "名"]), inner, max_size=3)
    ),
    max_leaves=8,
)


@pytest.mark.compiled
@given(
    st.tuples(_TEXT, _TEXT, st.integers(-(2**63), 2**63 - 1), _TEXT),
    st.dictionaries(st.sampled_from(["Name", "B", "名"]), _VALUES, max_size=4),
)
def test_both_implementations_write_the_same_bytes(
    common: tuple[str, str, int, str], tree: dict[str, Any]
) -> None:
    pure, compiled = load_kernels("pure"), load_kernels("compiled")
    assert outcome(pure.write_reply, *common, tree) == outcome(compiled.write_reply, *common, tree)


@given(st.dictionaries(st.sampled_from(["A", "B"]), st.text(max_size=40), max_size=2))
def test_what_is_written_is_read_back(tree: dict[str, str]) -> None:
    kernels = load_kernels("pure")
    read = kernels.extract(write(kernels, tree))
    assert {name: text for name, text in read.items() if name in "AB"} == {
        name: kernels_legal(text).replace("\r\n", "\n").replace("\r", "\n")
        for name, text in tree.items()
    }


def kernels_legal(text: str) -> str:
    """Return what XML 1.0 can hold of a text, by its own rule."""
    ranges = ((0x20, 0xD7FF), (0xE000, 0xFFFD), (0x10000, 0x10FFFF))
    return "".join(
        c for c in text if c in "\t\n\r" or any(low <= ord(c) <= high for low, high in ranges)
    )
