"""Which loader reads a file: by its name, and where that says nothing by its first bytes."""

from agentctl.core.knowledge.loaders import docx, epub, pptx, xlsx
from agentctl.core.knowledge.loaders.base import Loader
from agentctl.core.knowledge.loaders.docx import DocxLoader
from agentctl.core.knowledge.loaders.encoding import is_binary
from agentctl.core.knowledge.loaders.epub import EpubLoader
from agentctl.core.knowledge.loaders.languages import (
    INTERPRETERS,
    LANGUAGES,
    NAMED,
    PYTHON,
    Language,
)
from agentctl.core.knowledge.loaders.mail import MailLoader
from agentctl.core.knowledge.loaders.markdown import MarkdownLoader
from agentctl.core.knowledge.loaders.markup import HtmlLoader
from agentctl.core.knowledge.loaders.notebook import NotebookLoader
from agentctl.core.knowledge.loaders.pdf import PdfLoader
from agentctl.core.knowledge.loaders.pptx import PptxLoader
from agentctl.core.knowledge.loaders.python_code import PythonLoader
from agentctl.core.knowledge.loaders.rst import RstLoader
from agentctl.core.knowledge.loaders.source_code import CodeLoader
from agentctl.core.knowledge.loaders.text import TextLoader
from agentctl.core.knowledge.loaders.xlsx import XlsxLoader

_PLAIN = TextLoader()
BINARY_FORMATS: dict[str, Loader] = {
    "pdf": PdfLoader(),
    **dict.fromkeys(("docx", "docm", "dotx", "dotm"), DocxLoader()),
    **dict.fromkeys(("pptx", "pptm", "ppsx", "potx"), PptxLoader()),
    **dict.fromkeys(("xlsx", "xlsm", "xltx", "xltm"), XlsxLoader()),
    "epub": EpubLoader(),
}
"""What reads a file with this ending, whatever is in it; a new format is a line here."""

TEXT_FORMATS: dict[str, Loader] = {
    **dict.fromkeys(("txt", "text", "log"), _PLAIN),
    **dict.fromkeys(("md", "markdown", "mdown", "mkd", "mdx", "qmd", "rmd"), MarkdownLoader()),
    **dict.fromkeys(("rst", "rest"), RstLoader()),
    **dict.fromkeys(("html", "htm", "xhtml", "xht"), HtmlLoader()),
    "ipynb": NotebookLoader(),
    "eml": MailLoader(),
    "csv": TextLoader("text/csv", "table"),
    "tsv": TextLoader("text/tab-separated-values", "table"),
    "json": TextLoader("application/json", "code"),
    "jsonl": TextLoader("application/jsonl", "code"),
    "ndjson": TextLoader("application/jsonl", "code"),
    "toml": TextLoader("application/toml", "code"),
    "yaml": TextLoader("application/yaml", "code"),
    "yml": TextLoader("application/yaml", "code"),
    "xml": TextLoader("application/xml", "code"),
    **dict.fromkeys(
        ("ini", "cfg", "conf", "properties", "env", "editorconfig"),
        TextLoader("text/x-ini", "code"),
    ),
}
"""The same for files that are text, and are left alone when they hold bytes that are not."""

# What is not opened at all. Some of these are text, but none that says anything.
_KNOWN_BINARIES = """
png jpg jpeg jpe gif bmp tif tiff webp ico icns heic heif avif jxl svg svgz psd ai eps ps xcf
cr2 nef dng mp3 wav flac ogg oga opus m4a aac wma aiff mid midi mp4 m4v mkv mov avi wmv webm mpg
mpeg flv 3gp zip gz tgz bz2 tbz xz txz zst lz lz4 lzma 7z rar tar cab iso img dmg deb rpm apk
msi appimage jar war ear whl egg crx xpi exe dll so dylib lib o ko bin elf wasm class pyc pyo
pyd beam ttf otf woff woff2 eot db sqlite sqlite3 mdb accdb dbf parquet feather arrow orc avro
npy npz pkl pickle joblib h5 hdf5 mat rds rdata pt pth ckpt onnx tflite gguf ggml safetensors pb
doc dot xls xlt ppt pps odt ods odp odg rtf mobi azw azw3 djvu xps chm msg pst vsd vsdx swf fla
blend fbx stl glb gltf dwg dxf pcap pcapng dmp swp pem crt cer der p12 pfx jks gpg
"""
_BINARY_ENDINGS = frozenset(_KNOWN_BINARIES.split())
# What servers call these formats; a plain text may be anything.
_MEDIA_ENDINGS = {
    "application/pdf": "pdf",
    docx.MEDIA_TYPE: "docx",
    pptx.MEDIA_TYPE: "pptx",
    xlsx.MEDIA_TYPE: "xlsx",
    epub.MEDIA_TYPE: "epub",
    "text/html": "html",
    "application/xhtml+xml": "html",
    "text/markdown": "md",
    "text/csv": "csv",
    "text/tab-separated-values": "tsv",
    "application/json": "json",
    "message/rfc822": "eml",
}
_HEAD = 8192
# The end of a zip file names its parts.
_DIRECTORY = 65_536
_PARTS = {b"word/document": "docx", b"ppt/presentation": "pptx", b"xl/workbook": "xlsx"}


def is_known_binary(name: str) -> bool:
    """Whether a file's name alone says that there is no text in it; it need not be opened."""
    return _ending(name) in _BINARY_ENDINGS


def page_name(path: str, media_type: str) -> str:
    """What a page is called, so that its name tells its format.

    The server knows better than an address such as `get.php`, if it says anything.
    """
    name = path.rpartition("/")[2] or "page"
    ending = _MEDIA_ENDINGS.get(media_type)
    return f"{name}.{ending}" if ending is not None else name


def sample(data: bytes) -> bytes:
    """What `loader_for` wants to see of a file: its beginning, and of an archive the end too."""
    end = data[_HEAD:][-_DIRECTORY:] if data.startswith(b"PK\3\4") else b""
    return data[:_HEAD] + end


def loader_for(name: str, head: bytes) -> Loader | None:
    """What reads the file, None for one that is binary. `head` is a `sample` of it."""
    ending = _ending(name)
    if ending in _BINARY_ENDINGS:
        return None
    if ending in BINARY_FORMATS:
        return BINARY_FORMATS[ending]
    known = _loader_by_name(_file_name(name), ending)
    if known is None and (found := _binary_format(head)):
        return found
    if is_binary(head):
        return None
    return known or _text_format(head)


def _file_name(name: str) -> str:
    return name.replace("\\", "/").rpartition("/")[2].lower()


def _ending(name: str) -> str:
    """Without the dot, in lower case; empty when there is none."""
    stem, _, ending = _file_name(name).rpartition(".")
    return ending if stem else ""


def _loader_by_name(file_name: str, ending: str) -> Loader | None:
    # `Dockerfile.dev` and `Makefile.am` are named after what they are, too.
    code = NAMED.get(file_name) or LANGUAGES.get(ending) or NAMED.get(file_name.partition(".")[0])
    return _loader_of(code) if file_name in NAMED else TEXT_FORMATS.get(ending) or _loader_of(code)


def _loader_of(found: tuple[str, Language] | None) -> Loader | None:
    if found is None:
        return None
    name, language = found
    return PythonLoader() if language is PYTHON else CodeLoader(name, language)


def _binary_format(head: bytes) -> Loader | None:
    if head.startswith(b"%PDF-"):
        return BINARY_FORMATS["pdf"]
    if not head.startswith(b"PK\3\4"):
        return None
    # An EPUB's first part is its media type, uncompressed: OCF 3.3, 4.3.
    if b"mimetypeapplication/epub+zip" in head[:100]:
        return BINARY_FORMATS["epub"]
    return next((BINARY_FORMATS[ending] for part, ending in _PARTS.items() if part in head), None)


def _text_format(head: bytes) -> Loader:
    start = head[:200].lstrip(b"\xef\xbb\xbf \t\r\n")
    if start[:14].lower().startswith((b"<!doctype html", b"<html")):
        return TEXT_FORMATS["html"]
    if start.startswith(b"#!"):
        # "#!/usr/bin/env -S python3 -u" and "#!/bin/sh"
        words = start.split(b"\n")[0].decode("utf-8", "replace").split()
        programs = (word.rpartition("/")[2].lower().rstrip("0123456789.") for word in words)
        for program in programs:
            if program in INTERPRETERS:
                return _loader_of(INTERPRETERS[program]) or _PLAIN
    return _PLAIN
