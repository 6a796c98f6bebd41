"""Jupyter notebooks (nbformat 4): prose and code cell by cell, with what was printed."""

from dataclasses import dataclass, field
from typing import ClassVar, Literal, TypeAlias

from agentctl.core.errors import InputUnreadable
from agentctl.core.jsontypes import JsonObject
from agentctl.core.knowledge.documents import Document
from agentctl.core.knowledge.loaders.base import DocumentBuilder, HeadingPath
from agentctl.core.knowledge.loaders.encoding import decode
from agentctl.core.knowledge.loaders.markdown import headings, plain_heading

MEDIA_TYPE = "application/x-ipynb+json"
# https://nbformat.readthedocs.io/en/latest/format_description.html
_Text: TypeAlias = str | list[str]


@dataclass(frozen=True, slots=True)
class _Output:
    output_type: str = ""
    text: _Text = ""
    data: JsonObject = field(default_factory=dict)
    ename: str = ""
    evalue: str = ""


@dataclass(frozen=True, slots=True)
class _Cell:
    cell_type: Literal["markdown", "code", "raw"]
    source: _Text = ""
    outputs: list[_Output] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Notebook:
    cells: list[_Cell]


class NotebookLoader:
    """Its cells under the headings of its prose; pictures and pages that were output are not."""

    is_isolated: ClassVar[bool] = False

    def load(self, data: bytes, name: str) -> Document:
        import msgspec

        text, warnings = decode(data, name)
        try:
            notebook = msgspec.json.decode(text, type=_Notebook)
        except (msgspec.DecodeError, RecursionError) as error:
            raise InputUnreadable(
                f"{name} is not a notebook of today's format: {error}",
                f"jupyter nbconvert --to notebook --nbformat 4 {name}",
            ) from None
        reader = _Reader()
        for cell in notebook.cells:
            reader.read(cell)
        return reader.builder.document(reader.title, MEDIA_TYPE, warnings)


class _Reader:
    def __init__(self) -> None:
        self.builder = DocumentBuilder()
        self.title = ""
        self._path = HeadingPath()

    def read(self, cell: _Cell) -> None:
        source = _joined(cell.source)
        if cell.cell_type == "markdown":
            self._prose(source)
            return
        self.builder.begin(self._path.titles, kind="code" if cell.cell_type == "code" else "prose")
        self.builder.add(source)
        for output in cell.outputs:
            self.builder.add(_shown(output))

    def _prose(self, source: str) -> None:
        self.builder.begin(self._path.titles)
        done = 0
        for position, level, title in headings(source):
            self.builder.add(source[done:position])
            done = position
            self.title = self.title or plain_heading(title)
            self.builder.begin(self._path.enter(level, plain_heading(title)))
        self.builder.add(source[done:])


def _shown(output: _Output) -> str:
    """What an output says in words."""
    if output.output_type == "error":
        return f"{output.ename}: {output.evalue}"
    plain = output.data.get("text/plain", "")
    lines = plain if isinstance(plain, list) else [plain]
    return _joined(output.text) or "".join(line for line in lines if isinstance(line, str))


def _joined(text: _Text) -> str:
    return text if isinstance(text, str) else "".join(text)
