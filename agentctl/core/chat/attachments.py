"""What goes along with a prompt: files, folders, pages of the web, and standard input."""

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from agentctl.core.backends.base import Image
from agentctl.core.errors import InputMissing, InputTooLarge, InputUnreadable
from agentctl.core.files import decode_text, image_type, read_bytes, read_up_to, walk, well_formed

URL_SCHEMES = ("http://", "https://")
STDIN_NAME = "stdin"
# What stays as it is in an address; the rest, such as a space or an umlaut, is encoded.
_URL_LETTERS = "%/:=&?~#+!$,;'@()*[]"


@dataclass(frozen=True, slots=True)
class Attachment:
    """One named input: `text`, or an `image`."""

    name: str
    media_type: str
    text: str | None = None
    image: Image | None = None


@dataclass(slots=True)
class Loaded:
    """What could be read, and what the user should know about the rest."""

    attachments: list[Attachment] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

    def add(self, name: str, data: bytes) -> None:
        """Raises InputUnreadable when `data` is neither text nor an image."""
        name = well_formed(name)
        kind = image_type(data)
        if kind is not None:
            self.attachments.append(Attachment(name, kind, image=Image(kind, data)))
            return
        text, replaced = decode_text(data, name)
        if replaced:
            self.warnings.append(f"{name} is not all UTF-8: what could not be read shows as \ufffd")
        self.attachments.append(Attachment(name, "text/plain", text))


@dataclass(frozen=True, slots=True)
class InputLimits:
    """`bytes` and `files` one input may have, `seconds` a web server may be silent."""

    bytes: int
    files: int
    seconds: float


def load_attachments(files: tuple[str, ...], stdin: bytes | None, limits: InputLimits) -> Loaded:
    """Reads everything; blocks, so call it in a thread.

    Raises:
        InputMissing: a file or page is not there, or may not be read.
        InputUnreadable: a named file is neither text nor an image.
        InputTooLarge: one input is over the limit.
    """
    loaded = Loaded()
    if stdin:
        check_size(STDIN_NAME, len(stdin), limits.bytes)
        loaded.add(STDIN_NAME, stdin)
    for name in files:
        if name.startswith(URL_SCHEMES):
            _add_page(loaded, name, limits)
        elif os.path.isdir(name):  # noqa: PTH112 - Path.is_dir raises where it may not look
            _add_folder(loaded, Path(name), limits)
        else:
            loaded.add(name, read_bytes(Path(name), limits.bytes))
    return loaded


def check_size(name: str, size: int, limit: int) -> None:
    """Raises InputTooLarge."""
    if size > limit:
        raise InputTooLarge(
            f"{name} is larger than {limit:,} bytes",
            "give less of it, for example: head -c 1000000 FILE | agentctl ask …",
        )


def _add_folder(loaded: Loaded, folder: Path, limits: InputLimits) -> None:
    size = binaries = images = 0
    for path in _first(walk(folder), folder, limits.files):
        try:
            data = read_bytes(path, limits.bytes)
            if image_type(data) is not None:
                images += 1
                continue
            loaded.add(str(path), data)
        except InputUnreadable:
            binaries += 1
            continue
        size += len(data)
        check_size(str(folder), size, limits.bytes)
    if binaries:
        loaded.warnings.append(f"{folder}: {binaries} binary or very large files were left out")
    if images:
        loaded.warnings.append(f"{folder}: {images} images were left out; to send one, name it")


def _first(paths: Iterator[Path], folder: Path, limit: int) -> Iterator[Path]:
    for number, path in enumerate(paths):
        if number == limit:
            raise InputTooLarge(
                f"{folder} holds more than {limit} files",
                f"name the files you mean, or: agentctl config set limits.folder_files {limit * 4}",
            )
        yield path


def _add_page(loaded: Loaded, url: str, limits: InputLimits) -> None:
    from http.client import HTTPException
    from urllib.error import HTTPError
    from urllib.parse import quote
    from urllib.request import Request, urlopen

    try:
        # The user named this address, and the scheme was checked.
        request = Request(quote(url, safe=_URL_LETTERS), headers={"User-Agent": "agentctl"})  # noqa: S310
        with urlopen(request, timeout=limits.seconds) as answer:  # noqa: S310
            data = read_up_to(answer, limits.bytes + 1)
            is_cut = bool(answer.length) and len(data) <= limits.bytes
            is_html = answer.headers.get_content_type() == "text/html"
            charset = answer.headers.get_content_charset()
    except HTTPError as error:
        error.close()
        raise InputMissing(f"{url}: {error.code} {error.reason}", "check the address") from None
    except (OSError, HTTPException, ValueError) as error:
        reason = getattr(error, "reason", error)
        raise InputMissing(f"{url}: {reason}", "check the address and the network") from None
    if is_cut:
        raise InputMissing(f"{url}: the page broke off before its end", "try again")
    check_size(url, len(data), limits.bytes)
    loaded.add(url, html_to_text(data, charset).encode() if is_html else _recoded(data, charset))


def _recoded(data: bytes, charset: str | None) -> bytes:
    """As UTF-8; as it is when the server named no charset, or one that nobody knows."""
    if charset is None or charset.lower() == "utf-8":
        return data
    try:
        return data.decode(charset, errors="replace").encode()
    except LookupError:
        return data


def html_to_text(data: bytes, charset: str | None = None) -> str:
    """The page as Markdown, without scripts, styles, navigation and embedded pictures.

    A `charset` that the server named is stronger than the page's own.
    """
    from bs4 import BeautifulSoup
    from markdownify import MarkdownConverter

    page = BeautifulSoup(data, "html.parser", from_encoding=charset)
    for element in page(["script", "style", "noscript", "template", "nav", "svg", "iframe"]):
        element.decompose()
    for picture in page("img", src=lambda source: source and source.startswith("data:")):
        picture.decompose()
    try:
        return str(MarkdownConverter(heading_style="ATX").convert_soup(page)).strip() + "\n"
    except RecursionError:
        # Nested deeper than any reader would follow: its words then, without its shape.
        return "\n".join(page.stripped_strings) + "\n"
