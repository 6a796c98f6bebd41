"""Files that are text and nothing more: prose, tables, configuration, records."""

from dataclasses import dataclass
from typing import ClassVar

from agentctl.core.knowledge.documents import Document, Section, SectionKind
from agentctl.core.knowledge.loaders.encoding import decode


@dataclass(frozen=True, slots=True)
class TextLoader:
    """The file's own text, as one section of one kind."""

    media_type: str = "text/plain"
    kind: SectionKind = "prose"
    is_isolated: ClassVar[bool] = False

    def load(self, data: bytes, name: str) -> Document:
        text, warnings = decode(data, name)
        return Document(
            text=text,
            title="",
            media_type=self.media_type,
            sections=(Section(0, kind=self.kind),),
            has_lines=True,
            warnings=warnings,
        )
