"""HTML, EPUB, notebooks and e-mail."""

import json
from email.message import EmailMessage

import pytest

from agentctl.core.errors import InputEncrypted, InputUnreadable
from agentctl.core.knowledge.documents import Document, Section
from agentctl.core.knowledge.loaders.registry import loader_for
from tests.support.sample_files import epub, packed


def load(data: bytes | str, name: str) -> Document:
    data = data.encode() if isinstance(data, str) else data
    loader = loader_for(name, data)
    assert loader is not None
    return loader.load(data, name)


# HTML


def test_a_page_becomes_markdown_under_its_headings() -> None:
    document = load(
        "<title>The &amp; Title</title><nav>menu</nav><script>x()</script>"
        "<h1>One</h1><p>Some <b>bold</b> words.</p><h2>Two</h2><pre># no heading</pre>",
        "a.html",
    )

    assert document.title == "The & Title"
    assert document.text == "# One\n\nSome **bold** words.\n\n## Two\n\n```\n# no heading\n```\n"
    assert document.sections == (Section(0, ("One",)), Section(29, ("One", "Two")))


@pytest.mark.parametrize("charset", ["shift_jis", "utf-8"])
def test_a_page_names_its_own_charset(charset: str) -> None:
    page = f'<meta charset="{charset}"><p>すべての人間</p>'.encode(charset)

    assert load(page, "a.html").text == "すべての人間\n"


def test_a_page_nested_beyond_all_reason_keeps_its_words() -> None:
    assert load("<div>" * 20_000 + "deep", "a.html").text == "deep\n"


# EPUB


def test_a_book_is_read_in_the_order_of_its_spine() -> None:
    book = epub(
        {
            "z.xhtml": "<html><head><title>Preface</title></head><body><p>hello</p></body></html>",
            "a b.xhtml": "<h1>One</h1><p>first</p><h2>Sub</h2><p>second</p>",
        }
    )

    document = load(book, "a.epub")

    assert document.title == "A Book"
    assert document.text == "hello\n\n# One\n\nfirst\n\n## Sub\n\nsecond\n"
    assert [section.heading for section in document.sections] == [
        ("Preface",),
        ("One",),
        ("One", "Sub"),
    ]


def test_a_book_with_copy_protection_is_told() -> None:
    cipher = "<enc:CipherReference URI='text/a.xhtml'/>"
    book = epub({"a.xhtml": "\x12\x34"}, **{"META-INF/encryption.xml": cipher})

    with pytest.raises(InputEncrypted, match="copy protection"):
        load(book, "a.epub")


@pytest.mark.parametrize("data", [epub({}), packed({"x": "y"}), b"PK"])
def test_what_is_no_book_says_so(data: bytes) -> None:
    with pytest.raises(InputUnreadable):
        load(data, "a.epub")


# Notebooks


def test_a_notebook_is_prose_and_code_with_what_was_printed() -> None:
    cells = [
        {"cell_type": "markdown", "source": ["before\n", "# Title\n", "words"]},
        {
            "cell_type": "code",
            "source": "# no heading\nprint(1)",
            "outputs": [
                {"output_type": "stream", "text": ["1\n", "2\n"]},
                {"output_type": "display_data", "data": {"image/png": "AAAA"}},
                {"output_type": "execute_result", "data": {"text/plain": "3"}},
                {"output_type": "error", "ename": "KeyError", "evalue": "'x'"},
            ],
        },
        {"cell_type": "markdown", "source": "## Sub"},
    ]

    document = load(json.dumps({"cells": cells, "metadata": {}}), "a.ipynb")

    assert document.title == "Title"
    assert document.text == (
        "before\n\n# Title\nwords\n\n# no heading\nprint(1)\n\n"
        "1\n2\n\n3\n\nKeyError: 'x'\n\n## Sub\n"
    )
    assert [(each.heading, each.kind) for each in document.sections] == [
        ((), "prose"),
        (("Title",), "prose"),
        (("Title",), "code"),
        (("Title", "Sub"), "prose"),
    ]


@pytest.mark.parametrize("text", ["{", '{"worksheets": []}', '{"cells": ' + "[" * 100_000])
def test_what_is_no_notebook_says_so(text: str) -> None:
    with pytest.raises(InputUnreadable, match="not a notebook"):
        load(text, "a.ipynb")


# E-mail


def test_a_mail_names_its_people_and_what_was_attached() -> None:
    mail = EmailMessage()
    mail["From"], mail["To"], mail["Subject"] = "Ann <a@example.org>", "b@example.org", "Grüße"
    mail.set_content("Plain words, größer.\n")
    mail.add_alternative("<p>HTML</p>", subtype="html")
    mail.add_attachment(b"\0", maintype="application", subtype="pdf", filename="invoice.pdf")

    document = load(mail.as_bytes(), "a.eml")

    assert document.title == "Grüße"
    assert document.text == (
        "From: Ann <a@example.org>\nTo: b@example.org\nSubject: Grüße\n\n"
        "Plain words, größer.\n\nAttachments: invoice.pdf\n"
    )


def test_a_mail_of_html_alone_becomes_markdown() -> None:
    mail = b"Subject: x\nContent-Type: text/html; charset=cp1252\n\n<h1>Gr\xf6\xdfer</h1>"

    assert load(mail, "a.eml").text == "Subject: x\n\n# Größer\n"


def test_a_mail_in_a_charset_nobody_knows_is_read_by_its_letters() -> None:
    mail = "Content-Type: text/plain; charset=x-none\n\nDie Größe der Straße".encode("latin-1")

    assert load(mail, "a.eml").text == "Die Größe der Straße\n"
