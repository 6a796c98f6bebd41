"""Text as it lies on the disk: encodings, Markdown, reStructuredText, tables and records."""

import pytest

from agentctl.core.knowledge.documents import Document
from agentctl.core.knowledge.loaders.registry import loader_for


def load(data: bytes | str, name: str) -> Document:
    data = data.encode() if isinstance(data, str) else data
    loader = loader_for(name, data)
    assert loader is not None
    return loader.load(data, name)


def headings(document: Document) -> list[tuple[str, ...]]:
    return [section.heading for section in document.sections]


def parts(document: Document) -> list[str]:
    ends = [section.start for section in document.sections[1:]] + [len(document.text)]
    return [
        document.text[section.start : end]
        for section, end in zip(document.sections, ends, strict=True)
    ]


# Encodings


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        ("Die Größe der Straße überrascht, sagte Müller.", "cp1252"),
        ("Die Größe der Straße überrascht, sagte Müller.", "latin-1"),
        ("Zażółć gęślą jaźń. Wszyscy ludzie rodzą się wolni.", "cp1250"),
        ("Привет, мир!", "koi8-r"),
        ("Привет, мир!", "cp1251"),
        ("すべての人間は、生まれながらにして自由である。", "shift_jis"),
        ("すべての人間は、生まれながらにして自由である。", "euc_jp"),
        ("人人生而自由", "gb18030"),
        ("Grüße, 世界 👍", "utf-8"),
        ("Grüße, 世界 👍", "utf-8-sig"),
        ("Grüße, 世界 👍", "utf-16"),
        ("Without a mark, but Western: größer", "utf-16-le"),
        ("Without a mark, but Western: größer", "utf-16-be"),
    ],
)
def test_text_reads_right_in_the_encoding_it_was_written_in(text: str, encoding: str) -> None:
    document = load(text.encode(encoding), "notes.txt")

    assert document.text == text
    assert document.warnings == ()


def test_the_first_foreign_letter_may_come_late() -> None:
    text = "plain words\n" * 30_000 + "Größe und Straße\n"

    assert load(text.encode("cp1252"), "log.txt").text == text


def test_damaged_utf8_stays_utf8_and_is_told() -> None:
    document = load("Größe ".encode() + b"\xff" + " Straße".encode(), "notes.txt")

    assert document.text == "Größe \ufffd Straße"
    assert document.warnings == (
        "notes.txt is not all UTF-8: what could not be read shows as \ufffd",
    )


def test_every_kind_of_line_end_becomes_the_usual_one() -> None:
    assert load("a\r\nb\rc\n", "notes.txt").text == "a\nb\nc\n"


@pytest.mark.parametrize(
    ("name", "media_type", "kind"),
    [
        ("a.txt", "text/plain", "prose"),
        ("a.csv", "text/csv", "table"),
        ("a.tsv", "text/tab-separated-values", "table"),
        ("a.json", "application/json", "code"),
        ("a.jsonl", "application/jsonl", "code"),
        ("a.toml", "application/toml", "code"),
        ("a.yml", "application/yaml", "code"),
        ("a.ini", "text/x-ini", "code"),
        ("a.unknown", "text/plain", "prose"),
    ],
)
def test_what_has_no_parts_is_one_section_of_its_kind(
    name: str, media_type: str, kind: str
) -> None:
    document = load("[x]\n1,2\n", name)

    assert document.text == "[x]\n1,2\n"
    assert (document.media_type, document.has_lines) == (media_type, True)
    assert [section.kind for section in document.sections] == [kind]


# Markdown


def test_markdown_is_cut_at_headings_each_with_its_path() -> None:
    document = load("intro\n# A\na\n## B\nb\n### C\n## D\nd\n# E\n", "a.md")

    assert headings(document) == [(), ("A",), ("A", "B"), ("A", "B", "C"), ("A", "D"), ("E",)]
    assert parts(document) == ["intro\n", "# A\na\n", "## B\nb\n", "### C\n", "## D\nd\n", "# E\n"]


@pytest.mark.parametrize(
    "text",
    [
        "```\n# no\n```\n",
        "~~~sh\n# no\n```\n# no\n~~~\n",
        "````\n```\n# no\n````\n",
        "    # no\n",
        "<!--\n# no\n-->\n",
        "#no\n####### no\n",
        "two lines\nof a paragraph\n---\n",
        "- a list\n---\n",
        "| a |\n|---|\n",
        "\n---\n",
        "a ``` b\n",
    ],
)
def test_what_only_looks_like_a_heading_is_none(text: str) -> None:
    assert headings(load(text + "\n# Yes\n", "a.md")) == [(), ("Yes",)]


@pytest.mark.parametrize(
    ("line", "heading"),
    [
        ("# Plain", "Plain"),
        ("  ## Closed ##", "Closed"),
        ("# C#", "C#"),
        ("# `code` and **bold** and _slanted_", "code and bold and slanted"),
        ("# snake_case_name", "snake_case_name"),
        ("# A [link](https://example.org) here", "A link here"),
        ("Underlined\n===", "Underlined"),
        ("Underlined\n---", "Underlined"),
    ],
)
def test_a_heading_is_shown_without_its_markup(line: str, heading: str) -> None:
    assert headings(load(f"{line}\n\ntext\n", "a.md")) == [(heading,)]


def test_text_after_a_fence_may_be_an_underlined_heading() -> None:
    assert headings(load("```\nx\n```\nNext\n====\n", "a.md")) == [(), ("Next",)]


@pytest.mark.parametrize(
    ("text", "title"),
    [
        ("---\nlayout: x\ntitle: 'The Title'\n# no: heading\n---\n# Other\n", "The Title"),
        ('+++\ntitle = "The Title"\n+++\n', "The Title"),
        ("words\n\n## The *Title*\n", "The Title"),
        ("---\nnot closed\n", ""),
        ("no heading", ""),
    ],
)
def test_the_title_is_in_the_front_matter_or_the_first_heading(text: str, title: str) -> None:
    document = load(text, "a.md")

    assert document.title == title
    assert document.text == text


def test_an_endless_heading_is_stored_short() -> None:
    document = load("# " + "long " * 100_000 + "\n## Sub\n", "a.md")

    assert max(len(name) for path in headings(document) for name in path) <= 200


# reStructuredText


def test_rst_levels_come_in_the_order_of_their_first_appearance() -> None:
    text = (
        "=====\nTitle\n=====\n\nintro\n\nOne\n---\n\n::\n\n    no\n    --\n\n"
        "Deep\n~~~~\n\nTwo\n---\n\na paragraph\n----\n\n=== ===\na   b\n=== ===\n"
    )
    document = load(text, "a.rst")

    assert document.title == "Title"
    assert headings(document) == [
        ("Title",),
        ("Title", "One"),
        ("Title", "One", "Deep"),
        ("Title", "Two"),
    ]
    assert parts(document)[1].startswith("One\n---")
    assert document.text == text
