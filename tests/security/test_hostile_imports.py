"""An export may come from a stranger: a line of it is taken in whole, or named and refused."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentctl.core.errors import AgentctlError, InputHostile, InputUnreadable
from agentctl.core.knowledge import transfer
from agentctl.core.knowledge.transfer import export_lines, import_lines
from tests.support.knowledge import Library, write

Json = Any  # any JSON


@pytest.fixture(scope="module")
def lines(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """An honest export: the header, and one document of two chunks."""
    folder = tmp_path_factory.mktemp("honest")
    library = Library(folder / "library")
    write(folder / "notes", apple="# Apple\n\n" + "Apples are red. " * 200)
    library.ingest(folder / "notes")
    return [*export_lines(library.store, None)]


def import_text(folder: Path, *lines: str) -> Library:
    file = folder / "hostile.jsonl"
    file.write_text("\n".join(lines), encoding="utf-8", errors="surrogatepass")
    library = Library(folder / "library")
    import_lines(str(file), library.store, library.profiled(), lambda step: None, lambda: False)
    return library


def vectors(change: Callable[[list[str]], list[str]]) -> Callable[[Json], Json]:
    """Changes the vectors' base64, in order."""

    def changed(row: Json) -> Json:
        values = change([*row["vectors"].values()])
        return row | {"vectors": dict(zip(row["vectors"], values, strict=True))}

    return changed


def sections(*rows: Json, has_lines: Json = True) -> dict[str, str]:
    return {"sections": json.dumps([has_lines, rows])}


HOSTILE: dict[str, Json] = {
    "a vector that is too short": vectors(lambda each: [each[0][:4], *each[1:]]),
    "no vector": vectors(lambda each: ["" for _ in each]),
    "a vector that takes from another": vectors(lambda each: [each[0] + each[1], "", *each[2:]]),
    "a vector of no numbers": vectors(lambda each: ["AH4" * (len(text) // 3) for text in each]),
    "a key that is no key": {"vectors": {"xyz": "AAAA"}},
    "a section before the text": sections([-5, [], None, "prose"]),
    "a section behind the text": sections([0, [], None, "prose"], [10**9, [], None, "prose"]),
    "sections that go back": sections(
        [0, [], None, "prose"], [5, [], None, "prose"], [5, [], 1, "prose"]
    ),
    "a text before the first section": sections([5, [], None, "prose"]),
    "a start that is no number": sections(["0", [], None, "prose"]),
    "a heading that is none": sections([0, [5], None, "prose"]),
    "a heading that is a text": sections([0, "heading", None, "prose"]),
    "a page that is none": sections([0, [], "\x1b[31m", "prose"]),
    "an unknown kind": sections([0, [], None, "evil"]),
    "lines that are neither": sections([0, [], None, "prose"], has_lines="perhaps"),
    "deep sections": {"sections": "[" * 100_000},
    "a moment that is none": {"modified": "yesterday"},
    "another one": {"ingested": "\x1b]0;x\x07"},
    "a size below nothing": {"size": -1},
    "an endless size": {"size": 10**30},
    "half a character": {"text": "\ud800"},
    "no path": {"path": ""},
    "no collection": {"collection": ""},
    "a collection that writes to terminals": {"collection": "\x1b[2J"},
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_line_that_lies_is_refused(name: str, lines: list[str], tmp_path: Path) -> None:
    row, change = json.loads(lines[1]), HOSTILE[name]
    changed = change(row) if callable(change) else row | change

    with pytest.raises(InputUnreadable, match=r"hostile\.jsonl:2"):
        import_text(tmp_path, lines[0], json.dumps(changed))


def test_a_line_without_end_is_not_read_to_its_end(
    lines: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transfer, "LONGEST_LINE", 100_000)

    with pytest.raises(InputHostile, match=r"hostile\.jsonl:2"):
        import_text(tmp_path, lines[0], json.dumps(json.loads(lines[1]) | {"text": "x" * 200_000}))


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=5,
)


@given(data=st.data())
def test_whatever_stands_in_a_line_it_is_imported_whole_or_refused(
    data: st.DataObject, lines: list[str], tmp_path_factory: pytest.TempPathFactory
) -> None:
    row = json.loads(lines[1])
    key = data.draw(st.sampled_from(sorted(row)))
    row[key] = data.draw(st.text(max_size=30) if isinstance(row[key], str) else values)
    if key == "sections" and data.draw(st.booleans()):
        row[key] = json.dumps(data.draw(values))

    try:
        library = import_text(tmp_path_factory.mktemp("any"), lines[0], json.dumps(row))
    except AgentctlError as error:
        assert isinstance(error, InputUnreadable)
        return
    library.assert_whole()
    for entry in library.store.entries(None):
        library.store.document(entry.id)
    library.hits("red apples")
