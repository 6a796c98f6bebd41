"""The embedder of the settings, held against the one that the stored vectors came from."""

from collections.abc import Callable

from agentctl.core.embedding.base import Embedder, EmbedderProfile
from agentctl.core.errors import EmbedderChanged
from agentctl.core.knowledge.chunking import CHUNKER
from agentctl.core.knowledge.rows import StoreProfile
from agentctl.core.knowledge.store import DocumentStore


class ProfiledEmbedder:
    """Opens embedders when they are needed, and sees that they fit the store.

    Args:
        name: what the settings say.
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
        wanted = self.embedder.profile()
        stored = self._store.profile() or self._store.add_profile(wanted, CHUNKER)
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
            raise EmbedderChanged(
                f"the documents were embedded by {stored.embedder.name}, the settings say "
                f"{self._name}"
            )
        return stored, self._open(stored.embedder.name)


def _changed(stored: EmbedderProfile, wanted: EmbedderProfile) -> EmbedderChanged:
    if stored.name != wanted.name:
        return EmbedderChanged(
            f"the documents were embedded by {stored.name}, the settings say {wanted.name}"
        )
    return EmbedderChanged(f"{wanted.name} is not the same model the documents were embedded by")
