"""Names that Windows takes for something else, and paths too long for it."""

from pathlib import PureWindowsPath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentctl.core.windows_paths import file_name, is_device, is_plain, on_disk, why_ambiguous

HERE = PureWindowsPath("C:\\Users\\me\\work")


@pytest.mark.parametrize(
    "name",
    ["con", "NUL", "Com1", "lpt9", "COM¹", "nul.txt", "con.tar.gz", "aux .txt", "NUL:", "prn."],
)
def test_a_device_is_one_in_any_case_and_with_any_ending(name: str) -> None:
    assert is_device(name)
    assert not is_plain(name)


@pytest.mark.parametrize("name", ["console", "nul-1", "com10", "my.con", "auxiliary.txt", ".con"])
def test_what_only_resembles_a_device_is_a_file(name: str) -> None:
    assert is_plain(name)


@pytest.mark.parametrize("name", ["notes.md", ".env", "größe", "a b", "x~1", "a[1]", "a;b", "…"])
def test_ordinary_names_are_plain(name: str) -> None:
    assert is_plain(name)


@pytest.mark.parametrize(
    "path",
    [
        *(".env::$DATA", ".env:hidden", ".git::$INDEX_ALLOCATION\\config", "src/a.py:x"),
        *(".env.", ".env ", ".git./config", ".git /hooks/x", "...", ".. /x", "a/. /b"),
        *("NUL", "sub/con.txt", "C:\\Users\\me\\work\\com1", "what?", "a*b", 'say "hi"', "a\nb"),
        *("C:file", "D:file", "c:", "a:b"),
        *("\\\\?\\C:\\Users\\me\\work\\x", "//?/C:/x", "\\\\.\\pipe\\x", "//./C:/x", "\\??\\C:\\x"),
        *(
            "\\\\evil\\share\\x",
            "//evil/share",
            "\\/evil/share",
            "\\\\localhost\\C$\\x",
            "///evil/s",
        ),
    ],
)
def test_what_means_something_else_is_not_looked_up(path: str) -> None:
    assert why_ambiguous(path, HERE)


@pytest.mark.parametrize(
    "path",
    [
        *("notes.md", "src/main.py", "src\\main.py", ".", "..", "../other", ".\\x", ".env", ".git"),
        *("C:\\Users\\you", "c:/windows", "D:\\x", "/etc/passwd", "PROGRA~1", "a b/c.d"),
    ],
)
def test_what_means_itself_is_left_to_the_rules(path: str) -> None:
    assert why_ambiguous(path, HERE) == ""


def test_a_work_folder_of_a_share_is_no_other_machine() -> None:
    here = PureWindowsPath("\\\\server\\share\\work")

    assert why_ambiguous("//SERVER/Share/work/x", here) == ""
    assert why_ambiguous("//server/other/x", here)
    assert why_ambiguous("\\\\?\\UNC\\server\\share\\x", here)


def test_no_device_is_a_work_folder() -> None:
    assert why_ambiguous("\\\\?\\C:\\x", PureWindowsPath("\\\\?\\C:\\work"))


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("Plans for 2026", "Plans for 2026"),
        ("a/b\\c: d?", "a-b-c- d-"),
        ("con", "_con"),
        ("NUL.txt", "_NUL.txt"),
        ("...", "_"),
        ("ends with a dot. ", "ends with a dot"),
    ],
)
def test_a_file_is_called_like_what_is_in_it_as_far_as_that_goes(text: str, name: str) -> None:
    assert file_name(text) == name


@given(st.text())
def test_whatever_something_is_called_there_is_a_name_for_its_file(text: str) -> None:
    name = file_name(text)

    assert is_plain(f"{name}.md")
    assert "/" not in name
    assert "\\" not in name


DEEP = "\\".join(["a folder of notes"] * 20)


@pytest.mark.parametrize(
    ("path", "opened"),
    [
        (f"C:\\{DEEP}", f"\\\\?\\C:\\{DEEP}"),
        (f"\\\\server\\share\\{DEEP}", f"\\\\?\\UNC\\server\\share\\{DEEP}"),
        (f"\\\\?\\C:\\{DEEP}", f"\\\\?\\C:\\{DEEP}"),
        (f"C:\\..\\{DEEP}", f"C:\\..\\{DEEP}"),
        (DEEP, DEEP),
        ("C:\\notes.md", "C:\\notes.md"),
    ],
)
def test_a_path_that_is_too_long_is_opened_by_its_long_name(path: str, opened: str) -> None:
    assert str(on_disk(PureWindowsPath(path), "win32")) == opened


def test_elsewhere_a_path_has_one_name() -> None:
    path = PureWindowsPath(f"C:\\{DEEP}")

    assert on_disk(path, "linux") is path
