"""To look at the knowledge: collections, documents, search with the passage beside."""

import asyncio
import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Container, Horizontal, Vertical
from textual.widgets import Input, OptionList, Static

from agentctl.connect import working_directory
from agentctl.core.automation.journal import JournalEntry
from agentctl.core.automation.watching import WatchedFolder
from agentctl.core.errors import AgentctlError
from agentctl.core.knowledge.library import DocumentEntry, SearchRequest
from agentctl.render.ingest import count
from agentctl.render.output import printable
from agentctl.render.passages import words_of
from agentctl.tui.dialogs import Choose, TextDialog
from agentctl.tui.frame import Frame
from agentctl.tui.knowledge_work import KnowledgeWork
from agentctl.tui.widgets.document_table import DocumentTable, day_and_time, one_line
from agentctl.tui.widgets.hit_list import HitList
from agentctl.tui.widgets.job_line import JobLine
from agentctl.tui.widgets.knowledge_side import KnowledgeSide
from agentctl.tui.widgets.passage_view import PassageView

# Seconds of silence after a key before a search, and after a move before a text is read.
_DEBOUNCE_S = 0.25
_SETTLE_S = 0.08
# Where reading all documents takes long, it rests so many times as long before the next time.
_REST = 10
_HITS = 20
_WATCHER_DAYS = 7
_ALL = ""


class KnowledgeBrowser(Frame):
    """All that only reads."""

    place = "knowledge"
    HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (70, "-medium"), (116, "-wide")]  # noqa: RUF012 - Textual's type
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("slash", "search", "Search", id="knowledge.search"),
        Binding("f", "filter", "Filter", id="knowledge.filter"),
        Binding("c", "choose_collection", "Collection", id="knowledge.collection"),
        Binding("o", "sort", "Sort", id="knowledge.sort", show=False),
        Binding("escape", "back", "Back", id="knowledge.back", show=False),
    ]
    DEFAULT_CSS = """
    KnowledgeBrowser #main { padding: 0 1; }
    KnowledgeBrowser #search, KnowledgeBrowser #filter { height: 1; margin-bottom: 1; }
    KnowledgeBrowser #filter { display: none; }
    KnowledgeBrowser #filter.open { display: block; }
    KnowledgeBrowser #told { height: 1; color: $foreground 60%; text-wrap: nowrap;
        text-overflow: ellipsis; }
    KnowledgeBrowser #told.problem { color: $warning; height: auto; max-height: 3;
        text-wrap: wrap; }
    KnowledgeBrowser #pair { height: 1fr; }
    KnowledgeBrowser #list { height: 1fr; }
    KnowledgeBrowser #empty { display: none; color: $foreground 60%; height: auto; padding: 1 0; }
    KnowledgeBrowser HitList { display: none; }
    KnowledgeBrowser.found DocumentTable { display: none; }
    KnowledgeBrowser.found HitList { display: block; }
    KnowledgeBrowser.empty #empty { display: block; }
    KnowledgeBrowser.empty DocumentTable { display: none; }
    KnowledgeBrowser PassageView { display: none; margin-top: 1; }
    KnowledgeBrowser.reading PassageView { display: block; }
    KnowledgeBrowser.-narrow KnowledgeSide { display: none; }
    KnowledgeBrowser.-narrow.reading #list { display: none; }
    KnowledgeBrowser.-narrow PassageView { margin-top: 0; }
    KnowledgeBrowser.-wide #pair { layout: horizontal; }
    KnowledgeBrowser.-wide PassageView { display: block; margin: 0 0 0 2; }
    """

    def __init__(self) -> None:
        super().__init__()
        self._folder = working_directory()
        self._documents: Sequence[DocumentEntry] = ()
        self._collection: str | None = None
        self._watched: Sequence[WatchedFolder] = ()
        self._entries: Sequence[JournalEntry] = ()
        self._is_stale = self._is_loading = False

    def body(self) -> ComposeResult:
        with Horizontal():
            yield KnowledgeSide(self._folder)
            with Vertical(id="main"):
                yield Input(id="search", compact=True, placeholder="/ searches in the documents")
                yield Input(id="filter", compact=True, placeholder="part of a path or title")
                yield Static("", id="told", markup=False)
                yield JobLine(id="job")
                with Container(id="pair"):
                    with Container(id="list"):
                        yield Static(
                            "No documents yet.\n\na adds a file, a folder or a web page;"
                            "\nw follows a folder from now on.",
                            id="empty",
                            markup=False,
                        )
                        yield DocumentTable(self._folder, id="documents")
                        yield HitList(self._name_of, id="hits")
                    yield PassageView("Enter shows a document's text here.", id="passage")

    def on_mount(self) -> None:
        self._table = self.query_one(DocumentTable)
        self._hits = self.query_one(HitList)
        self._passage = self.query_one(PassageView)
        self._side = self.query_one(KnowledgeSide)
        self._work = KnowledgeWork(self, self.query_one(JobLine))
        self._table.focus()

    def _name_of(self, path: str) -> str:
        return self._table.name_of(path)

    # What is there

    async def refresh_data(self) -> None:
        self._is_stale = True
        if not self._is_loading:
            self._is_loading = True
            self.dashboard.attempt(self._load(), group="knowledge")

    async def _load(self) -> None:
        """Until it shows the newest; never so often that a large library has no rest from it."""
        try:
            while self._is_stale:
                self._is_stale = False
                began = time.monotonic()
                self._show_documents(await self.workspace.list_documents())
                await self._load_watched()
                if time.monotonic() - began > _DEBOUNCE_S:
                    await asyncio.sleep(_REST * (time.monotonic() - began))
        finally:
            self._is_loading = False

    async def _load_watched(self) -> None:
        self._watched = await self.workspace.list_watched()
        since = datetime.now(UTC) - timedelta(days=_WATCHER_DAYS)
        entries = await self.workspace.journal(since.isoformat().replace("+00:00", "Z"))
        self._entries = [each for each in entries if each.kind == "watcher"]
        self._side.show_watched(self._watched, self._entries)

    def _show_documents(self, documents: Sequence[DocumentEntry]) -> None:
        is_other = documents != self._documents
        self._documents = documents
        if self._collection not in {each.collection for each in documents}:
            self._collection = None
        self._side.show_collections(documents, self._collection)
        self.set_class(not documents, "empty")
        self._show_collection()
        if is_other and self._query:
            self._search(0.0)

    def _show_collection(self) -> None:
        shown: Sequence[DocumentEntry] = self._documents
        if self._collection is not None:
            shown = [each for each in shown if each.collection == self._collection]
        self._table.show(shown)
        self._tell_counts()

    def _tell_counts(self) -> None:
        if self._query:
            return
        shown, of = self._table.counts
        which = f" in {one_line(self._collection)}" if self._collection else ""
        numbers = count(of, "document") if shown == of else f"{shown:,} of {count(of, 'document')}"
        order = {"path": "", "newest": ", newest first", "largest": ", largest first"}
        self._tell(f"{numbers}{which}{order[self._table.order]}" if of else "")

    def _tell(self, text: str, *, is_problem: bool = False) -> None:
        told = self.query_one("#told", Static)
        told.set_class(is_problem, "problem")
        told.update(printable(text))

    # Searching

    @property
    def _query(self) -> str:
        return self.query_one("#search", Input).value.strip()

    def on_input_changed(self, event: Input.Changed) -> None:
        if event.input.id == "search":
            self._hits.highlighted = None
            self._search(_DEBOUNCE_S)
        else:
            self._table.narrow(event.value)
            self._tell_counts()

    def on_input_submitted(self, event: Input.Submitted) -> None:
        self._list().focus()

    def _search(self, wait_s: float) -> None:
        async def search() -> None:
            await asyncio.sleep(wait_s)
            request = SearchRequest(query=self._query, n=_HITS, collection=self._collection)
            try:
                result = await self.workspace.search(request)
            except AgentctlError as error:
                self._hits.show((), words_of(""))
                self._tell(f"{error.message}\n{error.hint}", is_problem=True)
                return
            self._tell(f"{count(len(result.hits), 'hit')} in {result.took_ms:.0f} ms")
            self._hits.show(result.hits, words_of(result.query))

        self.set_class(bool(self._query), "found")
        if self._query:
            # Not yet begun, for the next may come before it begins.
            self.run_worker(search, group="search", exclusive=True)  # type: ignore[arg-type]  # mypy finds no type for its result
        else:
            self.workers.cancel_group(self, "search")
            self._hits.show((), words_of(""))
            self._tell_counts()
            if self._passage.display:
                self._read(_SETTLE_S)

    def _list(self) -> DocumentTable | HitList:
        return self._hits if self.has_class("found") else self._table

    # Reading

    def on_document_table_highlighted(self, event: DocumentTable.Highlighted) -> None:
        if event.document is None:
            self._passage.clear("")
        elif self._passage.display:
            self._read(_SETTLE_S)

    def on_document_table_chosen(self, event: DocumentTable.Chosen) -> None:
        self._open()

    def on_option_list_option_highlighted(self, event: OptionList.OptionHighlighted) -> None:
        if event.option_list is self._hits and self._passage.display:
            self._read(_SETTLE_S)

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        if event.option_list is self._hits:
            self._open()

    def on_knowledge_side_collection_chosen(self, event: KnowledgeSide.CollectionChosen) -> None:
        self._use_collection(event.name)

    def on_knowledge_side_folder_chosen(self, event: KnowledgeSide.FolderChosen) -> None:
        told = [
            f"{day_and_time(each.time)}  {each.message}"
            for each in self._entries
            if event.path in (each.detail.get("path"), each.detail.get("folder"))
            or event.path in each.message
        ]
        text = "\n".join(told[-50:]) or "The watcher did nothing here in the last days."
        self.app.push_screen(TextDialog(printable(event.path), printable(text)))

    def _open(self) -> None:
        self.add_class("reading")
        self._read(0.0)
        self._passage.focus()

    def _read(self, wait_s: float) -> None:
        hit = self._hits.hit if self.has_class("found") else None
        document = self._table.current
        identifier = hit.document_id if hit is not None else document.id if document else None
        if identifier is None:
            return

        async def read() -> None:
            await asyncio.sleep(wait_s)
            passage = await self.workspace.show_document(str(identifier))
            found, words = (hit.text, words_of(self._query)) if hit is not None else ("", None)
            if hit is not None and found not in passage.text:
                # Its text was mended on the way to the index: only the passage can be shown.
                passage = await self.workspace.show_document(str(identifier), hit.chunk_id)
            title = one_line(passage.document.title)
            name = self._name_of(passage.document.path)
            title = name if title in ("", passage.document.path) else f"{name}  {title}"
            self._passage.show(passage, title, found, words)

        async def tried() -> None:
            try:
                await read()
            except AgentctlError as error:
                self._passage.clear(f"{error.message}; {error.hint}")

        # Not yet begun, for the next may come before it begins.
        self.run_worker(tried, group="passage", exclusive=True)  # type: ignore[arg-type]  # mypy finds no type for its result

    # Keys

    def action_search(self) -> None:
        self.query_one("#search", Input).focus()

    def action_filter(self) -> None:
        self.query_one("#search", Input).value = ""
        field = self.query_one("#filter", Input)
        field.add_class("open")
        field.focus()

    def action_back(self) -> None:
        """Out of what is innermost; with nothing to leave it stops the work."""
        search, field = self.query_one("#search", Input), self.query_one("#filter", Input)
        if self.focused is self._passage:
            self.remove_class("reading")
        elif self.focused not in (search, field) and self._work.is_busy:
            self._work.stop()
        elif self._query:
            search.value = ""
        elif field.has_class("open"):
            field.value = ""
            field.remove_class("open")
        else:
            self.remove_class("reading")
        self.call_after_refresh(self._focus_list)

    def _focus_list(self) -> None:
        self._list().focus()

    def action_sort(self) -> None:
        self._table.sort_next()
        self._tell_counts()

    def action_choose_collection(self) -> None:
        options = [(_ALL, "all"), *((name, printable(name)) for name in self._names())]

        async def ask() -> None:
            name = await self.app.push_screen_wait(
                Choose("Which collection?", options, self._collection or _ALL)
            )
            if name is not None:
                self._use_collection(name or None)

        self.dashboard.attempt(ask())

    def _names(self) -> list[str]:
        return sorted({each.collection for each in self._documents})

    def _use_collection(self, name: str | None) -> None:
        self._collection = name
        self._side.show_collections(self._documents, name)
        self._show_collection()
        if self._query:
            self._search(0.0)
