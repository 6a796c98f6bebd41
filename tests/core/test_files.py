"""Reading what the user points at: bytes as text, folders as lists of files."""

import os
import stat
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentctl.core.errors import InputMissing, InputTooLarge, InputUnreadable
from agentctl.core.files import (
    decode_text,
    from_code_page,
    image_type,
    is_set_apart,
    path_on_disk,
    read_bytes,
    storable_path,
    walk,
    well_formed,
)
from agentctl.core.windows_paths import on_disk

REPARSED = stat.FILE_ATTRIBUTE_REPARSE_POINT

on_posix = pytest.mark.skipif(os.name != "posix", reason="file names and links as on POSIX")
on_linux = pytest.mark.skipif(sys.platform != "linux", reason="elsewhere names must be UTF-8")
not_as_root = pytest.mark.skipif(
    os.name != "posix" or os.geteuid() == 0, reason="root may read everything"
)


@pytest.fixture
def tree(tmp_path: Path) -> Callable[..., Path]:
    """Makes a folder of files, each with its name or the given text."""

    def make(*names: str, **texts: str) -> Path:
        folder = tmp_path / "tree"
        for name in names:
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(os.fsencode(texts.get(path.name, name)))
        return folder

    return make


def found(folder: Path) -> list[str]:
    return [path.relative_to(folder).as_posix() for path in walk(folder)]


# Text


@pytest.mark.parametrize(
    "encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32", "utf-16-le", "utf-16-be", "utf-32-be"]
)
def test_text_is_utf8_unless_a_byte_order_mark_says_otherwise(encoding: str) -> None:
    text = "Grüße, 世界 👍\n"
    mark = "\ufeff" if encoding.endswith(("le", "be")) else ""

    assert decode_text(f"{mark}{text}".encode(encoding), "x") == (text, False)


@pytest.mark.parametrize("data", [b"caf\xe9", b"\xff\xfea\0b", b"\xef\xbb\xbf\xff"])
def test_bytes_that_are_no_characters_show_and_are_told(data: bytes) -> None:
    text, is_replaced = decode_text(data, "x")
    assert "\ufffd" in text
    assert is_replaced


@pytest.mark.parametrize("data", [b"\x7fELF\0\0", b"a" * 8000 + b"\0"])
def test_binary_is_no_text(data: bytes) -> None:
    with pytest.raises(InputUnreadable, match="program is binary"):
        decode_text(data, "program")


@given(st.text())
def test_text_comes_back_as_it_was_written(text: str) -> None:
    if "\0" not in text and not text.startswith("\ufeff"):
        assert decode_text(text.encode(), "x") == (text, False)


@given(st.text(st.characters()))
def test_any_string_can_be_made_fit_to_be_stored(text: str) -> None:
    made = well_formed(text)

    made.encode()
    assert made == text or any("\ud800" <= letter <= "\udfff" for letter in text)


@on_posix
@given(st.lists(st.sampled_from(["a", "\\", "x", "e", "9", "\udce9", "\udc80", "/", "é"])))
def test_a_path_with_any_bytes_is_stored_as_text_and_taken_back(pieces: list[str]) -> None:
    path = "".join(pieces)
    stored = storable_path(path)

    assert stored.encode().decode() == stored
    assert path_on_disk(stored) == path


def test_bytes_in_names_become_a_sign_that_something_was_there() -> None:
    assert well_formed(b"caf\xe9.txt".decode("utf-8", "surrogateescape")) == "caf\ufffd.txt"
    assert well_formed("\ud83d\udc4d") == "👍"


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (b"\x89PNG\r\n\x1a\n...", "image/png"),
        (b"\xff\xd8\xff\xe0", "image/jpeg"),
        (b"GIF89a", "image/gif"),
        (b"RIFF\0\0\0\0WEBPVP8 ", "image/webp"),
        (b"RIFF\0\0\0\0WAVEfmt ", None),
        (b"PNG is a format", None),
        (b"", None),
    ],
)
def test_an_image_is_known_by_its_first_bytes(data: bytes, kind: str | None) -> None:
    assert image_type(data) == kind


# Files


def test_a_file_may_have_as_many_bytes_as_the_limit(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_bytes(b"12345")

    assert read_bytes(file, 5) == b"12345"
    with pytest.raises(InputTooLarge, match="larger than 4 bytes") as raised:
        read_bytes(file, 4)
    assert raised.value.hint == "agentctl config set limits.input_bytes 5"


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("nothing", "No such file"),
        ("", "Is a directory"),
        ("a\0b", "null"),
        ("x" * 300, "too long"),
    ],
)
@on_posix
def test_what_cannot_be_opened_is_named_with_the_reason(
    name: str, reason: str, tmp_path: Path
) -> None:
    with pytest.raises(InputMissing, match=reason):
        read_bytes(tmp_path / name, 100)


@not_as_root
def test_a_file_without_rights_is_missing(tmp_path: Path) -> None:
    (tmp_path / "secret").touch(mode=0)
    with pytest.raises(InputMissing, match="Permission denied"):
        read_bytes(tmp_path / "secret", 100)


@on_posix
def test_a_file_without_an_end_is_too_large() -> None:
    with pytest.raises(InputTooLarge):
        read_bytes(Path("/dev/zero"), 1000)


# Folders


def test_files_come_in_order_through_all_folders(tree: Callable[..., Path]) -> None:
    folder = tree("b.txt", "a/z.txt", "a/b/c.txt", "c.txt")
    assert found(folder) == ["a/b/c.txt", "a/z.txt", "b.txt", "c.txt"]


def test_hidden_files_and_folders_are_left_out(tree: Callable[..., Path]) -> None:
    assert found(tree("seen", ".env", ".git/config", "a/.hidden/x", "a/seen")) == ["a/seen", "seen"]


@pytest.mark.parametrize("name", [".gitignore", ".agentctlignore"])
def test_an_ignore_file_says_what_is_left_out(name: str, tree: Callable[..., Path]) -> None:
    folder = tree("main.py", "main.log", "build/out", "src/build/out", "src/a.log", "src/keep.log")
    (folder / name).write_text("# comment\n*.log\n!keep.log\n/build/\n\n")

    assert found(folder) == ["main.py", "src/build/out", "src/keep.log"]


def test_the_nearest_ignore_file_wins(tree: Callable[..., Path]) -> None:
    folder = tree("a.log", "src/a.log", "src/deep/a.log", "src/deep/b.txt")
    (folder / ".gitignore").write_text("*.log\n")
    (folder / "src" / ".gitignore").write_text("!a.log\n")
    (folder / "src" / "deep" / ".gitignore").write_text("/a.log\n")

    assert found(folder) == ["src/a.log", "src/deep/b.txt"]


def test_what_is_in_an_ignored_folder_cannot_be_taken_back(tree: Callable[..., Path]) -> None:
    folder = tree("build/keep", "build/.gitignore", "x")
    (folder / ".gitignore").write_text("build/\n!build/keep\n")

    assert found(folder) == ["x"]


def test_agentctlignore_has_the_last_word_beside_gitignore(tree: Callable[..., Path]) -> None:
    folder = tree("notes.md", "data.csv")
    (folder / ".gitignore").write_text("notes.md\n")
    (folder / ".agentctlignore").write_text("!notes.md\n*.csv\n")

    assert found(folder) == ["notes.md"]


@on_posix
def test_links_are_not_followed(tree: Callable[..., Path], tmp_path: Path) -> None:
    folder = tree("a/file")
    (tmp_path / "secret").write_text("outside")
    (folder / "a" / "loop").symlink_to(folder)
    (folder / "itself").symlink_to("itself")
    (folder / "outside").symlink_to(tmp_path / "secret")

    assert found(folder) == ["a/file"]


@on_posix
def test_a_folder_that_is_a_link_itself_is_read(tree: Callable[..., Path], tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tree("file"))
    assert found(tmp_path / "link") == ["file"]


@on_posix
def test_only_files_are_files(tree: Callable[..., Path]) -> None:
    folder = tree("file")
    os.mkfifo(folder / "pipe")

    assert found(folder) == ["file"]


def test_in_a_repository_the_ignore_files_above_count_too(tree: Callable[..., Path]) -> None:
    folder = tree(".git/HEAD", "a/b/kept", "a/b/left.log", "a/b/c/left.tmp")
    (folder / ".gitignore").write_text("*.log\n")
    (folder / "a" / ".gitignore").write_text("b/c/*.tmp\n")
    assert found(folder / "a" / "b") == ["kept"]


def test_outside_of_a_repository_they_do_not(tree: Callable[..., Path]) -> None:
    folder = tree("a/kept.log")
    (folder / ".gitignore").write_text("*.log\n")
    assert found(folder / "a") == ["kept.log"]


@on_linux
def test_names_may_have_newlines_and_bytes_that_are_no_letters(tree: Callable[..., Path]) -> None:
    names = ["two\nlines", os.fsdecode(b"caf\xe9"), "- b", "ümlaut"]
    assert sorted(found(tree(*names, "x/*.log"))) == sorted([*names, "x/*.log"])


@not_as_root
def test_a_folder_without_rights_is_named(tree: Callable[..., Path]) -> None:
    folder = tree("closed/file")
    (folder / "closed").chmod(0)
    with pytest.raises(InputMissing, match="closed: Permission denied"):
        found(folder)
    (folder / "closed").chmod(0o700)


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputMissing, match="nowhere: "):
        found(tmp_path / "nowhere")


# What only Windows has


@pytest.mark.parametrize(
    ("status", "is_apart"),
    [
        ({"st_file_attributes": stat.FILE_ATTRIBUTE_HIDDEN | stat.FILE_ATTRIBUTE_ARCHIVE}, True),
        ({"st_file_attributes": REPARSED, "st_reparse_tag": 0xA0000003}, True),
        # A file of OneDrive's that is not on the disk yet.
        ({"st_file_attributes": REPARSED, "st_reparse_tag": 0x9000601A}, False),
        ({"st_file_attributes": stat.FILE_ATTRIBUTE_ARCHIVE}, False),
        ({}, False),
    ],
)
def test_hidden_files_and_junctions_of_windows_are_set_apart(
    status: dict[str, int], is_apart: bool
) -> None:
    told = cast("os.stat_result", SimpleNamespace(st_mode=stat.S_IFREG, **status))

    assert is_set_apart(told) is is_apart


@pytest.mark.skipif(sys.platform != "win32", reason="elsewhere a path may be long")
def test_files_deep_below_are_found_and_read_on_windows(tmp_path: Path) -> None:
    folder = tmp_path
    for _ in range(20):
        folder /= "a folder of notes"
        on_disk(folder).mkdir()
    on_disk(folder / "note.md").write_text("deep", encoding="utf-8")

    (found,) = walk(tmp_path)

    assert found == folder / "note.md"
    assert len(str(found)) > 260
    assert read_bytes(found, 100) == b"deep"


@pytest.mark.parametrize(
    ("piped", "read"),
    [
        ("größe, déjà".encode("cp850"), "größe, déjà"),
        ("größe".encode(), "größe"),
        (b"plain\r\n", "plain\r\n"),
        ("größe".encode("utf-16"), "größe"),
        ("größe".encode("utf-8-sig"), "größe"),
    ],
)
def test_what_a_console_pipes_in_is_read_in_its_code_page(piped: bytes, read: str) -> None:
    text, is_damaged = decode_text(from_code_page(piped, "cp850"), "stdin")

    assert (text, is_damaged) == (read, False)


@pytest.mark.parametrize(
    "piped", [b"\x89PNG\r\n\x1a\n\xff", b"%PDF-1.7\n\x00\xff", b"\xff\xd8\xff\xe0\x00"]
)
def test_what_is_no_text_stays_as_it_is(piped: bytes) -> None:
    assert from_code_page(piped, "cp850") == piped


def test_a_code_page_that_is_not_known_changes_nothing() -> None:
    assert from_code_page(b"gr\x94sse", "cp99999") == b"gr\x94sse"
    assert from_code_page(b"gr\x94sse", None) == b"gr\x94sse"


@given(st.binary())
def test_whatever_is_piped_in_without_a_code_page_stays_as_it_is(data: bytes) -> None:
    assert from_code_page(data, None) == data
