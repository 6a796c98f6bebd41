"""The licence notices of all that the frozen program contains, as one text.

Run by the environment that the program is built in: `python licenses.py > FILE`.
"""

import sys
from collections.abc import Iterable, Iterator
from importlib.metadata import Distribution, distributions
from pathlib import Path
from typing import NamedTuple

_RULE = "=" * 78
_NAMES = ("licen", "copying", "notice", "authors", "copyright")
# They build the program or are left out of it. PyInstaller is a part: its bootloader starts it.
_NO_PARTS = {"altgraph", "hf-xet", "pip", "pyinstaller-hooks-contrib", "setuptools", "wheel"}
_APACHE = "https://www.apache.org/licenses/LICENSE-2.0"


class Notice(NamedTuple):
    """One part of the program: its licence as it declares it, and the texts it comes with."""

    name: str
    version: str
    declared: str
    texts: tuple[str, ...]


def package_notices(found: Iterable[Distribution]) -> list[Notice]:
    """One for each package, by name."""
    notices = {}
    for each in found:
        name = each.metadata["Name"]
        if name.lower() not in {*_NO_PARTS, "agentctl"}:
            texts = tuple(dict.fromkeys(_license_texts(each)))
            notices[name.lower()] = Notice(name, each.version, _declared(each), texts)
    return [notices[name] for name in sorted(notices)]


def own_notices(python_license: Path) -> list[Notice]:
    """Of what is no package: Python, llama.cpp, the embedding model."""
    version = ".".join(map(str, sys.version_info[:3]))
    text = python_license.read_text(encoding="utf-8", errors="replace")
    return [
        Notice("Python", version, "PSF-2.0", (text,)),
        Notice(
            "llama.cpp and ggml", "within xllamacpp", "MIT", (_mit("2023-2026 The ggml authors"),)
        ),
        Notice(
            "all-MiniLM-L6-v2",
            "Q8_0",
            "Apache-2.0",
            (
                "The weights of sentence-transformers/all-MiniLM-L6-v2, converted to GGUF with 8 "
                f"bits a weight.\nLicensed under the Apache License, Version 2.0: {_APACHE}",
            ),
        ),
    ]


def write_notices(notices: Iterable[Notice]) -> str:
    """A list of the parts, then their texts."""
    notices = [*notices]
    lines = ["agentctl contains the works of others, under these licences.", ""]
    lines += [f"{each.name} {each.version}: {each.declared}" for each in notices]
    for each in notices:
        lines += ["", _RULE, f"{each.name} {each.version}", f"Licence: {each.declared}", _RULE]
        texts = each.texts or ("It comes without a licence text; its metadata names the licence.",)
        for text in texts:
            lines += ["", text.strip()]
    return "\n".join(lines) + "\n"


def python_license() -> Path:
    """Where Python's own stands, which depends on who installed it."""
    base, version = Path(sys.base_prefix), f"python{sys.version_info[0]}.{sys.version_info[1]}"
    places = [base / "lib" / version, base / "Resources", base, Path("/usr/share/doc") / version]
    for place in places:
        for name in ("LICENSE.txt", "LICENSE", "copyright"):
            if (place / name).is_file():
                return place / name
    raise FileNotFoundError(f"no licence of Python in {', '.join(map(str, places))}")


def _declared(package: Distribution) -> str:
    told = package.metadata
    if expression := told.get("License-Expression"):
        return str(expression)
    kinds = [each for each in told.get_all("Classifier", []) if each.startswith("License ::")]
    if kinds:
        return ", ".join(each.rpartition(":: ")[2] for each in kinds)
    # Some put the whole text there.
    return (told.get("License") or "not declared").strip().splitlines()[0]


def _license_texts(package: Distribution) -> Iterator[str]:
    for path in package.files or []:
        in_metadata = path.parts[0].endswith(".dist-info")
        if in_metadata and path.name.lower().startswith(_NAMES) and path.suffix != ".py":
            file = Path(str(package.locate_file(path)))
            if file.is_file():
                yield file.read_text(encoding="utf-8", errors="replace")


def _mit(holders: str) -> str:
    terms = Path(__file__).parent.parent.joinpath("LICENSE").read_text(encoding="utf-8")
    lines = [each for each in terms.splitlines() if not each.startswith("Copyright")]
    return "\n".join([lines[0], "", f"Copyright (c) {holders}", *lines[1:]])


if __name__ == "__main__":
    sys.stdout.reconfigure(encoding="utf-8")  # type: ignore[union-attr]  # of a text stream
    sys.stdout.write(
        write_notices([*own_notices(python_license()), *package_notices(distributions())])
    )
