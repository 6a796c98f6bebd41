"""Finding a wheel where pip would: find-links folders and pages, and simple indexes.

The configuration is pip's (https://pip.pypa.io/en/stable/topics/configuration/), the index the
simple API as JSON (PEP 691) or HTML (PEP 503).
"""

import json
import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from configparser import Error as ParserError
from configparser import RawConfigParser
from dataclasses import dataclass
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urljoin, urlsplit
from urllib.request import url2pathname

from agentctl.core.backends.fetcher import (
    Fetcher,
    FetchFailed,
    split_credentials,
    without_credentials,
)
from agentctl.core.errors import ConfigError
from agentctl.core.paths import expand

DEFAULT_INDEX = "https://pypi.org/simple"
_ACCEPT = (
    "application/vnd.pypi.simple.v1+json, "
    "application/vnd.pypi.simple.v1+html;q=0.2, text/html;q=0.01"
)
# Later ones are stronger. What is set for `pip install` is stronger than what is for all of pip.
_SECTIONS = ("global", "install")


@dataclass(frozen=True, slots=True)
class PackageSources:
    """Where wheels are looked for, as URLs, in order, and the certificates to trust for it.

    `links` are folders and pages that list files, `indexes` have a page for each project.
    """

    links: tuple[str, ...]
    indexes: tuple[str, ...]
    cafiles: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Wheel:
    """A wheel's address; `headers` carry its credentials, `sha256` is empty when not known."""

    filename: str
    url: str
    headers: Mapping[str, str]
    sha256: str = ""

    @property
    def path(self) -> Path | None:
        """The file itself, where the wheel is on this machine already."""
        return _local_path(self.url)


def pip_files(environ: Mapping[str, str], platform: str, prefix: Path, home: Path) -> list[Path]:
    """pip's configuration files, the weakest first: the system's, the user's, the environment's."""
    named = environ.get("PIP_CONFIG_FILE", "")
    if named == os.devnull:
        return []
    if platform == "win32":
        roaming = environ.get("APPDATA", str(home / "AppData" / "Roaming"))
        shared = [Path(environ.get("PROGRAMDATA", "C:\\ProgramData"), "pip")]
        own = [home / "pip", Path(roaming, "pip")]
    else:
        config = Path(environ.get("XDG_CONFIG_HOME") or home / ".config")
        folders = environ.get("XDG_CONFIG_DIRS") or "/etc/xdg"
        shared = [*(Path(folder, "pip") for folder in folders.split(":")), Path("/etc")]
        own = [home / ".pip", config / "pip"]
        if platform == "darwin":
            shared = [Path("/Library/Application Support/pip")]
            own.append(home / "Library" / "Application Support" / "pip")
    name = "pip.ini" if platform == "win32" else "pip.conf"
    files = [folder / name for folder in (*shared, *own, prefix)]
    return [*files, Path(named)] if named else files


def read_package_sources(
    environ: Mapping[str, str], index: str, files: Iterable[Path]
) -> PackageSources:
    """Merges the setting downloads.index, the environment and pip's files, strongest first.

    Raises ConfigError when a file cannot be read as pip's configuration.
    """
    options = _pip_options(environ, files)
    cafiles = [
        options.get("cert", ""),
        environ.get("SSL_CERT_FILE", ""),
        environ.get("REQUESTS_CA_BUNDLE", ""),
    ]
    trusted = tuple(dict.fromkeys(filter(None, cafiles)))
    if index:
        return PackageSources((), (_as_url(index),), trusted)
    main = (
        environ.get("PIP_INDEX_URL")
        or re.sub(r"^[\w.-]+=(?=\w+:)", "", environ.get("UV_DEFAULT_INDEX", ""))
        or environ.get("UV_INDEX_URL")
        or options.get("index-url")
        or DEFAULT_INDEX
    )
    indexes = [main, *options.get("extra-index-url", "").split()]
    if options.get("no-index", "").lower() in {"1", "true", "yes", "on"}:
        indexes = []
    links = options.get("find-links", "").split()
    return PackageSources(tuple(map(_as_url, links)), tuple(map(_as_url, indexes)), trusted)


def find_wheel(fetcher: Fetcher, sources: PackageSources, name: str, version: str) -> Wheel:
    """The first wheel of that project and version.

    Raises:
        FetchFailed: none has it; says of each place why, without its credentials.
    """
    failures = []
    pages = [*sources.links, *(f"{url.rstrip('/')}/{_normal(name)}/" for url in sources.indexes)]
    for page in pages:
        try:
            for wheel in _wheels(fetcher, page):
                if _is_release(wheel.filename, name, version):
                    return wheel
            failures.append(f"{without_credentials(page)}: no wheel of {name} {version}")
        except FetchFailed as error:
            failures.append(f"{without_credentials(page)}: {error}")
    raise FetchFailed("; ".join(failures) or "no package index is configured")


def _pip_options(environ: Mapping[str, str], files: Iterable[Path]) -> dict[str, str]:
    parsers = [_read_pip_file(file) for file in files if file.is_file()]
    options = {
        option.replace("_", "-"): value
        for section in _SECTIONS
        for parser in parsers
        if parser.has_section(section)
        for option, value in parser.items(section)
    }
    return options | {
        name.removeprefix("PIP_").lower().replace("_", "-"): value
        for name, value in environ.items()
        if name.startswith("PIP_") and value
    }


def _read_pip_file(path: Path) -> RawConfigParser:
    parser = RawConfigParser()
    try:
        parser.read_string(path.read_text(encoding="utf-8"), str(path))
    except (ParserError, UnicodeDecodeError, OSError) as error:
        reason = str(error).partition("\n")[0]
        raise ConfigError(f"pip's configuration {path}: {reason}", f"mend {path}") from None
    return parser


def _wheels(fetcher: Fetcher, page: str) -> Iterator[Wheel]:
    """The wheels that a folder or a page lists."""
    path = _local_path(page)
    if path is not None:
        yield from _local_wheels(path)
        return
    address, headers = split_credentials(page)
    response = fetcher.open(address, {"Accept": _ACCEPT, **headers})
    body = b"".join(fetcher.read(response))
    if response.headers.get_content_type().endswith("json"):
        links = _json_links(body)
    else:
        links = _html_links(body.decode(errors="replace"))
    for link, sha256 in links:
        url, own = split_credentials(_join(response.url, link))
        same_host = urlsplit(url).netloc == urlsplit(address).netloc
        yield Wheel(_filename(url), url, own or (headers if same_host else {}), sha256)


def _local_wheels(path: Path) -> Iterator[Wheel]:
    listing = path / "index.html" if path.is_dir() else path
    try:
        if path.is_dir() and not listing.is_file():
            for file in sorted(path.glob("*.whl")):
                yield Wheel(file.name, file.as_uri(), {})
            return
        text = listing.read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        raise FetchFailed(error.strerror or "cannot be read") from None
    for link, sha256 in _html_links(text):
        url = _join(listing.as_uri(), link)
        yield Wheel(_filename(url), url, {}, sha256)


def _json_links(body: bytes) -> Iterator[tuple[str, str]]:
    try:
        for file in json.loads(body)["files"]:
            yield str(file["url"]), str(file["hashes"].get("sha256", ""))
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise FetchFailed("answered with an index page that cannot be read") from None


def _html_links(text: str) -> Iterator[tuple[str, str]]:
    anchors = _Anchors()
    anchors.feed(text)
    for link in anchors.links:
        url, _, fragment = _join(anchors.base, link).partition("#")
        name, _, digest = fragment.partition("=")
        yield url, digest.lower() if name == "sha256" else ""


class _Anchors(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.base = ""
        self.links: list[str] = []

    def handle_starttag(self, tag: str, attrs: Sequence[tuple[str, str | None]]) -> None:
        target = dict(attrs).get("href")
        if tag == "a" and target:
            self.links.append(target)
        elif tag == "base" and target:
            self.base = target


def _is_release(filename: str, name: str, version: str) -> bool:
    """Whether a wheel's name (name-version[-build]-python-abi-platform.whl) is of that release."""
    stem, _, suffix = filename.rpartition(".")
    parts = stem.split("-")
    return (
        suffix == "whl"
        and len(parts) in {5, 6}
        and _normal(parts[0]) == _normal(name)
        and parts[1] == version
    )


def _normal(name: str) -> str:
    """A project's name as the simple API wants it (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()


def _join(base: str, link: str) -> str:
    try:
        return urljoin(base, link)
    except ValueError:
        raise FetchFailed("lists an address that cannot be read") from None


def _filename(url: str) -> str:
    return unquote(urlsplit(url).path.rpartition("/")[2])


def _as_url(place: str) -> str:
    return place if "://" in place else expand(place).absolute().as_uri()


def _local_path(url: str) -> Path | None:
    parts = urlsplit(url)
    return Path(url2pathname(parts.path)) if parts.scheme == "file" else None
