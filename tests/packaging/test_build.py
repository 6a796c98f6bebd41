"""What is put around the frozen program: archives, versions, the icon, licence notices."""

import os
import re
import struct
import subprocess
import sys
import tarfile
import zipfile
from email.message import Message
from importlib.metadata import Distribution, distributions
from pathlib import Path

import build
import licenses
import make_icon
import pytest
import version_resource
from launcher import MARK

import agentctl

ROOT = Path(__file__).parents[2]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "dist" / "agentctl"
    (made / "_internal").mkdir(parents=True)
    (made / "agentctl").write_text("program")
    (made / "agentctl").chmod(0o755)
    (made / "_internal" / "data.txt").write_text("data")
    (made / "_internal" / "data.txt").chmod(0o644)
    return made


# Archives


@pytest.mark.skipif(sys.platform == "win32", reason="files have no such bits there")
def test_the_zip_keeps_what_is_executable_and_links(folder: Path, tmp_path: Path) -> None:
    (folder / "_internal" / "link.so").symlink_to("data.txt")

    build.zip_folder(folder, tmp_path / "agentctl.zip")

    with zipfile.ZipFile(tmp_path / "agentctl.zip") as archive:
        modes = {each.filename: each.external_attr >> 16 for each in archive.infolist()}
        assert archive.read("agentctl/agentctl") == b"program"
        assert archive.read("agentctl/_internal/link.so") == b"data.txt"
    assert modes == {
        "agentctl/_internal/data.txt": 0o100644,
        "agentctl/_internal/link.so": 0o120777,
        "agentctl/agentctl": 0o100755,
    }


def test_the_same_folder_makes_the_same_payload(folder: Path, tmp_path: Path) -> None:
    first = build.make_payload(folder, tmp_path / "first", preset=0)
    os.utime(folder / "agentctl", (1e9, 1e9))
    second = build.make_payload(folder, tmp_path / "second", preset=0)

    assert first == second
    data = (tmp_path / "first").read_bytes()
    assert data.startswith(MARK)
    assert len(data) == len(MARK) + first[1]


def test_the_payload_holds_the_folder_without_its_owner(folder: Path, tmp_path: Path) -> None:
    build.make_payload(folder, tmp_path / "payload", preset=0)

    with (tmp_path / "payload").open("rb") as file:
        file.seek(len(MARK))
        with tarfile.open(fileobj=file, mode="r:xz") as archive:
            entries = archive.getmembers()
    assert [each.name for each in entries] == ["_internal", "_internal/data.txt", "agentctl"]
    assert {(each.uid, each.uname) for each in entries} == {(0, "")}


def test_what_is_too_large_fails_the_build(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert build.check_sizes(folder.parent, "agentctl-1.0-linux-x86_64") == 0

    monkeypatch.setattr(build, "MOST_FOLDER", 0)

    assert build.check_sizes(folder.parent, "agentctl-1.0-linux-x86_64") == 1
    assert "(at most 0)" in capsys.readouterr().out


# The single file's lines of shell


@pytest.mark.parametrize("size", [1, 12_345_678_901])
def test_the_shell_part_knows_where_it_ends(size: int) -> None:
    script = (ROOT / "packaging" / "launcher.sh").read_text(encoding="utf-8")

    part = build.shell_part(script, "1.2.3", "1.2.3-abc", '"$HOME/x"', size)

    start = re.search(rb"tail -c \+(\d+) ", part)
    assert start is not None
    assert int(start[1]) == len(part) + 1
    assert b"@" not in re.sub(rb'"\$@"', b"", part)


# Versions


def test_the_version_is_the_packages() -> None:
    assert build.read_version(ROOT / "agentctl" / "__init__.py") == agentctl.__version__


@pytest.mark.parametrize(
    ("version", "numbers"),
    [("1.2.3", (1, 2, 3, 0)), ("0.1", (0, 1, 0, 0)), ("1.2.3rc1", (1, 2, 3, 0))],
)
def test_windows_is_told_four_numbers(version: str, numbers: tuple[int, ...]) -> None:
    assert version_resource.four_numbers(version) == numbers


def test_windows_shows_what_the_program_is() -> None:
    texts = version_resource.version_texts("1.2.3rc1")

    assert texts["FileVersion"] == texts["ProductVersion"] == "1.2.3rc1"
    assert (texts["ProductName"], texts["OriginalFilename"]) == ("agentctl", "agentctl.exe")


def test_the_first_words_are_the_version() -> None:
    script = ROOT / "packaging" / "answer_version.py"

    def said(*arguments: str) -> str:
        command = [sys.executable, str(script), *arguments]
        return subprocess.run(
            command, capture_output=True, text=True, check=True, cwd=ROOT, env=environ
        ).stdout

    environ = {**os.environ, "PYTHONPATH": str(ROOT)}
    assert said("--version") == said("-V") == f"agentctl {agentctl.__version__}\n"
    assert said() == said("ask", "--version") == ""


# The icon


def test_the_icon_is_what_its_script_draws() -> None:
    icon = (ROOT / "packaging" / "icon.ico").read_bytes()
    reserved, kind, count = struct.unpack_from("<HHH", icon)
    assert (reserved, kind, count) == (0, 1, len(make_icon.SIZES))

    width, *_, size, place = struct.unpack_from("<BBBBHHII", icon, 6)

    assert width == make_icon.SIZES[0]
    assert icon[place : place + size] == make_icon.draw(width)


def test_the_picture_is_a_png_of_256_pixels() -> None:
    picture = (ROOT / "packaging" / "icon.png").read_bytes()

    assert picture.startswith(b"\x89PNG\r\n\x1a\n")
    assert struct.unpack_from(">II", picture, 16) == (256, 256)


# Licence notices


class FakePackage(Distribution):
    """A package that is described and has files, without being installed."""

    def __init__(self, folder: Path, name: str, files: dict[str, str], **headers: str) -> None:
        self._folder = folder
        self._files = files
        self._message = Message()
        self._message["Name"], self._message["Version"] = name, "1.0"
        for header, value in headers.items():
            self._message[header.replace("_", "-")] = value
        for path, text in files.items():
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_text(text)

    def read_text(self, filename: str) -> str | None:
        if filename == "METADATA":
            return self._message.as_string()
        return "".join(f"{each},,\n" for each in self._files) if filename == "RECORD" else None

    def locate_file(self, path: "str | os.PathLike[str]") -> Path:  # type: ignore[override]
        return self._folder / path


def test_a_package_is_told_with_its_texts(tmp_path: Path) -> None:
    files = {
        "swift-1.0.dist-info/licenses/LICENSE": "Do as you like.",
        "swift-1.0.dist-info/METADATA": "",
        "swift/license.py": "code",
    }
    package = FakePackage(tmp_path, "swift", files, License_Expression="MIT")

    (notice,) = licenses.package_notices([package])

    assert notice == licenses.Notice("swift", "1.0", "MIT", ("Do as you like.",))
    assert "Do as you like." in licenses.write_notices([notice])


def test_a_package_without_a_text_is_told_with_what_it_declares(tmp_path: Path) -> None:
    package = FakePackage(tmp_path, "bare", {}, Classifier="License :: OSI Approved :: BSD License")

    text = licenses.write_notices(licenses.package_notices([package]))

    assert "bare 1.0: BSD License" in text
    assert "without a licence text" in text


def test_build_tools_are_no_part_of_the_program(tmp_path: Path) -> None:
    packages = [FakePackage(tmp_path, name, {}) for name in ("pip", "setuptools", "agentctl")]

    assert licenses.package_notices(packages) == []


def test_what_is_no_package_is_told_too() -> None:
    notices = {each.name: each for each in licenses.own_notices(licenses.python_license())}

    assert set(notices) == {"Python", "llama.cpp and ggml", "all-MiniLM-L6-v2"}
    assert "PYTHON SOFTWARE FOUNDATION" in notices["Python"].texts[0].upper()
    assert "The ggml authors" in notices["llama.cpp and ggml"].texts[0]
    assert "apache.org" in notices["all-MiniLM-L6-v2"].texts[0]


def test_every_package_that_agentctl_needs_is_told() -> None:
    told = {each.name.lower() for each in licenses.package_notices(distributions())}

    assert {"faiss-cpu", "langgraph", "numpy", "smolagents", "textual", "xllamacpp"} <= told


def test_a_program_that_fails_when_tried_fails_the_build(tmp_path: Path) -> None:
    assert build.try_program(tmp_path / "no-program", tmp_path / "report.md", None) == 2
