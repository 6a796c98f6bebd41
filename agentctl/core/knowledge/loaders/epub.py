"""EPUB books (EPUB 3.3, OCF and package document): chapters in reading order."""

from posixpath import dirname, normpath
from typing import TYPE_CHECKING, ClassVar
from urllib.parse import unquote

from agentctl.core.errors import InputEncrypted, InputUnreadable
from agentctl.core.knowledge.documents import Document
from agentctl.core.knowledge.loaders.archive import Archive
from agentctl.core.knowledge.loaders.base import DocumentBuilder
from agentctl.core.knowledge.loaders.markup import html_document, parse_markup

if TYPE_CHECKING:
    from bs4 import BeautifulSoup

MEDIA_TYPE = "application/epub+zip"
_CONTAINER = "META-INF/container.xml"
_ENCRYPTION = "META-INF/encryption.xml"


class EpubLoader:
    """The text of its chapters; a chapter without headings is under its page's title."""

    is_isolated: ClassVar[bool] = True

    def load(self, data: bytes, name: str) -> Document:
        archive = Archive(data, name)
        root = parse_markup(archive.read(_CONTAINER)).find("rootfile")
        package = unquote(str(root.get("full-path", ""))) if root else ""
        book = parse_markup(archive.read(package))
        chapters = _chapters(book, package, archive)
        if not chapters:
            raise InputUnreadable(f"{name} names no chapters", "open it in an e-book reader")
        _refuse_locked(archive, chapters, name)
        builder = DocumentBuilder()
        for part in chapters:
            chapter = html_document(archive.read(part))
            has_heading = any(section.heading for section in chapter.sections)
            above = () if has_heading or not chapter.title else (chapter.title,)
            builder.add_document(chapter, above)
        title = book.find("dc:title")
        return builder.document(title.get_text() if title else "", MEDIA_TYPE)


def _chapters(book: "BeautifulSoup", package: str, archive: Archive) -> list[str]:
    """The parts of the spine that are there, each once."""
    items = {str(item.get("id")): item for item in book.find_all("item")}
    parts: dict[str, None] = {}
    for reference in book.find_all("itemref"):
        item = items.get(str(reference.get("idref")))
        if item is not None and "html" in str(item.get("media-type")):
            part = normpath(f"{dirname(package)}/{unquote(str(item.get('href')))}").lstrip("/")
            if part in archive:
                parts[part] = None
    return list(parts)


def _refuse_locked(archive: Archive, chapters: list[str], name: str) -> None:
    """Books with copy protection list what is encrypted; fonts are often, without harm."""
    if _ENCRYPTION not in archive:
        return
    references = parse_markup(archive.read(_ENCRYPTION)).find_all(
        lambda tag: tag.name.endswith("cipherreference")
    )
    if set(chapters) & {unquote(str(each.get("uri"))) for each in references}:
        raise InputEncrypted(f"{name} has copy protection", "use a copy without protection")
