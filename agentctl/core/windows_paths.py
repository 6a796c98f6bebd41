"""Paths as Windows reads them: names that mean something else, and paths too long for it.

Naming Files, Paths, and Namespaces:
https://learn.microsoft.com/en-us/windows/win32/fileio/naming-a-file
"""

import re
import sys
from pathlib import Path, PurePath, PureWindowsPath

_DEVICES = {"con", "prn", "aux", "nul", "conin$", "conout$"}
_DEVICES |= {f"{name}{number}" for name in ("com", "lpt") for number in "0123456789¹²³"}
# A colon begins a stream of the file, the others stand for parts of names or are in none.
_NO_NAME = re.compile(r'[<>:"|?*\x00-\x1f]')
# Of a folder's path; that of a file may have 259 characters.
_LONGEST = 247
_LONGEST_NAME = 80


def is_plain(name: str) -> bool:
    """Whether a file of that name is that file: no device, no stream, no end that is cut off."""
    return not (_NO_NAME.search(name) or name.endswith((".", " ")) or not name or is_device(name))


def is_device(name: str) -> bool:
    """Whether a file's name is a device's, such as NUL or con.txt, in every folder."""
    return re.split("[.:]", name)[0].rstrip(" ").casefold() in _DEVICES


def file_name(text: str) -> str:
    """The name of a file for what a user has called something, good on every system."""
    name = re.sub(r"[\\/]", "-", _NO_NAME.sub("-", text))[:_LONGEST_NAME].strip(". ")
    return f"_{name}" if not name or is_device(name) else name


def why_ambiguous(name: str, folder: PurePath) -> str:
    """Why a path must not be looked up, seen from a folder; empty when nothing speaks against it.

    To look one up on another machine already tells that machine who the user is.
    """
    path, share = PureWindowsPath(name), PureWindowsPath(folder).drive
    if re.match(r"[\\/]{2}", name) and path.drive.casefold() != share.casefold():
        return "it is a device or on another machine"
    if path.drive.startswith(("\\\\?", "\\\\.")):
        return "it is a device"
    if path.drive and not path.root:
        return "its drive has no folder"
    parts = path.parts[1:] if path.anchor else path.parts
    if not all(part == ".." or is_plain(part) for part in parts):
        return "Windows takes it for something else"
    return ""


def on_disk(path: Path, platform: str = sys.platform) -> Path:
    """The path to open or look at: a long one as Windows takes it."""
    text = str(path)
    if platform != "win32" or len(text) <= _LONGEST or text.startswith("\\\\?\\"):
        return path
    if not PureWindowsPath(text).is_absolute() or ".." in PureWindowsPath(text).parts:
        return path
    return type(path)(f"\\\\?\\UNC{text[1:]}" if text.startswith("\\\\") else f"\\\\?\\{text}")
