"""E-mail (RFC 5322, MIME): who wrote what to whom, and the names of what was attached."""

from typing import TYPE_CHECKING, ClassVar

from agentctl.core.knowledge.documents import Document
from agentctl.core.knowledge.loaders.base import DocumentBuilder, one_line
from agentctl.core.knowledge.loaders.encoding import decode
from agentctl.core.knowledge.loaders.markup import html_document

if TYPE_CHECKING:
    from email.message import MIMEPart

_HEADERS = ("From", "To", "Cc", "Date", "Subject")


class MailLoader:
    """Its plain text, or else its page as Markdown; the subject is the title."""

    is_isolated: ClassVar[bool] = True

    def load(self, data: bytes, name: str) -> Document:
        from email.message import EmailMessage
        from email.parser import BytesParser
        from email.policy import default

        message = BytesParser(EmailMessage, policy=default).parsebytes(data)
        subject = one_line(str(message.get("Subject", "")))
        builder = DocumentBuilder()
        builder.begin((subject,) if subject else ())
        lines = (f"{each}: {one_line(str(message[each]))}" for each in _HEADERS if message[each])
        builder.add("\n".join(lines))
        body = message.get_body(preferencelist=("plain", "html"))
        if body is not None:
            builder.add(_text(body, name))
        attached = [part.get_filename() or "" for part in message.iter_attachments()]
        if any(attached):
            builder.add("Attachments: " + ", ".join(filter(None, map(one_line, attached))))
        return builder.document(subject, "message/rfc822")


def _text(part: "MIMEPart", name: str) -> str:
    """The part as text; in the charset it names, or else in the likely one."""
    data = part.get_payload(decode=True)
    if not isinstance(data, bytes):
        return ""
    try:
        text = data.decode(part.get_content_charset() or "utf-8")
    except (LookupError, UnicodeDecodeError):
        text, _ = decode(data, name)
    return html_document(text).text if part.get_content_subtype() == "html" else text
