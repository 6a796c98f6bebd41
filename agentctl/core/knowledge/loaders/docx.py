"""Word documents (WordprocessingML, ECMA-376 part 1, chapter 17) as Markdown."""

from typing import ClassVar
from xml.etree.ElementTree import Element

from agentctl.core.knowledge.documents import Document
from agentctl.core.knowledge.loaders.archive import attribute, local_name
from agentctl.core.knowledge.loaders.base import DocumentBuilder, HeadingPath, markdown_table
from agentctl.core.knowledge.loaders.office import (
    Package,
    content,
    paragraph_text,
    related,
    table_rows,
)

MEDIA_TYPE = "application/vnd.openxmlformats-officedocument.wordprocessingml.document"
_DEEPEST_STYLE = 20


class DocxLoader:
    """Headings, paragraphs, lists, tables and notes; its title is the one printed in it."""

    is_isolated: ClassVar[bool] = True

    def load(self, data: bytes, name: str) -> Document:
        package = Package(data, name)
        part = package.main_part("word/document.xml")
        relations = package.relations(part)
        reader = _Reader(_styles(package, related(relations, "styles")))
        for block in package.children(part, depth=2):
            reader.read(block)
        for kind in ("footnotes", "endnotes"):
            reader.read_notes(package, related(relations, kind))
        title = reader.title or package.title or reader.first_heading
        return reader.builder.document(title, MEDIA_TYPE)


class _Styles:
    """What a style's id means: the lower-case name, and the level of heading or None."""

    def __init__(self, root: Element | None) -> None:
        styles = root.findall("{*}style") if root is not None else []
        self._styles = {attribute(style, "styleId") or "": style for style in styles}

    def name(self, style: str) -> str:
        element = self._styles.get(style)
        return (_value(element, "{*}name") or style).lower() if element is not None else style

    def level(self, style: str) -> int | None:
        """The level of the style's headings, as it says itself or as one it is based on says."""
        for _ in range(_DEEPEST_STYLE):
            element = self._styles.get(style)
            name = self.name(style)
            if name.startswith("heading ") and name[8:].isdecimal():
                return int(name[8:11])
            if element is None:
                return None
            outline = _value(element, "{*}pPr/{*}outlineLvl")
            if outline is not None:
                return _outline_level(outline)
            style = _value(element, "{*}basedOn") or ""
        return None


def _styles(package: Package, part: str | None) -> _Styles:
    return _Styles(package.root(part) if part else None)


class _Reader:
    def __init__(self, styles: _Styles) -> None:
        self.builder = DocumentBuilder()
        self.title = self.first_heading = ""
        self._styles = styles
        self._path = HeadingPath()

    def read(self, block: Element) -> None:
        """Adds a child of the body."""
        match local_name(block):
            case "p":
                self._paragraph(block)
            case "tbl":
                self.builder.add(markdown_table(table_rows(block)))
            case "sectPr":
                pass
            case _:
                for child in content(block):
                    if local_name(child) in ("p", "tbl"):
                        self.read(child)

    def read_notes(self, package: Package, part: str | None) -> None:
        """Adds the footnotes or endnotes, without the lines drawn above them."""
        for note in package.children(part, depth=1) if part else ():
            text = " ".join(paragraph_text(each) for each in note.iter() if local_name(each) == "p")
            if attribute(note, "type") is None and text.strip():
                self.builder.add(f"[^{attribute(note, 'id')}]: {text.strip()}")

    def _paragraph(self, paragraph: Element) -> None:
        text = paragraph_text(paragraph)
        style = _value(paragraph, "{*}pPr/{*}pStyle") or ""
        name = self._styles.name(style)
        if not text or name.startswith("toc "):
            return
        outline = _value(paragraph, "{*}pPr/{*}outlineLvl")
        level = self._styles.level(style) if outline is None else _outline_level(outline)
        if name == "title":
            self.title = self.title or text
            level = level or 1
        if level is not None:
            self.first_heading = self.first_heading or text
            self.builder.begin(self._path.enter(level, text))
            self.builder.add("#" * min(level, 6) + " " + " ".join(text.split()))
        elif name.startswith("list") or paragraph.find("{*}pPr/{*}numPr") is not None:
            self.builder.add(f"- {text}", end="\n")
        else:
            self.builder.add(text)


def _value(element: Element, path: str) -> str | None:
    """The `val` of the element at `path`."""
    found = element.find(path)
    return None if found is None else attribute(found, "val")


def _outline_level(value: str) -> int | None:
    """0 to 8 are the levels of headings, 9 is body text."""
    return int(value) + 1 if value in {str(level) for level in range(9)} else None
