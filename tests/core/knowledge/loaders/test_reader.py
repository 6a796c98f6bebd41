"""Reading any file: a sound document, nothing, or an error of ours; never anything else."""

import json
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agentctl.core.errors import InputTooLarge, InputUnreadable
from agentctl.core.knowledge.documents import Document
from agentctl.core.knowledge.loaders.encoding import decode
from agentctl.core.knowledge.loaders.reader import DocumentReader, ReadLimits
from tests.support.sample_files import docx, epub, pdf

LIMITS = ReadLimits(file_bytes=100_000, seconds=60.0, memory_bytes=1_500_000_000)
TEXT_ENDINGS = (
    "txt",
    "md",
    "rst",
    "csv",
    "json",
    "toml",
    "c",
    "ts",
    "rs",
    "hs",
    "sql",
    "sh",
    "unknown",
)
PARSED_ENDINGS = ("html", "py", "ipynb", "eml", "pdf", "docx", "pptx", "xlsx", "epub")
SAMPLES = {
    "pdf": pdf("one", "two", title="T", outline={"A": 0}),
    "docx": docx("<w:p><w:r><w:t>words</w:t></w:r></w:p><w:tbl><w:tr><w:tc/></w:tr></w:tbl>"),
    "epub": epub({"a.xhtml": "<h1>One</h1><p>first</p>"}),
    "ipynb": json.dumps({"cells": [{"cell_type": "code", "source": "x"}]}).encode(),
    "eml": b"From: a@b\nSubject: =?utf-8?q?x?=\nContent-Type: text/html\n\n<p>x</p>",
    "html": b"<html><title>x</title><body><table><tr><td>y<ul><li>z</table>",
    "py": b"class A:\n    @x\n    def f(self): return f'{1}'\n",
}


@pytest.fixture(scope="module")
def reader() -> Iterator[DocumentReader]:
    with DocumentReader(LIMITS) as reader:
        yield reader


def assert_sound(document: Document) -> None:
    starts = [section.start for section in document.sections]
    assert starts[0] == 0
    assert starts == sorted(set(starts))
    assert starts[-1] <= len(document.text)
    words = [
        document.text,
        document.title,
        *(name for each in document.sections for name in each.heading),
    ]
    for text in words:
        assert "\0" not in text
        text.encode()


def read_soundly(reader: DocumentReader, data: bytes, name: str) -> Document | None:
    try:
        document = reader.read(data, name)
    except InputUnreadable as error:
        assert "\n" not in error.message
        return None
    if document is not None:
        assert_sound(document)
    return document


WORDS = (
    *("# ", "\n", "\n\n", "```", "---", "===", "    ", "\t", "class A", "def f(", "{", "}", "/*"),
    *("*/", "x", "(", ")", "title: ", "<!--", "-->", ";", "@x ", "int f() {", '"""', "é", "\r"),
)
CODE_LIKE = st.lists(st.sampled_from(WORDS), max_size=40).map(lambda words: "".join(words).encode())


@given(
    data=st.binary(max_size=300) | st.text().map(str.encode) | CODE_LIKE,
    ending=st.sampled_from(TEXT_ENDINGS),
)
def test_any_bytes_are_text_or_binary(reader: DocumentReader, data: bytes, ending: str) -> None:
    document = read_soundly(reader, data, f"a.{ending}")

    if document is not None:
        assert document.has_lines
        assert document.text == decode(data, "a")[0].replace("\0", "\ufffd")


@settings(max_examples=60)
@given(
    data=st.binary(max_size=300) | st.text().map(str.encode) | CODE_LIKE,
    ending=st.sampled_from(PARSED_ENDINGS),
)
def test_any_bytes_under_any_name_are_read_or_refused(
    reader: DocumentReader, data: bytes, ending: str
) -> None:
    read_soundly(reader, data, f"a.{ending}")


@settings(max_examples=100)
@given(
    ending=st.sampled_from(sorted(SAMPLES)),
    place=st.floats(0, 1),
    noise=st.binary(max_size=8),
    cut=st.integers(0, 40),
)
def test_damaged_files_are_read_or_refused(
    reader: DocumentReader, ending: str, place: float, noise: bytes, cut: int
) -> None:
    sample = SAMPLES[ending]
    start = int(place * len(sample))

    read_soundly(reader, sample[:start] + noise + sample[start + cut :], f"a.{ending}")


def test_what_is_binary_is_nothing(reader: DocumentReader) -> None:
    assert reader.read(b"\x89PNG\r\n\x1a\n\0", "a.png") is None


def test_a_file_over_the_limit_is_refused_with_the_limit_to_set(reader: DocumentReader) -> None:
    with pytest.raises(InputTooLarge, match=r"a\.txt is larger than 100,000 bytes") as caught:
        reader.read(b"x" * 100_001, "a.txt")
    assert caught.value.hint == "agentctl config set knowledge.file_bytes 100001"


def test_a_small_file_of_much_text_is_refused_as_well(reader: DocumentReader) -> None:
    data = docx(f"<w:p><w:r><w:t>{'x' * 200_000}</w:t></w:r></w:p>")

    with pytest.raises(InputTooLarge):
        reader.read(data, "a.docx")


def test_half_characters_of_a_notebook_become_whole_ones(reader: DocumentReader) -> None:
    with pytest.raises(InputUnreadable):
        reader.read(rb'{"cells": [{"cell_type": "raw", "source": "\ud800"}]}', "a.ipynb")
