"""The knowledge and what can be done with it: add, remove, watch, verify, reindex, export."""

import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import ClassVar

from textual.app import SystemCommand
from textual.binding import Binding, BindingType

from agentctl.render.ingest import count
from agentctl.render.output import printable
from agentctl.tui.dialogs import Ask, Choose, Confirm
from agentctl.tui.knowledge_browser import KnowledgeBrowser
from agentctl.tui.widgets.add_documents import AddDocuments, absolute


class KnowledgeScreen(KnowledgeBrowser):
    place = "knowledge"
    help_text = """
/: search in the documents' texts
f: show only documents whose path or title holds some letters
enter: read the document or the passage; tab goes to it, esc comes back
n, p: the next part of a long text, the part before; y copies it
a: add a file, a folder or a web address; esc stops
d: remove the document from the knowledge base, or the collection; files stay
c: choose a collection
o: sort by path, newest first, largest first
w: watch a folder, u: watch it no longer
v: verify, R: reindex, e: export to a file"""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("a", "add", "Add", id="knowledge.add"),
        Binding("d,delete", "remove", "Remove", id="knowledge.remove"),
        Binding("w", "watch", "Watch", id="knowledge.watch"),
        Binding("u", "unwatch", "Unwatch", id="knowledge.unwatch", show=False),
        Binding("v", "verify", "Verify", id="knowledge.verify", show=False),
        Binding("R", "reindex", "Reindex", id="knowledge.reindex", show=False),
        Binding("e", "export", "Export", id="knowledge.export", show=False),
    ]

    def action_add(self) -> None:
        async def ask() -> None:
            chosen = await self.app.push_screen_wait(
                AddDocuments("Add documents", self._folder, self._names(), self._target())
            )
            if chosen is not None:
                self._work.add(chosen)

        self.dashboard.attempt(ask())

    def action_watch(self) -> None:
        async def ask() -> None:
            title = "Follow a folder: what changes in it is taken in"
            names, target = self._names(), self._target()
            chosen = await self.app.push_screen_wait(
                AddDocuments(title, self._folder, names, target, only_folders=True)
            )
            if chosen is not None:
                self._work.watch(chosen)

        self.dashboard.attempt(ask())

    def _target(self) -> str:
        return self._collection or "default"

    def action_unwatch(self) -> None:
        options = [(each.path, printable(self._name_of(each.path))) for each in self._watched]
        marked = self._side.folder

        async def ask() -> None:
            path = await self.app.push_screen_wait(
                Choose(
                    "Follow which folder no longer? Its documents stay.",
                    options,
                    marked.path if marked else None,
                )
            )
            if path is not None:
                await self.workspace.unwatch_folder(path)
                await self.refresh_data()

        if options:
            self.dashboard.attempt(ask())
        else:
            self.notify("No folder is followed. w follows one.", markup=False)

    def action_remove(self) -> None:
        collection = self._side.collection if self.focused_id == "collections" else None
        hit = self._hits.hit if self.has_class("found") else None
        document = self._table.current
        if collection is not None:
            number = sum(each.collection == collection for each in self._documents)
            what = f"the collection {collection} with {count(number, 'document')}"
            self._remove(what, [], collection)
        elif hit is not None:
            self._remove(self._name_of(hit.path), [str(hit.document_id)], None)
        elif document is not None and not self.has_class("found"):
            self._remove(self._name_of(document.path), [str(document.id)], None)

    @property
    def focused_id(self) -> str | None:
        return self.focused.id if self.focused is not None else None

    def _remove(self, what: str, references: Sequence[str], collection: str | None) -> None:
        question = f"Remove {printable(what)} from the knowledge base? Files stay where they are."

        async def ask() -> None:
            if await self.app.push_screen_wait(Confirm(question, "Remove")):
                removed = await self.workspace.remove_documents(references, collection)
                self.notify(f"{count(len(removed), 'document')} removed", markup=False)
                await self.refresh_data()

        self.dashboard.attempt(ask())

    def action_verify(self) -> None:
        self._work.verify()

    def action_reindex(self) -> None:
        async def ask() -> None:
            choices = [
                ("changed", "what the settings changed"),
                ("all", "everything, in any case"),
            ]
            chosen = await self.app.push_screen_wait(Choose("Cut and embed anew", choices))
            if chosen is not None:
                self._work.reindex(force=chosen == "all")

        self.dashboard.attempt(ask())

    def action_export(self) -> None:
        name = f"{self._collection or 'knowledge'}.jsonl".replace("/", "-")
        is_there = os.path.lexists

        async def ask() -> None:
            text = await self.app.push_screen_wait(Ask("Export to which file?", name))
            if not text or not text.strip():
                return
            path = Path(absolute(text.strip(), self._folder))
            question = f"{printable(str(path))} is there already. Write over it?"
            if is_there(path) and not await self.app.push_screen_wait(Confirm(question)):
                return
            self._work.export(path, self._collection)

        self.dashboard.attempt(ask())

    def commands(self) -> Iterable[SystemCommand]:
        yield SystemCommand("Search documents", "In their texts, /", self.action_search)
        yield SystemCommand("Filter documents", "By path or title, f", self.action_filter)
        yield SystemCommand("Add documents", "A file, a folder, a page, a", self.action_add)
        yield SystemCommand("Remove document", "Its file stays, d", self.action_remove)
        yield SystemCommand("Choose collection", "Show only one, c", self.action_choose_collection)
        yield SystemCommand("Sort documents", "Path, newest, largest, o", self.action_sort)
        yield SystemCommand("Watch folder", "Take in what changes, w", self.action_watch)
        yield SystemCommand("Unwatch folder", "Its documents stay, u", self.action_unwatch)
        yield SystemCommand("Verify documents", "Vectors and files, v", self.action_verify)
        yield SystemCommand("Reindex documents", "Cut and embed anew, R", self.action_reindex)
        yield SystemCommand("Export documents", "To a file, e", self.action_export)
        yield SystemCommand("Stop the work", "What is done stays, esc", self._work.stop)
