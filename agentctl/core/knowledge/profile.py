"""The embedder of the settings, held against the one that the stored vectors came from."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from agentctl.core.embedding.base import Embedder, EmbedderProfile
from agentctl.core.errors import EmbedderChanged
from agentctl.core.knowledge.chunking import CHUNKER
from agentctl.core.knowledge.rows import StoreProfile
from agentctl.core.knowledge.store import DocumentStore

if TYPE_CHECKING:
    from agentctl.core.embedding.base import Vectors


class ProfiledEmbedder:
    """Opens embedders when they are needed, and sees that they fit the store.

    Args:
        name: what the settings say, as profiles call it.
        open_embedder: from such a name to the embedder, always the same for one name.
    """

    def __init__(
        self, store: DocumentStore, name: str, open_embedder: Callable[[str], Embedder]
    ) -> None:
        self._store = store
        self._name = name
        self._open = open_embedder

    @property
    def embedder(self) -> Embedder:
        """The one of the settings."""
        return self._open(self._name)

    def for_writing(self) -> StoreProfile:
        """The active profile, made when there is none.

        Raises:
            EmbedderChanged: it is not what the settings and this program would make.
        """
        stored = self._store.profile()
        if stored is not None and stored.embedder.name != self._name:
            # Before it is asked for: it may be far away, or not there.
            raise _named_otherwise(stored.embedder.name, self._name)
        wanted = self.embedder.profile()
        stored = stored or self._store.add_profile(wanted, CHUNKER)
        if stored.embedder != wanted:
            raise _changed(stored.embedder, wanted)
        if stored.chunker != CHUNKER:
            raise EmbedderChanged("the documents were cut by another version of agentctl")
        return stored

    def for_searching(self) -> tuple[StoreProfile, Embedder] | None:
        """The active profile and its embedder; None while there are no documents.

        Raises:
            EmbedderChanged: the settings name another one, and no reindex to it is under way.
        """
        stored = self._store.profile()
        if stored is None:
            return None
        if stored.embedder.name == self._name:
            wanted = self.embedder.profile()
            if wanted == stored.embedder:
                return stored, self.embedder
            raise _changed(stored.embedder, wanted)
        building = self._store.profile(active=False)
        if building is None or building.embedder.name != self._name:
            raise _named_otherwise(stored.embedder.name, self._name)
        return stored, self._open(stored.embedder.name)

    def for_keywords(self) -> tuple[StoreProfile, Embedder] | None:
        """The active profile, and its embedder, which is opened only if it is used after all."""
        stored = self._store.profile()
        return (stored, _Unopened(stored.embedder, self._open)) if stored is not None else None


class _Unopened:
    """An embedder that waits to be needed."""

    def __init__(self, profile: EmbedderProfile, open_embedder: Callable[[str], Embedder]) -> None:
        self._profile = profile
        self._open = open_embedder

    def profile(self) -> EmbedderProfile:
        return self._profile

    def token_starts(self, text: str) -> Sequence[int]:
        return self._open(self._profile.name).token_starts(text)

    def embed_passages(self, texts: Sequence[str]) -> "Vectors":
        return self._open(self._profile.name).embed_passages(texts)

    def embed_query(self, text: str) -> "Vectors":
        return self._open(self._profile.name).embed_query(text)

    def close(self) -> None:
        """Whoever opens embedders closes them."""


def _changed(stored: EmbedderProfile, wanted: EmbedderProfile) -> EmbedderChanged:
    if stored.name != wanted.name:
        return _named_otherwise(stored.name, wanted.name)
    return EmbedderChanged(f"{wanted.name} is not the same model the documents were embedded by")


def _named_otherwise(stored: str, wanted: str) -> EmbedderChanged:
    return EmbedderChanged(f"the documents were embedded by {stored}, the settings say {wanted}")
