"""Documents that go along with a prompt: their text does."""

from pathlib import Path

import pytest

from agentctl.core.chat.attachments import Attachment, InputLimits, load_attachments
from agentctl.core.errors import InputEncrypted, InputUnreadable
from tests.support.sample_files import ENCRYPTED_PDF, docx, packed, pdf

LIMITS = InputLimits(1_000_000, 10, 1.0)


def attached(folder: Path, name: str, data: bytes) -> Attachment:
    (folder / name).write_bytes(data)
    (attachment,) = load_attachments((str(folder / name),), None, LIMITS).attachments
    return attachment


def test_of_a_pdf_the_text_goes_along(tmp_path: Path) -> None:
    attachment = attached(tmp_path, "report.pdf", pdf("The lamp is green."))
    assert (attachment.media_type, attachment.image) == ("application/pdf", None)
    assert "The lamp is green." in (attachment.text or "")


def test_of_an_office_document_the_text_goes_along(tmp_path: Path) -> None:
    attachment = attached(
        tmp_path, "letter.docx", docx("<w:p><w:r><w:t>Dear all</w:t></w:r></w:p>")
    )
    assert (attachment.text or "").strip() == "Dear all"


@pytest.mark.parametrize(
    ("name", "data", "error"),
    [
        ("archive.zip", packed({"a.txt": "a"}), InputUnreadable),
        ("broken.pdf", b"%PDF-1.7 and no more", InputUnreadable),
        ("secret.pdf", ENCRYPTED_PDF, InputEncrypted),
    ],
)
def test_what_has_no_text_is_refused(
    name: str, data: bytes, error: type[InputUnreadable], tmp_path: Path
) -> None:
    with pytest.raises(error, match=name):
        attached(tmp_path, name, data)
