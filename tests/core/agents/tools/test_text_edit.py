"""Editing any text at all: what is not meant stays, and a diff says what changes."""

from hypothesis import assume, given
from hypothesis import strategies as st

from agentctl.core.agents.tools.text_edit import EditableText, unified_diff
from agentctl.core.errors import ToolFailed

LINES = st.lists(st.text("ab ü👍\x0b\u2028", max_size=4), max_size=8)
ENDS = st.sampled_from(["\n", "\r\n"])


def joined(lines: list[str], ends: list[str]) -> str:
    return "".join(line + end for line, end in zip(lines, [*ends, ""], strict=True))


@st.composite
def mixed_text(draw: st.DrawFn) -> str:
    lines = draw(LINES) or [""]
    return joined(lines, [draw(ENDS) for _ in lines[1:]])


@given(data=st.binary(max_size=40) | mixed_text().map(str.encode))
def test_any_bytes_are_refused_or_come_back_unchanged(data: bytes) -> None:
    try:
        text = EditableText.decode(data, "a")
    except ToolFailed:
        return
    assert text.encode() == data


@given(text=mixed_text(), new=st.text("cdü\n", max_size=12), ends=st.data())
def test_an_edit_taken_back_gives_the_bytes_that_were_there(
    text: str, new: str, ends: st.DataObject
) -> None:
    before = EditableText.decode(text.encode(), "a")
    start = ends.draw(st.integers(0, len(before.text)))
    stop = ends.draw(st.integers(start, len(before.text)))
    old = before.text[start:stop]
    after = EditableText.decode(before.replaced(old, new, [start]).encode(), "a")
    # A kind of line end that no line has any more is forgotten, and in a file of both kinds which
    # of them those had that were taken out.
    kept = new.count("\n") >= old.count("\n")
    assume(kept or (len(set(before.ends)) < 2 and after.ends))

    assert after.text == before.text[:start] + new + before.text[stop:]
    assert after.replaced(new, old, [start]).encode() == text.encode()


@given(text=mixed_text(), old=st.text("ab \n", min_size=1, max_size=3), new=st.text("ab\n"))
def test_all_that_is_not_replaced_stays(text: str, old: str, new: str) -> None:
    before = EditableText.decode(text.encode(), "a")
    places = [*before.places_of(old, len(old))]

    after = before.replaced(old, new, places)

    assert after.text == before.text.replace(old, new)
    assert after.encode().decode().replace("\r\n", "\n") == after.text
    if before.ends and len(set(before.ends)) == 1:
        assert set(after.ends) <= set(before.ends)


@given(old=LINES.map("\n".join), new=LINES.map("\n".join))
def test_a_diff_is_empty_only_when_nothing_changes(old: str, new: str) -> None:
    assert bool(unified_diff(old, new, "a")) == (old != new)


@given(
    head=st.lists(st.sampled_from("abc"), max_size=12),
    tail=st.lists(st.sampled_from("abc"), max_size=12),
    middle=st.lists(st.sampled_from("abxy"), min_size=1, max_size=12),
)
def test_a_diff_says_what_to_do_and_where(
    head: list[str], tail: list[str], middle: list[str]
) -> None:
    assume(head + tail)
    old, new = "\n".join([*head, *tail]), "\n".join([*head, *middle, *tail])
    assert patched(old, unified_diff(old, new, "a")) == new


def patched(old: str, diff: str) -> str:
    """Does what the diff says, by its own line numbers."""
    lines, result, done = old.split("\n"), list[str](), 0
    for line in diff.split("\n")[2:]:
        if line.startswith("@@"):
            start, _, count = line.split()[1][1:].partition(",")
            # With no lines of the old text, the number is that of the line before.
            begin = int(start) - (count != "0")
            result += lines[done:begin]
            done = begin
        elif line.startswith("+"):
            result.append(line[1:])
        else:
            assert lines[done] == line[1:]
            result += [line[1:]] if line.startswith(" ") else []
            done += 1
    return "\n".join(result + lines[done:])
