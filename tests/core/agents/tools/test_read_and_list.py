"""`read_file` and `list_files`: what a model gets to see of files, and what it is told instead."""

import asyncio
import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from agentctl.core.agents.tools.base import Touches, Workplace
from agentctl.core.agents.tools.files import ListFiles, ReadFile
from agentctl.core.errors import ToolFailed
from agentctl.core.jsontypes import Json
from tests.support.sample_files import ENCRYPTED_PDF, docx, pdf

on_posix = pytest.mark.skipif(os.name != "posix", reason="links and pipes as on POSIX")
on_linux = pytest.mark.skipif(sys.platform != "linux", reason="elsewhere names must be UTF-8")
not_as_root = pytest.mark.skipif(
    os.name != "posix" or os.geteuid() == 0, reason="root may read everything"
)


@pytest.fixture
def place(tmp_path: Path) -> Workplace:
    folder = (tmp_path / "work").resolve()
    folder.mkdir()
    return Workplace(folder=folder, scratch=tmp_path)


@pytest.fixture
def read(place: Workplace) -> Callable[..., str]:
    def read_file(path: str, **args: Json) -> str:
        return asyncio.run(ReadFile(1_204).run({"path": path, **args}, place)).text

    return read_file


@pytest.fixture
def listed(place: Workplace) -> Callable[..., list[str]]:
    def list_files(**args: Json) -> list[str]:
        return asyncio.run(ListFiles().run(args, place)).text.splitlines()

    return list_files


# Reading


def test_a_text_comes_below_a_line_that_says_which_lines_these_are(
    read: Callable[..., str], place: Workplace
) -> None:
    (place.folder / "a.txt").write_bytes(b"one\r\ntwo\n\nfour")

    assert read("a.txt") == "a.txt: lines 1-4 of 4\none\ntwo\n\nfour"
    assert read("a.txt", first_line=2, last_line=3) == "a.txt: lines 2-3 of 4\ntwo\n"
    assert read("a.txt", first_line=4, last_line=99) == "a.txt: lines 4-4 of 4\nfour"


def test_a_long_text_comes_in_parts_that_can_be_read_one_after_the_other(
    read: Callable[..., str], place: Workplace
) -> None:
    lines = [f"line {n} {'x' * (n % 50)}" for n in range(1, 200)]
    (place.folder / "a.txt").write_text("\n".join(lines) + "\n")
    seen: list[str] = []
    head = "to read on: first_line 1"
    while "to read on" in head:
        told = read("a.txt", first_line=int(head.rpartition(" ")[2]))
        assert len(told) <= 1_204
        head, _, part = told.partition("\n")
        seen += part.split("\n")

    assert seen == lines


def test_of_a_line_that_is_too_long_the_beginning_comes(
    read: Callable[..., str], place: Workplace
) -> None:
    (place.folder / "a.js").write_text("x" * 5_000 + "\nnext")

    head, line = read("a.js").split("\n")

    assert head == "a.js: lines 1-1 of 2; to read on: first_line 2"
    assert line == "x" * 1_000 + " [… the rest of this line is left out]"


def test_an_empty_file_is_called_empty(read: Callable[..., str], place: Workplace) -> None:
    (place.folder / "a").touch()
    assert read("a") == "a is empty"


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-32"])
def test_text_may_begin_with_a_byte_order_mark(
    encoding: str, read: Callable[..., str], place: Workplace
) -> None:
    (place.folder / "a").write_bytes("grün\n".encode(encoding))
    assert read("a") == "a: lines 1-1 of 1\ngrün"


def test_bytes_that_are_no_text_are_told(read: Callable[..., str], place: Workplace) -> None:
    (place.folder / "a").write_bytes(b"caf\xe9")
    assert read("a").startswith("a: lines 1-1 of 1 (not all UTF-8")


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("a.pdf", pdf("the words of a page")),
        ("a.docx", docx("<w:p><w:r><w:t>the words of a page</w:t></w:r></w:p>")),
    ],
)
def test_documents_are_read_as_their_text(
    name: str, data: bytes, read: Callable[..., str], place: Workplace
) -> None:
    (place.folder / name).write_bytes(data)

    assert read(name).startswith(f"{name}: lines 1-1 of 1 of its text\nthe words of a page")


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("a.bin", b"\x7fELF\0\0", "a.bin is binary"),
        ("a.png", b"\x89PNG\r\n\x1a\n...", r"a picture \(image/png\)"),
        ("a.zip", b"PK\3\4 and more", "a.zip is binary"),
        ("a.pdf", ENCRYPTED_PDF, "password"),
        ("b.pdf", b"%PDF-1.4 damaged", r"b\.pdf"),
    ],
)
def test_what_holds_no_text_is_refused(
    name: str, data: bytes, message: str, read: Callable[..., str], place: Workplace
) -> None:
    (place.folder / name).write_bytes(data)
    with pytest.raises(ToolFailed, match=message):
        read(name)


def test_of_a_file_of_many_gigabytes_only_the_beginning_is_read(
    read: Callable[..., str], place: Workplace
) -> None:
    with (place.folder / "big").open("wb") as file:
        file.write(b"first\nsecond\n" + b"z" * 9_000)
        file.truncate(3_000_000_000)

    head, first, *_ = read("big", last_line=2).split("\n")

    assert (head, first) == ("big: lines 1-2 of 2 of its first 20,000,000 bytes", "first")
    with pytest.raises(ToolFailed, match="there is no line 3 in big: the last is line 2 of its"):
        read("big", first_line=3)


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("nothing.txt", "nothing.txt: no such file"),
        ("nothing/at/all", "nothing/at/all: no such file"),
        (".", "is a folder, not a file"),
        ("a.txt/b", "Not a directory"),
        ("", "is no path"),
        ("a\0b", "is no path"),
        ("x" * 5_000, "too long"),
        ("~nobody-of-this-name/x", "is no path"),
        ("\ud800", "path holds half of a character"),
    ],
)
@on_posix
def test_what_cannot_be_a_file_is_told(
    path: str, message: str, read: Callable[..., str], place: Workplace
) -> None:
    (place.folder / "a.txt").write_text("x")
    with pytest.raises(ToolFailed, match=message):
        read(path)


def test_lines_that_are_not_there_are_told(read: Callable[..., str], place: Workplace) -> None:
    (place.folder / "a.txt").write_text("one\ntwo\n")

    with pytest.raises(ToolFailed, match=r"no line 3 in a.txt: the last is line 2"):
        read("a.txt", first_line=3)
    with pytest.raises(ToolFailed, match="last_line 1 comes before first_line 2"):
        read("a.txt", first_line=2, last_line=1)
    with pytest.raises(ToolFailed, match="first_line must be a whole number"):
        read("a.txt", first_line=1.5)


@on_posix
def test_pipes_devices_and_links_that_go_round_do_not_hang(
    read: Callable[..., str], place: Workplace
) -> None:
    os.mkfifo(place.folder / "pipe")
    (place.folder / "loop").symlink_to("loop")
    (place.folder / "zero").symlink_to("/dev/zero")

    for name in ("pipe", "zero", "/dev/zero", "/dev/tty"):
        with pytest.raises(ToolFailed, match="is no regular file"):
            read(name)
    with pytest.raises(ToolFailed, match="is no path"):
        read("loop")


@not_as_root
def test_a_file_without_rights_is_told(read: Callable[..., str], place: Workplace) -> None:
    (place.folder / "secret").touch(mode=0)
    with pytest.raises(ToolFailed, match="secret: Permission denied"):
        read("secret")


@on_posix
@pytest.mark.parametrize("tool", [ReadFile(), ListFiles()])
def test_the_gate_is_told_what_is_really_read(
    tool: ReadFile | ListFiles, place: Workplace, tmp_path: Path
) -> None:
    (place.folder / "link").symlink_to(tmp_path / "outside")
    outside = (tmp_path / "outside").resolve()

    for path in ("link", "../outside", str(tmp_path / "outside"), "sub/../../outside"):
        assert tool.touches({"path": path}, place) == Touches(reads=(outside,))
    assert tool.preview({"path": "link"}, place) == ""


def test_a_file_outside_is_shown_by_its_whole_path(
    read: Callable[..., str], tmp_path: Path
) -> None:
    outside = tmp_path.resolve() / "outside.txt"
    outside.write_text("x")
    assert read("../outside.txt") == f"{outside}: lines 1-1 of 1\nx"


# Listing


@pytest.fixture
def tree(place: Workplace) -> Callable[..., None]:
    """Makes files of one byte."""

    def make(*names: str) -> None:
        for name in names:
            path = place.folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(b"x")

    return make


def test_files_are_listed_with_paths_that_can_be_read(
    listed: Callable[..., list[str]], tree: Callable[..., None]
) -> None:
    tree("b.txt", "src/a.py", "src/deep/c.py")

    assert listed() == [".:", "b.txt  1 byte", "src/a.py  1 byte", "src/deep/c.py  1 byte"]
    assert listed(path="src") == ["src:", "src/a.py  1 byte", "src/deep/c.py  1 byte"]


@pytest.mark.parametrize(
    ("size", "shown"),
    [(0, "0 bytes"), (9_999, "9,999 bytes"), (9_999_999, "10,000 kB"), (3_210_000_000, "3,210 MB")],
)
def test_sizes_are_shown_in_units_that_fit(
    size: int, shown: str, listed: Callable[..., list[str]], place: Workplace
) -> None:
    with (place.folder / "a").open("wb") as file:
        file.truncate(size)
    assert listed() == [".:", f"a  {shown}"]


def test_folders_that_are_too_deep_are_counted(
    listed: Callable[..., list[str]], tree: Callable[..., None]
) -> None:
    tree("a", "b/1", "b/2", "b/c/3", "d/4")

    assert listed(depth=1) == [".:", "a  1 byte", "b/  3 files", "d/  1 file"]
    assert listed(depth=2)[-2:] == ["b/c/  1 file", "d/4  1 byte"]


def test_hidden_and_ignored_files_are_left_out(
    listed: Callable[..., list[str]], tree: Callable[..., None], place: Workplace
) -> None:
    tree("seen", ".env", "build/out", ".git/config")
    (place.folder / ".gitignore").write_text("build/\n")

    assert listed() == [".:", "seen  1 byte"]


def test_a_long_list_ends_and_says_so(
    listed: Callable[..., list[str]], tree: Callable[..., None]
) -> None:
    tree(*(f"{n:03}" for n in range(600)))

    assert len(listed()) == 1 + 500 + 1
    assert listed()[-1].startswith("[more than 500 entries")


def test_an_empty_folder_is_told(listed: Callable[..., list[str]], place: Workplace) -> None:
    (place.folder / "empty").mkdir()
    assert listed(path="empty") == ["empty holds no files to be listed"]


@pytest.mark.parametrize(
    ("path", "message"), [("nowhere", "no such file or folder"), ("a", "read_file reads it")]
)
def test_what_is_no_folder_is_told(
    path: str, message: str, listed: Callable[..., list[str]], tree: Callable[..., None]
) -> None:
    tree("a")
    with pytest.raises(ToolFailed, match=message):
        listed(path=path)


@on_linux
def test_names_that_are_no_text_are_shown_so_that_they_can_be_named(
    listed: Callable[..., list[str]], read: Callable[..., str], tree: Callable[..., None]
) -> None:
    tree(os.fsdecode(b"caf\xe9"))

    assert listed() == [".:", r"caf\xe9  1 byte"]
    assert read(r"caf\xe9") == "caf\\xe9: lines 1-1 of 1\nx"


@not_as_root
def test_a_folder_without_rights_is_named_and_passed_over(
    listed: Callable[..., list[str]], tree: Callable[..., None], place: Workplace
) -> None:
    tree("a", "closed/b")
    (place.folder / "closed").chmod(0)
    try:
        assert listed() == [".:", "a  1 byte", "[closed: Permission denied]"]
    finally:
        (place.folder / "closed").chmod(0o700)
