"""Small files of formats that take many bytes to say little: PDF, zip packages, Office files."""

import io
import zipfile
from base64 import b64decode
from collections.abc import Mapping


def pdf(*pages: str, title: str = "", outline: Mapping[str, int] | None = None) -> bytes:
    """A PDF with a line of text on each page, and bookmarks to pages counted from 0."""
    first = 4
    marks = list((outline or {}).items())
    first_mark = first + 2 * len(pages) + 1
    objects = [
        f"<</Type/Catalog/Pages 2 0 R/Outlines {first_mark - 1} 0 R>>",
        f"<</Type/Pages/Count {len(pages)}/Kids[{_references(first, len(pages), 2)}]>>",
        "<</Type/Font/Subtype/Type1/BaseFont/Helvetica/Encoding/WinAnsiEncoding>>",
    ]
    for number, text in enumerate(pages):
        drawing = f"BT /F1 12 Tf 72 700 Td ({text}) Tj ET"
        objects += [
            f"<</Type/Page/Parent 2 0 R/MediaBox[0 0 612 792]/Contents {first + 2 * number + 1} 0 R"
            "/Resources<</Font<</F1 3 0 R>>>>>>",
            f"<</Length {len(drawing)}>>stream\n{drawing}\nendstream",
        ]
    last_mark = first_mark + len(marks) - 1
    objects.append(f"<</First {first_mark} 0 R/Last {last_mark} 0 R>>" if marks else "<<>>")
    for number, (heading, page) in enumerate(marks):
        following = f"/Next {first_mark + number + 1} 0 R" if number < len(marks) - 1 else ""
        objects.append(
            f"<</Title({heading})/Parent {first_mark - 1} 0 R/Dest[{first + 2 * page} 0 R/Fit]"
            f"{following}>>"
        )
    objects.append(f"<</Title({title})>>")
    return _assembled(objects)


def _references(first: int, count: int, step: int) -> str:
    return " ".join(f"{first + step * number} 0 R" for number in range(count))


def _assembled(objects: list[str]) -> bytes:
    """The objects with their table; the last is the document's properties."""
    data = b"%PDF-1.4\n"
    places = []
    for number, body in enumerate(objects, start=1):
        places.append(len(data))
        data += f"{number} 0 obj\n{body}\nendobj\n".encode("cp1252")
    table = "".join(f"{place:010} 00000 n \n" for place in places)
    size = len(objects) + 1
    return data + (
        f"xref\n0 {size}\n0000000000 65535 f \n{table}"
        f"trailer\n<</Size {size}/Root 1 0 R/Info {size - 1} 0 R>>\nstartxref\n{len(data)}\n%%EOF\n"
    ).encode("ascii")


def packed(parts: Mapping[str, str | bytes]) -> bytes:
    """A zip archive."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in parts.items():
            # A book's media type is not compressed, so that it can be seen.
            kind = zipfile.ZIP_STORED if name == "mimetype" else zipfile.ZIP_DEFLATED
            archive.writestr(name, data, kind)
    return file.getvalue()


def docx(body: str) -> bytes:
    """A Word document, by the XML within its body; the prefix is `w`."""
    namespace = "http://schemas.openxmlformats.org/wordprocessingml/2006/main"
    xml = f'<w:document xmlns:w="{namespace}"><w:body>{body}</w:body></w:document>'
    return packed({"word/document.xml": xml})


def epub(chapters: Mapping[str, str], **more: str) -> bytes:
    """A book of XHTML chapters in that order."""
    items = "".join(
        f'<item id="i{n}" href="{name}" media-type="application/xhtml+xml"/>'
        for n, name in enumerate(chapters)
    )
    spine = "".join(f'<itemref idref="i{n}"/>' for n in range(len(chapters)))
    return packed(
        {
            "mimetype": "application/epub+zip",
            "META-INF/container.xml": '<container><rootfiles><rootfile full-path="text/book.opf"/>'
            "</rootfiles></container>",
            "text/book.opf": '<?xml version="1.0"?><package><metadata><dc:title>A Book</dc:title>'
            f"</metadata><manifest>{items}</manifest><spine>{spine}</spine></package>",
            **{f"text/{name}": text for name, text in chapters.items()},
            **more,
        }
    )


# pdf("secret") with the user's password "x", RC4 of 40 bits.
ENCRYPTED_PDF = b64decode(
    "JVBERi0xLjMKJeLjz9MKMSAwIG9iago8PAovVHlwZSAvQ2F0YWxvZwovUGFnZXMgMiAwIFIKL091dGxpbmVzIDYgMCBS"
    "Cj4+CmVuZG9iagoyIDAgb2JqCjw8Ci9UeXBlIC9QYWdlcwovQ291bnQgMQovS2lkcyBbIDMgMCBSIF0KPj4KZW5kb2Jq"
    "CjMgMCBvYmoKPDwKL1R5cGUgL1BhZ2UKL1BhcmVudCAyIDAgUgovTWVkaWFCb3ggWyAwIDAgNjEyIDc5MiBdCi9Db250"
    "ZW50cyA0IDAgUgovUmVzb3VyY2VzIDw8Ci9Gb250IDw8Ci9GMSA1IDAgUgo+Pgo+Pgo+PgplbmRvYmoKNCAwIG9iago8"
    "PAovTGVuZ3RoIDM3Cj4+CnN0cmVhbQonGvpaXyFJzHokB8a/C8Jc7ja9kDR7+z2qIimv1QaaV7AVSzQHCmVuZHN0cmVh"
    "bQplbmRvYmoKNSAwIG9iago8PAovVHlwZSAvRm9udAovU3VidHlwZSAvVHlwZTEKL0Jhc2VGb250IC9IZWx2ZXRpY2EK"
    "L0VuY29kaW5nIC9XaW5BbnNpRW5jb2RpbmcKPj4KZW5kb2JqCjYgMCBvYmoKPDwKPj4KZW5kb2JqCjcgMCBvYmoKPDwK"
    "L1RpdGxlIDw+Cj4+CmVuZG9iago4IDAgb2JqCjw8Ci9WIDEKL1IgMgovTGVuZ3RoIDQwCi9QIDQyOTQ5NjcyOTIKL0Zp"
    "bHRlciAvU3RhbmRhcmQKL08gPDVlYmYwM2E4MWM0NmZlNjQxNGJiOTI5YWRiNGI1NWNkMGIyZmUxMGM0YmZmZjI1ODU3"
    "MDczOGQ1NmVkMzAzNmY+Ci9VIDw2OGZkZmJhYmY0ZjNiNTEwZWVlNzExOTQzNzdmZTIzNTExNDAzMzM4ODVjMGYyMGQx"
    "NzdkYmU1MTQ5N2U5YmJhPgo+PgplbmRvYmoKeHJlZgowIDkKMDAwMDAwMDAwMCA2NTUzNSBmIAowMDAwMDAwMDE1IDAw"
    "MDAwIG4gCjAwMDAwMDAwODAgMDAwMDAgbiAKMDAwMDAwMDEzOSAwMDAwMCBuIAowMDAwMDAwMjY3IDAwMDAwIG4gCjAw"
    "MDAwMDAzNTQgMDAwMDAgbiAKMDAwMDAwMDQ1MSAwMDAwMCBuIAowMDAwMDAwNDcyIDAwMDAwIG4gCjAwMDAwMDA1MDMg"
    "MDAwMDAgbiAKdHJhaWxlcgo8PAovU2l6ZSA5Ci9Sb290IDEgMCBSCi9JbmZvIDcgMCBSCi9JRCBbIDw1MDhhYjZiY2Nh"
    "YmQxMjY2MzRlZmFmZWRlNzQwNTkxOD4gPDUwOGFiNmJjY2FiZDEyNjYzNGVmYWZlZGU3NDA1OTE4PiBdCi9FbmNyeXB0"
    "IDggMCBSCj4+CnN0YXJ0eHJlZgo3MTcKJSVFT0YK"
)
