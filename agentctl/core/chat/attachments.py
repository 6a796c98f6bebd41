"""What goes along with a prompt: files, folders, pages of the web, and standard input."""

import os
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from agentctl.core.backends.base import Image
from agentctl.core.errors import InputTooLarge, InputUnreadable
from agentctl.core.files import decode_text, image_type, read_bytes, walk, well_formed
from agentctl.core.knowledge.documents import Document
from agentctl.core.knowledge.loaders.markup import html_to_text
from agentctl.core.web_page import URL_SCHEMES, WebPage, fetch_page

if TYPE_CHECKING:
    from agentctl.core.knowledge.loaders.reader import DocumentReader

STDIN_NAME = "stdin"
# How a PDF begins, and a zip archive, as office documents and EPUB are.
_PACKED = (b"%PDF-", b"PK\3\4")


@dataclass(frozen=True, slots=True)
class Attachment:
    """One named input: `text`, or an `image`."""

    name: str
    media_type: str
    text: str | None = None
    image: Image | None = None


@dataclass(frozen=True, slots=True)
class InputLimits:
    """`bytes` and `files` one input may have, `seconds` a web server may be silent.

    Reading a PDF or an office document may take `reading_s` seconds and `reading_memory` bytes.
    """

    bytes: int
    files: int
    seconds: float
    reading_s: float = 60.0
    reading_memory: int = 1_500_000_000


@dataclass(slots=True)
class Loaded:
    """What could be read, and what the user should know about the rest."""

    limits: InputLimits
    attachments: list[Attachment] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    _reader: "DocumentReader | None" = None

    def close(self) -> None:
        """Ends the process that read documents, if any did."""
        if self._reader is not None:
            self._reader.close()

    def add(self, name: str, data: bytes) -> None:
        """Raises InputUnreadable when `data` is no text, document or image."""
        name = well_formed(name)
        kind = image_type(data)
        if kind is not None:
            self.attachments.append(Attachment(name, kind, image=Image(kind, data)))
            return
        if data.startswith(_PACKED) and (document := self._unpacked(name, data)) is not None:
            self.attachments.append(Attachment(name, document.media_type, document.text))
            self.warnings += (f"{name}: {warning}" for warning in document.warnings)
            return
        text, replaced = decode_text(data, name)
        if replaced:
            self.warnings.append(f"{name} is not all UTF-8: what could not be read shows as \ufffd")
        self.attachments.append(Attachment(name, "text/plain", text))

    def _unpacked(self, name: str, data: bytes) -> Document | None:
        from agentctl.core.knowledge.loaders.base import ReadLimits
        from agentctl.core.knowledge.loaders.reader import DocumentReader

        if self._reader is None:
            limits = self.limits
            reading = ReadLimits(limits.bytes, limits.reading_s, limits.reading_memory)
            self._reader = DocumentReader(reading)
        return self._reader.read(data, name)


def load_attachments(files: tuple[str, ...], stdin: bytes | None, limits: InputLimits) -> Loaded:
    """Reads everything; blocks, so call it in a thread.

    Raises:
        InputMissing: a file or page is not there, or may not be read.
        InputUnreadable: a named file is neither text nor an image.
        InputTooLarge: one input is over the limit.
    """
    with closing(Loaded(limits)) as loaded:
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
        # A document may be packed: what it holds counts too.
        size += max(len(data), len(loaded.attachments[-1].text or ""))
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
    page = fetch_page(url, limits.bytes, limits.seconds)
    is_html = page.media_type == "text/html"
    read = html_to_text(page.data, page.charset).encode() if is_html else _recoded(page)
    loaded.add(url, read)


def _recoded(page: WebPage) -> bytes:
    """As UTF-8; as it is when the server named no charset, or one that nobody knows."""
    if page.charset is None or page.charset.lower() == "utf-8":
        return page.data
    try:
        return page.data.decode(page.charset, errors="replace").encode()
    except LookupError:
        return page.data
