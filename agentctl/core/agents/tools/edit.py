"""Changing files: `write_file` and `edit_file`."""

from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from agentctl.core.agents.tools.arguments import flag, text
from agentctl.core.agents.tools.base import (
    Risk,
    ToolOutput,
    Touches,
    Workplace,
    clip,
    object_schema,
)
from agentctl.core.agents.tools.regular_files import (
    read_regular,
    replace_file,
    resolved,
    shown,
    status_to_replace,
)
from agentctl.core.agents.tools.text_edit import EditableText, lines_alike, unified_diff
from agentctl.core.backends.base import ToolSpec
from agentctl.core.backends.threads import run_in_thread
from agentctl.core.errors import ToolFailed
from agentctl.core.files import well_formed
from agentctl.core.jsontypes import JsonObject

_LARGEST_BYTES = 5_000_000
_LARGEST_DIFF_BYTES = 1_000_000
_LONGEST_PREVIEW = 20_000
# Places of an edit that its preview shows, and that are counted.
_PLACES_SHOWN = 20
_PLACES_COUNTED = 100


class WriteFile:
    """Makes a file, or replaces all that is in one."""

    spec = ToolSpec(
        "write_file",
        "Makes a file, or replaces a whole file. Folders that are missing are made. To change a "
        'part of a file, use edit_file. Example: {"path": "notes/new.md", "content": "# Notes\\n"}',
        object_schema(
            {
                "path": {"type": "string"},
                "content": {"type": "string", "description": "the whole text of the file"},
            }
        ),
    )
    risk: Risk = "write"
    timeout_s = 60.0

    def touches(self, args: JsonObject, place: Workplace) -> Touches:
        return Touches(writes=(resolved(args, place),))

    def preview(self, args: JsonObject, place: Workplace) -> str:
        path = resolved(args, place)
        name, content = shown(path, place), text(args, "content")
        status = status_to_replace(path, name)
        if status is None:
            return clip(f"new file {name}\n{content}", _LONGEST_PREVIEW)
        data, size = read_regular(path, name, _LARGEST_DIFF_BYTES)
        try:
            old = None if size > len(data) else EditableText.decode(data, name)
        except ToolFailed:
            old = None
        if old is None:
            return clip(f"{name}: {size:,} bytes are replaced\n{content}", _LONGEST_PREVIEW)
        notes = "\n[the line ends change from CRLF to LF]" if _loses_crlf(old, content) else ""
        diff = unified_diff(old.text, content.replace("\r\n", "\n"), name) or f"{name}: same text"
        return clip(well_formed(diff), _LONGEST_PREVIEW) + notes

    async def run(self, args: JsonObject, place: Workplace) -> ToolOutput:
        path = resolved(args, place)
        name, data = shown(path, place), text(args, "content").encode()
        await run_in_thread(lambda: replace_file(path, name, data))
        return ToolOutput(f"wrote {name}, {len(data):,} bytes", (name,))


def _loses_crlf(old: EditableText, content: str) -> bool:
    return "\r\n" in old.ends and "\n" in content.replace("\r\n", "")


class EditFile:
    """Replaces text in a file; all else in it, line ends and encoding too, stays as it is."""

    spec = ToolSpec(
        "edit_file",
        "Replaces a text in a file with another. old_text must stand in the file exactly once, "
        "written exactly as there, with its indentation; take in lines around it to make it "
        'unique. Example: {"path": "app.py", "old_text": "port = 80", "new_text": "port = 8080"}',
        object_schema(
            {
                "path": {"type": "string"},
                "old_text": {"type": "string", "minLength": 1},
                "new_text": {"type": "string", "description": "empty to delete old_text"},
                "replace_all": {
                    "type": "boolean",
                    "description": "true to replace it wherever it stands; false if left out",
                },
            },
            optional=("replace_all",),
        ),
    )
    risk: Risk = "write"
    timeout_s = 60.0

    def touches(self, args: JsonObject, place: Workplace) -> Touches:
        path = resolved(args, place)
        return Touches(reads=(path,), writes=(path,))

    def preview(self, args: JsonObject, place: Workplace) -> str:
        edit = _find(args, place)
        some = edit.places[:_PLACES_SHOWN]
        diff = unified_diff(edit.before.text, edit.after(some).text, edit.name)
        rest = len(edit.places) - len(some)
        more = f"\n[… and {rest:,} more places alike]" if rest else ""
        return clip(well_formed(diff), _LONGEST_PREVIEW) + more

    async def run(self, args: JsonObject, place: Workplace) -> ToolOutput:
        edit = await run_in_thread(lambda: _apply(args, place))
        count = len(edit.places)
        where = f"line {edit.before.line_of(edit.places[0])}" if count == 1 else f"{count:,} places"
        return ToolOutput(f"edited {edit.name} in {where}", (edit.name,))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Edit:
    """`old` becomes `new` at some places of a file."""

    path: Path
    name: str
    before: EditableText
    old: str
    new: str
    places: tuple[int, ...]

    def after(self, places: tuple[int, ...]) -> EditableText:
        return self.before.replaced(self.old, self.new, places)


def _apply(args: JsonObject, place: Workplace) -> _Edit:
    # Looked up anew: since the user saw the preview, the file may have changed.
    edit = _find(args, place)
    replace_file(edit.path, edit.name, edit.after(edit.places).encode())
    return edit


def _find(args: JsonObject, place: Workplace) -> _Edit:
    """Raises ToolFailed unless the edit can be made."""
    path = resolved(args, place)
    name = shown(path, place)
    old, new = (text(args, each).replace("\r\n", "\n") for each in ("old_text", "new_text"))
    if not old:
        raise ToolFailed("old_text is empty; to make a file, use write_file")
    if old == new:
        raise ToolFailed("old_text and new_text are the same: nothing would change")
    if status_to_replace(path, name) is None:
        raise ToolFailed(f"{name}: no such file; to make it, use write_file")
    data, size = read_regular(path, name, _LARGEST_BYTES)
    if size > len(data):
        raise ToolFailed(f"{name} is larger than {_LARGEST_BYTES:,} bytes, too large to edit")
    before = EditableText.decode(data, name)
    if flag(args, "replace_all"):
        places = tuple(before.places_of(old, len(old)))
    else:
        places = tuple(islice(before.places_of(old, 1), _PLACES_COUNTED))
        if len(places) > 1:
            raise ToolFailed(_ambiguous(before, places, name))
    if not places:
        raise ToolFailed(_missing(before, old, name))
    return _Edit(path=path, name=name, before=before, old=old, new=new, places=places)


def _ambiguous(before: EditableText, places: tuple[int, ...], name: str) -> str:
    count = f"{len(places)} times" + (" or more" if len(places) == _PLACES_COUNTED else "")
    lines = ", ".join(str(before.line_of(place)) for place in places[:5])
    return (
        f"old_text stands in {name} {count}, in lines {lines}: take in the lines around it, or "
        "set replace_all"
    )


def _missing(before: EditableText, old: str, name: str) -> str:
    message = f"old_text does not stand in {name}"
    if not old.isascii() and before.has_other_bytes:
        message += ", which is not all UTF-8: only its ASCII letters can be edited"
    how, lines = lines_alike(before.text, old)
    if not lines:
        return f"{message}: read it again with read_file"
    numbers = ", ".join(map(str, lines))
    return f"{message}; {how} at line {numbers}: read it with read_file, first_line {lines[0]}"
