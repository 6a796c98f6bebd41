"""What Windows shows of the program: its version, as PyInstaller embeds it."""

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from PyInstaller.utils.win32.versioninfo import VSVersionInfo

ABOUT = "A private AI workbench for the terminal"
# US English, Unicode: the two keys that Windows looks for.
_LANGUAGE, _CODE_PAGE = 0x0409, 1200


def four_numbers(version: str) -> tuple[int, int, int, int]:
    """`1.2.3rc1` is (1, 2, 3, 0): Windows knows four numbers and no words."""
    release = re.match(r"\d+(?:\.\d+)*", version)
    if release is None:
        raise ValueError(f"{version} does not begin with a number")
    first, second, third, fourth, *_ = *map(int, release[0].split(".")), 0, 0, 0, 0
    return first, second, third, fourth


def version_texts(version: str) -> dict[str, str]:
    """The lines of the file's properties."""
    return {
        "CompanyName": "agentctl",
        "FileDescription": ABOUT,
        "FileVersion": version,
        "InternalName": "agentctl",
        "LegalCopyright": "MIT licence",
        "OriginalFilename": "agentctl.exe",
        "ProductName": "agentctl",
        "ProductVersion": version,
    }


def describe_version(version: str) -> "VSVersionInfo":
    from PyInstaller.utils.win32 import versioninfo as info

    numbers = four_numbers(version)
    texts = [info.StringStruct(name, text) for name, text in version_texts(version).items()]
    return info.VSVersionInfo(
        ffi=info.FixedFileInfo(filevers=numbers, prodvers=numbers),
        kids=[
            info.StringFileInfo([info.StringTable(f"{_LANGUAGE:04x}{_CODE_PAGE:04x}", texts)]),
            info.VarFileInfo([info.VarStruct("Translation", [_LANGUAGE, _CODE_PAGE])]),
        ],
    )
