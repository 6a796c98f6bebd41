"""What Word, PowerPoint and Excel files share: Office Open XML packages (ECMA-376).

They are read by the standard library alone: python-docx, python-pptx and openpyxl would bring 40 MB
of dependencies, read whole trees into memory, and inflate whatever a file tells them to.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from posixpath import dirname, normpath
from xml.etree.ElementTree import Element

from agentctl.core.knowledge.loaders.archive import (
    Archive,
    attribute,
    local_name,
    parse_xml,
    xml_children,
)

# Elements that stand around content without being any.
_WRAPPERS = {"sdt", "sdtContent", "ins", "moveTo", "customXml", "AlternateContent", "Choice"}


@dataclass(frozen=True, slots=True)
class Relation:
    """A link from one part to another: the last word of its type, and the other part's name."""

    kind: str
    target: str


class Package:
    """The XML parts of an Office file."""

    def __init__(self, data: bytes, name: str) -> None:
        """Raises InputUnreadable, InputEncrypted."""
        self._archive = Archive(data, name)
        self.name = name

    def main_part(self, usual: str) -> str:
        """The part that everything else hangs on."""
        relations = self.relations("").values()
        return next((each.target for each in relations if each.kind == "officeDocument"), usual)

    @property
    def title(self) -> str:
        """The title in the file's properties."""
        root = self.root("docProps/core.xml")
        return "" if root is None else (root.findtext("{*}title") or "").strip()

    def root(self, part: str) -> Element | None:
        """The part's root element, None when there is no such part."""
        if part not in self._archive:
            return None
        with self._archive.open(part) as stream:
            return parse_xml(stream, self.name)

    def children(self, part: str, depth: int) -> Iterator[Element]:
        """The elements `depth` below the part's root, one at a time."""
        with self._archive.open(part) as stream:
            yield from xml_children(stream, self.name, depth)

    def relations(self, part: str) -> dict[str, Relation]:
        """By id; of the package itself when `part` is empty. Links that lead outside are none."""
        folder, _, file = part.rpartition("/")
        root = self.root(f"{folder}/_rels/{file}.rels".lstrip("/"))
        found: dict[str, Relation] = {}
        for relation in root if root is not None else ():
            target = relation.get("Target", "")
            if relation.get("TargetMode") != "External":
                path = target if target.startswith("/") else f"{dirname(part)}/{target}"
                kind = relation.get("Type", "").rpartition("/")[2]
                found[relation.get("Id", "")] = Relation(kind, normpath(path).lstrip("/"))
        return found

    def listed(self, part: str, item: str) -> Iterator[tuple[Element, str]]:
        """The elements named `item` in the part, each with the part it refers to."""
        root = self.root(part)
        relations = self.relations(part)
        for element in root.iter() if root is not None else ():
            if local_name(element) == item:
                ids = (value for key, value in element.items() if key.endswith("}id"))
                relation = relations.get(next(ids, ""))
                if relation is not None and relation.target in self._archive:
                    yield element, relation.target


def related(relations: dict[str, Relation], kind: str) -> str | None:
    """The first part of that kind."""
    return next((each.target for each in relations.values() if each.kind == kind), None)


def content(element: Element) -> Iterator[Element]:
    """The element's children, those inside of wrappers too, in order."""
    stack = list(reversed(element))
    while stack:
        child = stack.pop()
        if local_name(child) in _WRAPPERS:
            stack.extend(reversed(child))
        elif local_name(child) != "Fallback":  # the older twin of a Choice
            yield child


def paragraph_text(paragraph: Element) -> str:
    """What can be read in a paragraph of Word or PowerPoint, text boxes within it too."""
    pieces: list[str] = []
    stack = list(reversed(paragraph))
    while stack:
        element = stack.pop()
        match local_name(element):
            case "t":
                pieces.append(element.text or "")
            case "tab":
                pieces.append("\t")
            case "br" | "cr":
                pieces.append("\n")
            case "noBreakHyphen":
                pieces.append("-")
            case "footnoteReference" | "endnoteReference":
                pieces.append(f"[^{attribute(element, 'id')}]")
            # Properties, the older twin of a text box, and what was moved elsewhere.
            case "pPr" | "rPr" | "Fallback" | "moveFrom":
                pass
            case kind:
                if kind == "p":
                    pieces.append("\n")
                stack.extend(reversed(element))
    return "".join(pieces).strip()


def table_rows(table: Element) -> Iterator[list[str]]:
    """The text of each row's cells."""
    for row in content(table):
        if local_name(row) == "tr":
            yield [_cell_text(cell) for cell in content(row) if local_name(cell) == "tc"]


def _cell_text(cell: Element) -> str:
    # A cell of PowerPoint holds its paragraphs in a body.
    paragraphs = [each for each in cell.iter() if local_name(each) == "p"]
    return " ".join(filter(None, (paragraph_text(each) for each in paragraphs)))
