"""The XML extractor, in both implementations."""

from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from lxml import etree

from tests.support import VECTORS, Kernels, load_kernels, outcome

ACCEPTED: list[tuple[str, bytes, Any]] = [
    ("leaves", b"<xml><A>1</A><B><![CDATA[2]]></B></xml>", {"A": "1", "B": "2"}),
    ("empty root", b"<xml></xml>", {}),
    ("closed root", b"<xml/>", {}),
    ("text in the root", b"<xml>text</xml>", {}),
    ("any root", b"<root><A>1</A></root>", {"A": "1"}),
    ("empty elements", b"<xml><A></A><B/><C><![CDATA[]]></C></xml>", {"A": "", "B": "", "C": ""}),
    ("nested", b"<xml><A><B>1</B><C>2</C></A></xml>", {"A": {"B": "1", "C": "2"}}),
    ("repeated", b"<xml><A>1</A><A>2</A><A>3</A></xml>", {"A": ["1", "2", "3"]}),
    ("items", b"<xml><L><i><a>1</a></i><i>2</i></L></xml>", {"L": {"i": [{"a": "1"}, "2"]}}),
    ("split CDATA", b"<xml><A><![CDATA[a]]]]><![CDATA[>b]]></A></xml>", {"A": "a]]>b"}),
    ("brackets", b"<xml><A><![CDATA[a]b]]c]]]></A></xml>", {"A": "a]b]]c]"}),
    ("markup in CDATA", b"<xml><A><![CDATA[</A><B>1</B>]]></A></xml>", {"A": "</A><B>1</B>"}),
    ("CDATA in text", b"<xml><A> x<![CDATA[ y ]]>z </A></xml>", {"A": " x y z "}),
    ("entities", b"<xml><A>&lt;&gt;&amp;&quot;&apos;</A></xml>", {"A": "<>&\"'"}),
    ("references", b"<xml><A>&#20320;&#x597D;&#x1F600;&#8;</A></xml>", {"A": "你好😀\x08"}),
    ("control characters", b"<xml><A>a\x08\x14\x00b</A></xml>", {"A": "a\x08\x14\0b"}),
    ("line ends", b"<xml><A>a\r\nb\rc\nd</A><B>&#13;</B></xml>", {"A": "a\nb\nc\nd", "B": "\r"}),
    ("]]> in text", b"<xml><A>a]]>b</A></xml>", {"A": "a]]>b"}),
    ("> in text", b"<xml><A>a>b</A></xml>", {"A": "a>b"}),
    ("attributes", b"<xml a='1' b = \"2>\"><A c='x'>1</A></xml>", {"A": "1"}),
    ("blanks in tags", b"<xml ><A\n>1</A\t></xml >", {"A": "1"}),
    ("comment", b"<!-- a --><xml><!-- <A> --><A>1<!-- b -->2</A></xml><!---->", {"A": "12"}),
    ("declaration", b'<?xml version="1.0"?>\n<xml><A>1</A></xml>\n', {"A": "1"}),
    ("byte order mark", b"\xef\xbb\xbf<xml><A>1</A></xml>", {"A": "1"}),
    ("text between", b"<xml><A>1</A>stray &amp; <B>2</B></xml>", {"A": "1", "B": "2"}),
    ("names", "<xml><Другое>1</Другое><a.b-c_d:e>2</a.b-c_d:e></xml>".encode(),
     {"Другое": "1", "a.b-c_d:e": "2"}),
    ("long name", b"<xml><" + b"n" * 500 + b">1</" + b"n" * 500 + b"></xml>", {"n" * 500: "1"}),
    ("16 levels", b"<a>" * 15 + b"<z>1</z>" + b"</a>" * 15, None),
]  # fmt: skip

REFUSED: list[tuple[str, bytes]] = [
    ("nothing", b""),
    ("blanks", b" \n"),
    ("text", b"success"),
    ("JSON", b'{"a": 1}'),
    ("truncated tag", b"<xml><A"),
    ("truncated text", b"<xml><A>1"),
    ("truncated CDATA", b"<xml><A><![CDATA[1]]"),
    ("truncated comment", b"<xml><!-- </xml>"),
    ("truncated instruction", b"<?xml <xml></xml>"),
    ("unclosed root", b"<xml><A>1</A>"),
    ("wrong end", b"<xml><A>1</B></xml>"),
    ("end of a longer name", b"<xml><A>1</AB></xml>"),
    ("overlap", b"<xml><A><B></A></B></xml>"),
    ("end first", b"</xml>"),
    ("two roots", b"<xml></xml><xml></xml>"),
    ("text behind", b"<xml></xml>x"),
    ("text ahead", b"x<xml></xml>"),
    ("CDATA behind", b"<xml></xml><![CDATA[]]>"),
    ("reference behind", b"<xml></xml>&amp;"),
    ("doctype", b"<!DOCTYPE xml><xml></xml>"),
    ("entity declaration", b"<!ENTITY a 'b'><xml></xml>"),
    ("declaration inside", b"<xml><!ELEMENT A></xml>"),
    ("unknown entity", b"<xml><A>&nbsp;</A></xml>"),
    ("upper-case entity", b"<xml><A>&AMP;</A></xml>"),
    ("bare &", b"<xml><A>a & b</A></xml>"),
    ("unfinished reference", b"<xml><A>&#12</A></xml>"),
    ("& at the end", b"<xml><A>&"),
    ("empty reference", b"<xml><A>&#;&#x;</A></xml>"),
    ("NUL reference", b"<xml><A>&#0;</A></xml>"),
    ("surrogate reference", b"<xml><A>&#xD800;</A></xml>"),
    ("reference too large", b"<xml><A>&#x110000;</A></xml>"),
    ("reference too long", b"<xml><A>&#000000065;</A></xml>"),
    ("number as a name", b"<xml><1>a</1></xml>"),
    ("blank ahead of a name", b"<xml>< A>1</ A></xml>"),
    ("blank ahead of an end", b"<xml></ xml>"),
    ("attribute without value", b"<xml a></xml>"),
    ("attribute without quotes", b"<xml a=1></xml>"),
    ("attributes joined", b"<xml a='1'b='2'></xml>"),
    ("< in an attribute", b"<xml a='<'></xml>"),
    ("not UTF-8", b"<xml><A>\xff</A></xml>"),
    ("not UTF-8 in a comment", b"<xml><!--\xff--></xml>"),
    ("overlong UTF-8", b"<xml><A>\xc0\x80</A></xml>"),
    ("surrogate in UTF-8", b"<xml><A>\xed\xa0\x80</A></xml>"),
    ("beyond Unicode", b"<xml><A>\xf4\x90\x80\x80</A></xml>"),
    ("cut UTF-8", b"<xml><A>\xe4\xbd</A></xml>"),
    ("GBK", "<xml><A>你好</A></xml>".encode("gbk")),
    ("UTF-16", "<xml></xml>".encode("utf-16")),
    ("17 levels", b"<a>" * 17 + b"</a>" * 17),
    ("a million levels", b"<a>" * 300_000),
    ("too large", b"<xml><A>" + b"x" * (1 << 20) + b"</A></xml>"),
    ("brackets without end", b"<xml><A><![CDATA[" + b"]" * 100_000),
    ("openings without end", b"<xml>" + b"<![CDATA[" * 50_000),
    ("comments without end", b"<xml>" + b"<!--" * 100_000),
]


@pytest.mark.parametrize(
    ("document", "fields"), [a[1:] for a in ACCEPTED], ids=[a[0] for a in ACCEPTED]
)
def test_a_sound_document_gives_its_fields(kernels: Kernels, document: bytes, fields: Any) -> None:
    extracted = kernels.extract(document)
    assert fields is None or extracted == fields
    assert fields is None or list(extracted) == list(fields)


@pytest.mark.parametrize("document", [r[1] for r in REFUSED], ids=[r[0] for r in REFUSED])
def test_any_other_document_is_refused_with_one_error(kernels: Kernels, document: bytes) -> None:
    with pytest.raises(ValueError, match=r"^xml$"):
        kernels.extract(document)


def test_a_reader_that_fails_midway_lets_go_of_what_it_holds(kernels: Kernels) -> None:
    """A hundred thousand failures in the middle of nested elements leave no memory behind."""
    import tracemalloc  # noqa: PLC0415 - costs time wherever it is loaded

    broken = b"<xml><A><B><C>1</C><C>2</C></B>&lt;" + b"x" * 200 + b"</xml>"
    for _ in range(1000):
        outcome(kernels.extract, broken)
    tracemalloc.start()
    for _ in range(20_000):
        outcome(kernels.extract, broken)
    grown, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert grown < 20_000


PIECES = st.sampled_from(
    [b"<xml>", b"</xml>", b"<a>", b"</a>", b"<b x='1'>", b"</b>", b"<c/>", b"<", b">", b"/", b"&",
     b";", b"&lt;", b"&#65;", b"&#x1F600;", b"&#8;", b"&#0;", b"<![CDATA[", b"]]>", b"]", b"<!--",
     b"-->", b"<?", b"?>", b"\r\n", b"\r", b" ", b"=", b"'", b'"', b"\xe4\xbd\xa0", b"\xff", b"x",
     b"\x08", b"\0", b"<!DOCTYPE a>", b"\xef\xbb\xbf", b"\xed\xa0\x80", b"1"]
)  # fmt: skip
DOCUMENTS = st.lists(PIECES, max_size=20).map(b"".join)
SAMPLES = sorted((VECTORS / "messages").glob("*.xml"))


@pytest.mark.compiled
@given(st.one_of(st.binary(max_size=200), DOCUMENTS, DOCUMENTS.map(lambda d: b"<a>" + d + b"</a>")))
@example(b"<a>\xf0\x90\x80\x80</a>")
def test_both_implementations_agree_on_any_bytes(document: bytes) -> None:
    pure, compiled = load_kernels("pure"), load_kernels("compiled")
    assert outcome(pure.extract, document) == outcome(compiled.extract, document)
    for name in ("Content", "MsgType", "item", "A"):
        assert outcome(pure.text_of, document, name) == outcome(compiled.text_of, document, name)


@pytest.mark.compiled
@given(
    st.sampled_from(SAMPLES),
    st.lists(st.tuples(st.integers(0, 2000), st.integers(0, 20), PIECES), max_size=4),
)
def test_both_implementations_agree_on_spoiled_samples(
    sample: Any, cuts: list[tuple[int, int, bytes]]
) -> None:
    document = sample.read_bytes()
    for at, length, piece in cuts:
        document = document[:at] + piece + document[at + length :]
    pure, compiled = load_kernels("pure"), load_kernels("compiled")
    assert outcome(pure.extract, document) == outcome(compiled.extract, document)
    for name in ("Content", "MsgType", "item", "A"):
        assert outcome(pure.text_of, document, name) == outcome(compiled.text_of, document, name)


NAMES = st.from_regex(r"[A-Za-z_][A-Za-z0-9_.\-]{0,8}", fullmatch=True)
TEXTS = st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs", "Cn"]), max_size=20)


def _leaf(text: str, form: int) -> str:
    escaped = text.replace("&", "&amp;").replace("<", "&lt;").replace("]]>", "]]&gt;")
    sections = "<![CDATA[" + text.replace("]]>", "]]]]><![CDATA[>") + "]]>"
    references = "".join(f"&#{ord(c)};" for c in text)
    return (escaped, sections, references, escaped + sections, f"\r\n{escaped}\r")[form]


LEAVES = st.builds(_leaf, TEXTS, st.integers(0, 4))
TREES = st.recursive(
    LEAVES,
    lambda inner: st.lists(st.tuples(NAMES, inner), min_size=1, max_size=4).map(
        lambda children: " stray ".join(f"<{n}>{body}</{n}>" for n, body in children)
    ),
    max_leaves=12,
)


def _by_lxml(element: Any) -> Any:
    children = list(element)
    if not children:
        return element.text or ""
    fields: dict[str, Any] = {}
    for child in children:
        value = _by_lxml(child)
        if child.tag not in fields:
            fields[child.tag] = value
        elif isinstance(fields[child.tag], list):
            fields[child.tag].append(value)
        else:
            fields[child.tag] = [fields[child.tag], value]
    return fields


@pytest.mark.compiled
@given(st.lists(st.tuples(NAMES, TREES), min_size=1, max_size=5))
def test_generated_documents_read_as_lxml_reads_them(children: list[tuple[str, str]]) -> None:
    inner = "<!-- c -->".join(f"<{name}>{body}</{name}>" for name, body in children)
    document = f"<?xml version='1.0'?><xml>{inner}</xml>".encode()
    parser = etree.XMLParser(remove_comments=True, resolve_entities=False, no_network=True)
    try:
        expected = _by_lxml(etree.fromstring(document, parser))
    except etree.XMLSyntaxError:
        # lxml refuses noncharacters and the like, which users do send: theirs to refuse.
        return
    for name in ("pure", "compiled"):
        assert load_kernels(name).extract(document) == expected


@pytest.mark.parametrize(
    ("inside", "text"),
    [
        ("<Encrypt><![CDATA[AA==]]></Encrypt>", b"AA=="),
        ("<ToUserName>x</ToUserName>\n<Encrypt> \t\n AA==\x0b\n</Encrypt>\n", b"AA=="),
        ("<Encrypt>A&amp;<![CDATA[B]]></Encrypt><!-- c -->", b"A&B"),
        ("<Encrypt>\r\nAA==\r\n</Encrypt>", b"AA=="),
        ("<Encrypt x='1'>AA==</Encrypt>", b"AA=="),
        ("<Encrypt></Encrypt>", b""),
        ("<Encrypt/>", b""),
        ("<Encrypt>\u3000名</Encrypt>", "\u3000名".encode()),
    ],
)
def test_the_text_of_one_element_is_read_without_the_others(
    kernels: Kernels, inside: str, text: bytes
) -> None:
    assert kernels.text_of(f"<xml>{inside}</xml>".encode(), "Encrypt") == text


@pytest.mark.parametrize(
    ("document", "reason"),
    [
        (b"<xml></xml>", "absent"),
        (b"<xml><A>1</A></xml>", "absent"),
        (b"<xml><Encrypt>1</Encrypt><Encrypt>2</Encrypt></xml>", "absent"),
        (b"<xml><Encrypt><A>1</A></Encrypt></xml>", "absent"),
        (b"<xml><A><Encrypt>1</Encrypt></A></xml>", "absent"),
        (b"<xml><Encrypt>1</Encrypt>", "xml"),
        (b"<xml><Encrypt>1</Encrypted></xml>", "xml"),
        (b"<xml><Encrypt>1</Encrypt></xml>x", "xml"),
        (b"<xml><Encrypt>\xff</Encrypt></xml>", "xml"),
        (b'{"Encrypt": "1"}', "xml"),
        (b"", "xml"),
    ],
)
def test_where_there_is_no_such_text_the_reason_is_said(
    kernels: Kernels, document: bytes, reason: str
) -> None:
    with pytest.raises(ValueError, match=f"^{reason}$"):
        kernels.text_of(document, "Encrypt")
