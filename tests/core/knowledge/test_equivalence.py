"""After any history of changes, the store holds what a fresh ingest of the same files would."""

import shutil
import tempfile
from pathlib import Path

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from tests.support.knowledge import Library

NAMES = st.sampled_from(["a.md", "b.md", "c.txt", "below/a.md", "below/d.py"])
WORDS = st.sampled_from(["apple", "pear", "fig", "def f():", "# Title", "\n\n", "über", "x" * 90])
# A title of its own, so that what is embedded does not depend on the file's first name.
TEXTS = st.lists(WORDS, min_size=1, max_size=120).map(lambda words: "# Own\n\n" + " ".join(words))


class History(RuleBasedStateMachine):
    @initialize()
    def begin(self) -> None:
        self.root = Path(tempfile.mkdtemp())
        self.files = self.root / "files"
        self.files.mkdir()
        self.library = Library(self.root / "library")

    def teardown(self) -> None:
        if hasattr(self, "root"):
            self.library.connection.close()
            shutil.rmtree(self.root)

    @rule(name=NAMES, text=TEXTS)
    def write(self, name: str, text: str) -> None:
        file = self.files / name
        file.parent.mkdir(exist_ok=True)
        file.write_text(text)

    @rule(name=NAMES)
    def delete(self, name: str) -> None:
        (self.files / name).unlink(missing_ok=True)

    @rule(name=NAMES, to=NAMES)
    def rename(self, name: str, to: str) -> None:
        if (self.files / name).exists():
            (self.files / to).parent.mkdir(exist_ok=True)
            (self.files / name).rename(self.files / to)

    @rule(prune=st.booleans(), force=st.booleans())
    def ingest(self, prune: bool, force: bool) -> None:
        self.library.ingest(self.files, prune=prune, force=force)

    @rule(name=NAMES)
    def remove(self, name: str) -> None:
        entry = self.library.store.entry_at("default", str(self.files / name))
        if entry is not None:
            self.library.store.remove([entry.id])

    @rule(force=st.booleans())
    def reindex(self, force: bool) -> None:
        self.library.reindex(force=force)

    @rule()
    def compare_with_a_fresh_ingest(self) -> None:
        self.library.ingest(self.files, prune=True)
        fresh = Library(Path(tempfile.mkdtemp(dir=self.root)))
        fresh.ingest(self.files)
        assert self.library.state() == fresh.state()
        fresh.connection.close()

    @invariant()
    def the_store_is_whole(self) -> None:
        if hasattr(self, "library"):
            self.library.assert_whole()


TestHistory = History.TestCase
TestHistory.settings = settings(
    settings.get_profile("agentctl"), max_examples=15, stateful_step_count=25
)
