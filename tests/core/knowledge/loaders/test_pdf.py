"""PDF: pages, headings from the outline, and what cannot be read."""

import pytest

from agentctl.core.errors import InputEncrypted, InputUnreadable
from agentctl.core.knowledge.loaders.pdf import PdfLoader
from tests.support.sample_files import ENCRYPTED_PDF, pdf


def test_each_page_is_a_section_under_the_outlines_headings() -> None:
    data = pdf("one", "two", "three", title="The Book", outline={"First": 0, "Last": 2})

    document = PdfLoader().load(data, "a.pdf")

    assert document.title == "The Book"
    assert document.text == "one\n\ntwo\n\nthree\n"
    assert [(each.start, each.page, each.heading) for each in document.sections] == [
        (0, 1, ("First",)),
        (5, 2, ("First",)),
        (10, 3, ("Last",)),
    ]


def test_pages_without_text_are_told_and_keep_their_numbers() -> None:
    document = PdfLoader().load(pdf("", "two"), "a.pdf")

    assert [(section.start, section.page) for section in document.sections] == [(0, 2)]
    assert document.warnings == ("a.pdf: 1 of 2 pages have no text",)


def test_a_scanned_pdf_says_what_would_help() -> None:
    with pytest.raises(InputUnreadable, match="pictures of pages") as caught:
        PdfLoader().load(pdf("", ""), "scan.pdf")
    assert "ocrmypdf" in caught.value.hint


def test_a_password_is_not_asked_for() -> None:
    with pytest.raises(InputEncrypted, match=r"a\.pdf is protected by a password"):
        PdfLoader().load(ENCRYPTED_PDF, "a.pdf")


@pytest.mark.parametrize("data", [b"", b"%PDF-1.4\nnothing", pdf("x" * 100)[:300]])
def test_a_damaged_pdf_is_told(data: bytes) -> None:
    with pytest.raises(InputUnreadable, match="not a PDF, or is damaged"):
        PdfLoader().load(data, "a.pdf")
