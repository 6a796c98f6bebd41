"""Python: sections at the definitions that its own parser finds."""

import ast
from collections.abc import Iterator
from itertools import accumulate
from typing import ClassVar

from agentctl.core.knowledge.documents import Document, Section
from agentctl.core.knowledge.loaders.base import one_line
from agentctl.core.knowledge.loaders.encoding import decode
from agentctl.core.knowledge.loaders.languages import PYTHON
from agentctl.core.knowledge.loaders.source_code import code_document, code_sections

# A syntax tree takes a hundred times the memory of its text; such files were made by a machine.
_LONGEST_PARSED = 2_000_000


class PythonLoader:
    """The file's own text. Code that does not compile is read like that of other languages.

    It is isolated because a hostile expression can end the interpreter that parses it, see
    https://docs.python.org/3/library/ast.html#ast.parse.
    """

    is_isolated: ClassVar[bool] = True

    def load(self, data: bytes, name: str) -> Document:
        text, warnings = decode(data, name)
        try:
            sections = list(_sections(text)) if len(text) <= _LONGEST_PARSED else None
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            sections = None
        found = code_sections(text, PYTHON) if sections is None else iter(sections)
        return code_document(text, "python", found, warnings)


def _sections(text: str) -> Iterator[Section]:
    lines = text.split("\n")
    starts = [0, *accumulate(len(line) + 1 for line in lines)]
    for first, path in _places(ast.parse(text).body, ()):
        line = first - 1
        while line and lines[line - 1].lstrip().startswith("#"):
            line -= 1
        yield Section(starts[line], path, kind="code")


def _places(body: list[ast.stmt], above: tuple[str, ...]) -> Iterator[tuple[int, tuple[str, ...]]]:
    """(line counted from 1, names) where a definition begins, and where what follows it does."""
    is_after = False
    for statement in _flat(body):
        if isinstance(statement, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            path = (*above, one_line(statement.name))
            yield min([statement.lineno, *(each.lineno for each in statement.decorator_list)]), path
            if isinstance(statement, ast.ClassDef):
                yield from _places(statement.body, path)
            is_after = True
        elif is_after:
            yield statement.lineno, above
            is_after = False


def _flat(body: list[ast.stmt]) -> Iterator[ast.stmt]:
    """The statements, with those that stand in conditions: definitions there count as well."""
    for statement in body:
        yield statement
        if isinstance(statement, ast.If | ast.Try | ast.With):
            for field in ("body", "handlers", "orelse", "finalbody"):
                for inner in getattr(statement, field, ()):
                    yield from _flat(inner.body if field == "handlers" else [inner])
