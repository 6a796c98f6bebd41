"""PDF by PDFium: a section for each page, under the outline's headings."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, ClassVar

from agentctl.core.errors import InputEncrypted, InputUnreadable
from agentctl.core.knowledge.documents import Document
from agentctl.core.knowledge.loaders.base import DocumentBuilder, HeadingPath

if TYPE_CHECKING:
    from pypdfium2 import PdfDocument  # type: ignore[import-untyped]  # it ships no types

# https://pdfium.googlesource.com/pdfium/+/refs/heads/main/public/fpdfview.h: FPDF_ERR_PASSWORD
_WRONG_PASSWORD = 4
# PDFium joins a word that was broken at a line's end, and leaves this where the hyphen was.
_BROKEN_HYPHEN = "\x02"
_MOST_HEADINGS = 20_000


class PdfLoader:
    """The text of its pages; what is drawn as a picture is not read."""

    is_isolated: ClassVar[bool] = True

    def load(self, data: bytes, name: str) -> Document:
        from pypdfium2 import PdfDocument, PdfiumError

        try:
            pdf = PdfDocument(data)
        except PdfiumError as error:
            if error.err_code == _WRONG_PASSWORD:
                raise InputEncrypted(
                    f"{name} is protected by a password", "save a copy of it without the password"
                ) from None
            raise InputUnreadable(
                f"{name} is not a PDF, or is damaged", "open it in a viewer and print it to a file"
            ) from None
        return _document(pdf, name)


def _document(pdf: "PdfDocument", name: str) -> Document:
    builder = DocumentBuilder()
    headings = dict(_outline(pdf))
    heading: tuple[str, ...] = ()
    empty = 0
    for index in range(len(pdf)):
        heading = headings.get(index, heading)
        builder.begin(heading, page=index + 1)
        text = _page_text(pdf, index)
        empty += not text.strip()
        builder.add(text)
    if builder.is_empty:
        raise InputUnreadable(
            f"{name} holds pictures of pages, and no text",
            f"recognise its text first, for example: ocrmypdf {name} {name}",
        )
    warnings = [f"{name}: {empty} of {len(pdf)} pages have no text"] if empty else []
    title = pdf.get_metadata_value("Title")
    return builder.document(title, "application/pdf", warnings)


def _page_text(pdf: "PdfDocument", index: int) -> str:
    """The text of one page; a damaged page has none."""
    from pypdfium2 import PdfiumError

    try:
        page = pdf[index]
        text_page = page.get_textpage()
        text = str(text_page.get_text_bounded())
    except PdfiumError:
        return ""
    text_page.close()
    page.close()
    return text.replace(_BROKEN_HYPHEN, "").replace("\r\n", "\n").replace("\r", "\n")


def _outline(pdf: "PdfDocument") -> Iterator[tuple[int, tuple[str, ...]]]:
    """(page counted from 0, path of headings) for every bookmark that names a page."""
    path = HeadingPath()
    for number, bookmark in enumerate(pdf.get_toc()):
        if number == _MOST_HEADINGS:
            return
        heading = path.enter(bookmark.level + 1, bookmark.get_title() or "")
        target = bookmark.get_dest()
        page = target.get_index() if target else None
        if page is not None:
            yield page, heading
