"""What is shipped together may be shipped together."""

import re
from collections.abc import Iterator
from importlib.metadata import Distribution, PackageNotFoundError, distribution

from packaging.requirements import Requirement

# Licences that ask for no more than their own text and notices to go along, or (MPL) for the
# sources of their own unchanged files, which the package indexes have.
FREE = re.compile(
    r"MIT|BSD|Apache|ISC|0BSD|PSF|Python Software Foundation|MPL|Mozilla|Public Domain|Unlicense"
    r"|Zlib|CC0|dependency licenses"
)
STRICT = re.compile(r"\bA?GPL|\bLGPL|GNU|SSPL|BUSL|Commons Clause|proprietary", re.IGNORECASE)
# Whose metadata says nothing, and what the file that comes with them says.
BY_THEIR_FILE = {"smolagents": "Apache-2.0"}


def declared(package: Distribution) -> str:
    about = package.metadata
    named = [
        each.rpartition("::")[2].strip()
        for each in about.get_all("Classifier") or ()
        if each.startswith("License ::")
    ]
    first_line = (about.get("License") or "").strip().partition("\n")[0]
    return about.get("License-Expression") or "; ".join(named) or first_line


def needed(name: str, seen: set[str]) -> Iterator[Distribution]:
    """The package and all that it needs here, each once."""
    plain = re.sub(r"[-_.]+", "-", name).lower()
    if plain in seen:
        return
    seen.add(plain)
    try:
        package = distribution(name)
    except PackageNotFoundError:
        return
    yield package
    for line in package.requires or ():
        requirement = Requirement(line)
        for extra in ("", *requirement.extras):
            if requirement.marker is None or requirement.marker.evaluate({"extra": extra}):
                yield from needed(requirement.name, seen)


def test_every_licence_allows_to_be_shipped_with_ours() -> None:
    licences = {
        each.metadata["Name"]: BY_THEIR_FILE.get(each.metadata["Name"], declared(each))
        for each in needed("agentctl", set())
    }

    assert len(licences) > 50
    odd = {
        name: text
        for name, text in licences.items()
        if STRICT.search(text) or not FREE.search(text)
    }
    assert odd == {}
