"""What ingestion reads files with: any format in, a document out."""

from types import TracebackType
from typing import Self

from agentctl.core.knowledge.documents import Document
from agentctl.core.knowledge.loaders.base import ReadLimits
from agentctl.core.knowledge.loaders.isolated import IsolatedLoader
from agentctl.core.knowledge.loaders.reading import load_document, too_large
from agentctl.core.knowledge.loaders.registry import loader_for, sample

__all__ = ["DocumentReader", "ReadLimits"]


class DocumentReader:
    """Reads text here, and formats that take a complex parser in a process of their own.

    To be used by one thread at a time.
    """

    def __init__(self, limits: ReadLimits) -> None:
        self._limits = limits
        self._isolated = IsolatedLoader(limits)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Ends the process, if one was needed."""
        self._isolated.close()

    def read(self, data: bytes, name: str) -> Document | None:
        """The file as a document, None when it is binary: nothing to read.

        Raises:
            InputTooLarge: the file, or its text, is over the limit.
            InputEncrypted: it has a password.
            InputHostile: reading it took more time or memory than is allowed.
            InputUnreadable: it is damaged, or not what its name claims.
        """
        loader = loader_for(name, sample(data))
        if loader is None:
            return None
        if len(data) > self._limits.file_bytes:
            raise too_large(name, len(data), self._limits)
        if loader.is_isolated:
            return self._isolated.load(data, name)
        return load_document(loader, data, name, self._limits)
