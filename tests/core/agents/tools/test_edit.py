"""`write_file` and `edit_file`: what is changed, what stays, and what the user sees before."""

import asyncio
import os
import stat
from dataclasses import dataclass
from pathlib import Path

import pytest

from agentctl.core.agents.tools.base import ToolOutput, Touches, Workplace
from agentctl.core.agents.tools.edit import EditFile, WriteFile
from agentctl.core.errors import ToolFailed
from agentctl.core.jsontypes import Json

on_posix = pytest.mark.skipif(os.name != "posix", reason="modes, links and pipes as on POSIX")
not_as_root = pytest.mark.skipif(
    os.name != "posix" or os.geteuid() == 0, reason="root may write everything"
)


@dataclass(frozen=True)
class Desk:
    """A work folder, and the tools that change it."""

    place: Workplace

    @property
    def folder(self) -> Path:
        return self.place.folder

    def put(self, name: str, data: bytes) -> Path:
        (self.folder / name).write_bytes(data)
        return self.folder / name

    def edit(self, path: str, old: str, new: str, **args: Json) -> ToolOutput:
        return asyncio.run(EditFile().run(_edit(path, old, new, **args), self.place))

    def preview_edit(self, path: str, old: str, new: str, **args: Json) -> str:
        return EditFile().preview(_edit(path, old, new, **args), self.place)

    def write(self, path: str, content: str) -> ToolOutput:
        return asyncio.run(WriteFile().run({"path": path, "content": content}, self.place))

    def preview_write(self, path: str, content: str) -> str:
        return WriteFile().preview({"path": path, "content": content}, self.place)


def _edit(path: str, old: str, new: str, **args: Json) -> dict[str, Json]:
    return {"path": path, "old_text": old, "new_text": new, **args}


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    folder = (tmp_path / "work").resolve()
    folder.mkdir()
    return Desk(Workplace(folder=folder, scratch=tmp_path))


# Writing


def test_a_file_is_made_with_the_folders_above_it(desk: Desk) -> None:
    output = desk.write("a/b/c.txt", "grün\n")

    assert (desk.folder / "a/b/c.txt").read_bytes() == "grün\n".encode()
    assert output == ToolOutput("wrote a/b/c.txt, 6 bytes", ("a/b/c.txt",))


def test_a_file_is_replaced_as_a_whole_and_nothing_is_left_beside_it(desk: Desk) -> None:
    desk.put("a.txt", b"old and longer")
    desk.write("a.txt", "new")

    assert [path.name for path in desk.folder.iterdir()] == ["a.txt"]
    assert (desk.folder / "a.txt").read_bytes() == b"new"


@on_posix
@pytest.mark.parametrize("mode", [0o600, 0o755, 0o640])
def test_a_replaced_file_keeps_its_mode(mode: int, desk: Desk) -> None:
    desk.put("a.txt", b"old").chmod(mode)
    desk.write("a.txt", "new")
    assert stat.S_IMODE((desk.folder / "a.txt").stat().st_mode) == mode
    desk.edit("a.txt", "new", "newer")
    assert stat.S_IMODE((desk.folder / "a.txt").stat().st_mode) == mode


@on_posix
def test_what_a_model_wrote_does_not_run_as_its_owner(desk: Desk) -> None:
    desk.put("a.sh", b"old").chmod(0o4755)
    desk.write("a.sh", "new")
    assert stat.S_IMODE((desk.folder / "a.sh").stat().st_mode) == 0o755


@on_posix
def test_a_new_file_has_the_mode_of_any_new_file(desk: Desk) -> None:
    desk.write("made", "x")
    by_hand = desk.put("by-hand", b"x")
    assert (desk.folder / "made").stat().st_mode == by_hand.stat().st_mode


@on_posix
def test_a_link_stays_a_link_and_its_file_is_what_the_gate_is_told_of(
    desk: Desk, tmp_path: Path
) -> None:
    target = tmp_path.resolve() / "outside.txt"
    target.write_text("old")
    (desk.folder / "link").symlink_to(target)

    assert WriteFile().touches({"path": "link", "content": ""}, desk.place) == Touches(
        writes=(target,)
    )
    assert EditFile().touches(_edit("link", "a", "b"), desk.place) == Touches(
        reads=(target,), writes=(target,)
    )
    desk.write("link", "new")
    assert (desk.folder / "link").is_symlink()
    assert target.read_text() == "new"


@pytest.mark.parametrize(
    ("path", "message"),
    [
        (".", "is a folder"),
        ("a.txt/b", "a.txt/b: (Not a directory|File exists)"),
        ("x" * 300, "too long"),
        ("", "is no path"),
        ("pipe", "is no regular file"),
        ("/dev/null", "is no regular file"),
        ("/proc/made", "/proc/made: "),
    ],
)
@on_posix
def test_what_cannot_be_written_is_told(path: str, message: str, desk: Desk) -> None:
    desk.put("a.txt", b"x")
    os.mkfifo(desk.folder / "pipe")
    with pytest.raises(ToolFailed, match=message):
        desk.write(path, "x")


@not_as_root
def test_a_read_only_file_is_not_replaced(desk: Desk) -> None:
    desk.put("a.txt", b"old").chmod(0o444)
    for change in (desk.write, desk.preview_write):
        with pytest.raises(ToolFailed, match=r"a.txt is read-only"):
            change("a.txt", "new")


@not_as_root
def test_a_folder_without_rights_is_told_and_nothing_is_left(desk: Desk) -> None:
    (desk.folder / "closed").mkdir(mode=0o555)
    with pytest.raises(ToolFailed, match="closed/a: Permission denied"):
        desk.write("closed/a", "x")
    assert [*(desk.folder / "closed").iterdir()] == []


def test_half_characters_are_not_written(desk: Desk) -> None:
    with pytest.raises(ToolFailed, match="content holds half of a character"):
        desk.write("a", "\ud83d")


def test_the_user_sees_a_new_file_whole_and_a_change_as_a_diff(desk: Desk) -> None:
    desk.put("a.txt", b"one\ntwo\nthree\n")

    assert desk.preview_write("b.txt", "text\n") == "new file b.txt\ntext\n"
    assert desk.preview_write("a.txt", "one\n2\nthree\n").splitlines() == [
        *("--- a/a.txt", "+++ b/a.txt", "@@ -1,3 +1,3 @@"),
        *(" one", "-two", "+2", " three"),
    ]
    assert not (desk.folder / "b.txt").exists()


def test_the_user_sees_that_line_ends_change(desk: Desk) -> None:
    desk.put("a.bat", b"one\r\ntwo\r\n")

    assert desk.preview_write("a.bat", "one\ntwo\n") == (
        "a.bat: same text\n[the line ends change from CRLF to LF]"
    )
    assert desk.preview_write("a.bat", "one\r\ntwo\r\n") == "a.bat: same text"


@pytest.mark.parametrize("data", [b"\x7fELF\0", b"\xff\xfea", b"x" * 1_500_000])
def test_the_user_sees_how_much_is_lost_where_there_is_no_diff(data: bytes, desk: Desk) -> None:
    desk.put("a", data)
    assert desk.preview_write("a", "new") == f"a: {len(data):,} bytes are replaced\nnew"


def test_a_long_preview_is_clipped(desk: Desk) -> None:
    assert len(desk.preview_write("a", "x" * 1_000_000)) < 21_000


# Editing


def test_a_text_that_stands_there_once_is_replaced(desk: Desk) -> None:
    desk.put("a.py", b"one = 1\ntwo = 2\n")

    output = desk.edit("a.py", "two = 2", "two = 3\nthree = 4")

    assert (desk.folder / "a.py").read_bytes() == b"one = 1\ntwo = 3\nthree = 4\n"
    assert output == ToolOutput("edited a.py in line 2", ("a.py",))


def test_a_text_that_stands_there_twice_is_replaced_everywhere_or_not_at_all(desk: Desk) -> None:
    desk.put("a", b"x = 1\ny\nx = 1\n")

    with pytest.raises(ToolFailed, match=r"stands in a 2 times, in lines 1, 3: .*set replace_all"):
        desk.edit("a", "x = 1", "z")
    assert desk.edit("a", "x = 1", "z", replace_all=True).text == "edited a in 2 places"
    assert (desk.folder / "a").read_bytes() == b"z\ny\nz\n"


def test_places_that_overlap_are_two(desk: Desk) -> None:
    desk.put("a", b"aaa")

    with pytest.raises(ToolFailed, match="2 times"):
        desk.edit("a", "aa", "b")
    desk.edit("a", "aa", "b", replace_all=True)
    assert (desk.folder / "a").read_bytes() == b"ba"


def test_a_text_that_is_not_there_is_told_with_lines_that_may_be_meant(desk: Desk) -> None:
    desk.put("a.py", b"def one():\n    return 1\n\ndef two():\n\treturn 2\n")

    with pytest.raises(ToolFailed, match="only white space differs at line 4: read it with"):
        desk.edit("a.py", "def two():\n    return 2", "x")
    with pytest.raises(ToolFailed, match=r"most like 'return 22' at line 2, 5"):
        desk.edit("a.py", "def two():\n    return 22", "x")
    with pytest.raises(ToolFailed, match=r"does not stand in a.py: read it again"):
        desk.edit("a.py", "nothing of the kind", "x")


def test_what_the_file_says_is_not_told_by_a_failure(desk: Desk) -> None:
    desk.put("secret", b"password = hunter2\n")
    with pytest.raises(ToolFailed) as raised:
        desk.preview_edit("secret", "password = hunter3", "")
    assert "hunter2" not in raised.value.message


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [("", "x", "old_text is empty"), ("x", "x", "the same"), ("x", "\udc80", "half of a char")],
)
def test_edits_that_mean_nothing_are_refused(old: str, new: str, message: str, desk: Desk) -> None:
    desk.put("a", b"x")
    with pytest.raises(ToolFailed, match=message):
        desk.edit("a", old, new)


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("nothing", "nothing: no such file; to make it, use write_file"),
        ("binary", "binary is binary"),
        ("damaged", "damaged UTF-16"),
        (".", "is a folder"),
        ("big", "larger than 5,000,000 bytes"),
        ("/dev/zero", "no regular file"),
    ],
)
@on_posix
def test_what_cannot_be_edited_is_told(path: str, message: str, desk: Desk) -> None:
    desk.put("binary", b"\x7fELF\0")
    desk.put("damaged", b"\xff\xfea")
    with desk.put("big", b"x").open("ab") as file:
        file.truncate(2_000_000_000)
    with pytest.raises(ToolFailed, match=message):
        desk.edit(path, "x", "y")


def test_an_edit_that_was_shown_fails_when_the_file_has_changed_since(desk: Desk) -> None:
    path = desk.put("a", b"one\ntwo\n")
    assert "-two" in desk.preview_edit("a", "two", "2")
    path.write_bytes(b"one\nthree\n")

    with pytest.raises(ToolFailed, match="does not stand"):
        desk.edit("a", "two", "2")
    assert path.read_bytes() == b"one\nthree\n"


def test_the_user_sees_an_edit_as_a_diff_with_the_lines_of_the_file(desk: Desk) -> None:
    data = "\n".join(f"line {n}" for n in range(1, 50_001)).encode()
    path = desk.put("a", data)

    assert desk.preview_edit("a", "line 25000\n", "").splitlines() == [
        *("--- a/a", "+++ b/a", "@@ -24997,7 +24997,6 @@"),
        *(" line 24997", " line 24998", " line 24999", "-line 25000"),
        *(" line 25001", " line 25002", " line 25003"),
    ]
    assert path.read_bytes() == data


def test_of_very_many_places_the_user_sees_some_and_how_many_there_are(desk: Desk) -> None:
    desk.put("a", b"x\n" * 1_000)
    preview = desk.preview_edit("a", "x", "y", replace_all=True)

    assert preview.count("\n-x") == 20
    assert preview.endswith("[… and 980 more places alike]")


@pytest.mark.parametrize(
    ("mark", "encoding"),
    [
        (b"", "utf-8"),
        (b"\xef\xbb\xbf", "utf-8"),
        (b"\xff\xfe", "utf-16-le"),
        (b"\xfe\xff", "utf-16-be"),
        (b"\xff\xfe\0\0", "utf-32-le"),
        (b"\0\0\xfe\xff", "utf-32-be"),
    ],
)
def test_encoding_mark_and_line_ends_stay(mark: bytes, encoding: str, desk: Desk) -> None:
    path = desk.put("a", mark + "grün\r\nblau\r\n".encode(encoding))

    desk.edit("a", "grün\nblau", "rot\ngelb\n世界")

    assert path.read_bytes() == mark + "rot\r\ngelb\r\n世界\r\n".encode(encoding)


def test_bytes_of_another_encoding_stay_what_they_are(desk: Desk) -> None:
    path = desk.put("a", b"caf\xe9 = 1\n")

    desk.edit("a", "= 1", "= 2 ü")
    assert path.read_bytes() == b"caf\xe9 = 2 \xc3\xbc\n"
    assert "caf\ufffd" in desk.preview_edit("a", "= 2", "= 3")
    with pytest.raises(ToolFailed, match="only its ASCII letters can be edited"):
        desk.edit("a", "café", "tea")


def test_new_lines_end_as_those_around_them_do(desk: Desk) -> None:
    path = desk.put("a", b"unix\nunix\ndos\r\ndos\r\n")

    desk.edit("a", "dos\ndos", "dos\nnew\ndos")
    desk.edit("a", "unix\nunix", "unix\r\nnew\r\nunix")

    assert path.read_bytes() == b"unix\nnew\nunix\ndos\r\nnew\r\ndos\r\n"
