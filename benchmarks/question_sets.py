"""Questions with known answers: sets on disk, and three made of what comes with Python.

A set is a folder with `docs/` and `queries.json`, a list of
`{"query": …, "gold": [{"doc": name, "kind": "span" | "region" | "doc", "text": …}]}`: the file
names are unique, a `span` must be covered, of a `region` its beginning, of a `doc` any part.
"""

import ast
import json
import random
import re
import sysconfig
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from agentctl.core.knowledge.scoring import Relevant

# Words of a region that a hit must cover.
BEGINNING = 30
QUESTIONS = 300
MODULES = """
argparse bisect calendar cmd configparser contextlib copy csv datetime difflib fileinput fractions
ftplib functools gettext glob gzip heapq imaplib inspect ipaddress linecache locale mailbox
mimetypes os pathlib pickle platform pprint queue random sched secrets shelve shlex shutil smtplib
socketserver statistics string subprocess tarfile tempfile textwrap threading tokenize uuid wave
webbrowser zipfile
"""


@dataclass(frozen=True)
class Question:
    query: str
    relevant: tuple[Relevant, ...]


@dataclass(frozen=True)
class QuestionSet:
    """A folder of documents, and what is asked about them."""

    name: str
    docs: Path
    questions: tuple[Question, ...]


def load(folder: Path) -> QuestionSet:
    """Raises OSError, or KeyError and ValueError when it is no such folder."""
    rows = json.loads((folder / "queries.json").read_text(encoding="utf-8"))
    questions = [
        Question(row["query"], tuple(_relevant(gold) for gold in row["gold"])) for row in rows
    ]
    return QuestionSet(folder.name, folder / "docs", tuple(questions))


def generate(folder: Path) -> Iterator[QuestionSet]:
    """Writes and yields source code, manuals and summaries; the same for the same Python."""
    for name, make in (("code", _code), ("manual", _manual), ("summaries", _summaries)):
        docs = folder / name / "docs"
        docs.mkdir(parents=True, exist_ok=True)
        questions = list(make(lambda file, text, docs=docs: _write(docs / file, text)))
        random.Random(1).shuffle(questions)
        yield QuestionSet(name, docs, tuple(questions[:QUESTIONS]))


def _write(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8")


def _relevant(gold: dict[str, str]) -> Relevant:
    if gold["kind"] == "doc":
        return Relevant(gold["doc"])
    return Relevant(
        gold["doc"], _beginning(gold["text"]) if gold["kind"] == "region" else gold["text"]
    )


def _beginning(text: str) -> str:
    return " ".join(text.split()[:BEGINNING])


def _code(write: Callable[[str, str], None]) -> Iterator[Question]:
    """What a function of the standard library does: the docstring asks, and is taken out."""
    library = Path(sysconfig.get_paths()["stdlib"])
    for module in MODULES.split():
        path = library / f"{module}.py"
        if not path.exists():
            continue
        source = path.read_text(encoding="utf-8")
        lines = source.splitlines(keepends=True)
        functions, gone = [], set()
        for node in ast.walk(ast.parse(source)):
            if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef):
                says = ast.get_docstring(node)
                if says and len(node.body) > 1:
                    gone |= set(range(node.body[0].lineno, (node.body[0].end_lineno or 0) + 1))
                    functions += [(node, says)] if isinstance(node, ast.FunctionDef) else []
        write(f"{module}.py", "".join(line for n, line in enumerate(lines, 1) if n not in gone))
        for node, says in functions:
            query = re.split(r"\n\s*\n|(?<=\.)\s", says)[0]
            rows = range(node.lineno, (node.end_lineno or 0) + 1)
            body = "".join(lines[n - 1] for n in rows if n not in gone)
            if len(query.split()) >= 5 and body.count("\n") >= 5:
                relevant = Relevant(f"{module}.py", _beginning(body))
                yield Question(" ".join(query.split()), (relevant,))


def _manual(write: Callable[[str, str], None]) -> Iterator[Question]:
    """The language reference that `help()` shows: every other heading asks, and is taken out."""
    from pydoc_data.topics import topics

    for topic, text in sorted(topics.items()):
        sections = re.split(
            r'^(\S.*)\n(?:={4,}|-{4,}|~{4,}|\*{4,}|"{4,})\n', text, flags=re.MULTILINE
        )
        kept = [sections[0]]
        for n, (heading, body) in enumerate(zip(sections[1::2], sections[2::2], strict=True)):
            if n % 2 == 0:
                kept.append(f"{heading}\n{'=' * len(heading)}\n{body}")
                continue
            kept.append(body)
            if len(body.split()) >= BEGINNING:
                relevant = Relevant(f"{topic}.rst", _beginning(body))
                yield Question(heading, (relevant,))
        write(f"{topic}.rst", "".join(kept))


def _summaries(write: Callable[[str, str], None]) -> Iterator[Question]:
    """What a module is for: the first line of its docstring asks for the rest."""
    library = Path(sysconfig.get_paths()["stdlib"])
    seen: set[str] = set()
    for path in sorted(library.rglob("*.py")):
        if {"site-packages", "test", "tests", "idlelib"} & set(path.parts):
            continue
        try:
            says = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))
        except (SyntaxError, ValueError):
            continue
        query, _, rest = (says or "").partition("\n\n")
        # Two modules of one text would have two questions, and no right answer to either.
        if len(rest.split()) >= 40 and len(query.split()) >= 4 and rest not in seen:
            seen.add(rest)
            # The file's name would give the answer away.
            name = f"module-{len(says or '')}-{path.stat().st_size}.txt"
            write(name, rest)
            yield Question(" ".join(query.split()), (Relevant(name),))
