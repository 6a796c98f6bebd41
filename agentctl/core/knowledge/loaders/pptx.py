"""PowerPoint presentations (PresentationML, ECMA-376 part 1, chapter 19): slides as pages."""

from collections.abc import Iterator
from typing import ClassVar
from xml.etree.ElementTree import Element

from agentctl.core.knowledge.documents import Document
from agentctl.core.knowledge.loaders.archive import local_name
from agentctl.core.knowledge.loaders.base import DocumentBuilder, markdown_table, one_line
from agentctl.core.knowledge.loaders.office import (
    Package,
    content,
    paragraph_text,
    related,
    table_rows,
)

MEDIA_TYPE = "application/vnd.openxmlformats-officedocument.presentationml.presentation"
# What PowerPoint calls every presentation that nobody gave a title.
_NO_TITLE = "PowerPoint Presentation"
_TITLES = {"title", "ctrTitle"}
_DECORATION = {"sldNum", "dt", "ftr", "hdr", "sldImg"}


class PptxLoader:
    """A section for each slide: its title, texts, tables and notes."""

    is_isolated: ClassVar[bool] = True

    def load(self, data: bytes, name: str) -> Document:
        package = Package(data, name)
        builder = DocumentBuilder()
        first_title = ""
        slides = package.listed(package.main_part("ppt/presentation.xml"), "sldId")
        for number, (_, part) in enumerate(slides, start=1):
            title = _add_slide(builder, package, part, number)
            first_title = first_title or title
        title = package.title
        return builder.document(first_title if title in ("", _NO_TITLE) else title, MEDIA_TYPE)


def _add_slide(builder: DocumentBuilder, package: Package, part: str, number: int) -> str:
    """The slide's title."""
    root = package.root(part)
    texts = list(_texts(root)) if root is not None else []
    title = one_line(next((text for kind, text in texts if kind in _TITLES), ""))
    builder.begin((title,) if title else (), page=number)
    for kind, text in texts:
        builder.add(f"# {one_line(text)}" if kind in _TITLES else text)
    notes = related(package.relations(part), "notesSlide")
    root = package.root(notes) if notes else None
    for _, text in _texts(root) if root is not None else ():
        builder.add(f"Notes: {text}")
    return title


def _texts(root: Element) -> Iterator[tuple[str, str]]:
    """(kind of placeholder or "", text) of every shape and table, in the order they are drawn."""
    stack = [root]
    while stack:
        element = stack.pop()
        match local_name(element):
            case "sp":
                placeholder = element.find("{*}nvSpPr/{*}nvPr/{*}ph")
                kind = "" if placeholder is None else placeholder.get("type", "")
                if kind not in _DECORATION:
                    yield kind, _shape_text(element)
            case "tbl":
                yield "", markdown_table(table_rows(element))
            case _:
                stack.extend(reversed(list(content(element))))


def _shape_text(shape: Element) -> str:
    paragraphs = shape.findall("{*}txBody/{*}p")
    return "\n".join(filter(None, (paragraph_text(each) for each in paragraphs)))
