"""What is taken over of a stranger's tool: a plain schema, a plain name, a plain description.

The schema is checked against what a model writes, in this process. So what could make that check
fetch something, go on for ever or go round in a circle is gone: references are filled in, regular
expressions and rare keywords dropped. Each of these steps only loosens the schema; the server
checks its arguments itself. The plain form is also the one that most models understand.
"""

import json
import re
from collections.abc import Container, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from urllib.parse import unquote

from agentctl.core.jsontypes import Json, JsonObject

MOST_TOOLS = 100
LARGEST_SCHEMA = 20_000
# The check of a schema takes about 15 calls for a level of it, and Python allows 1,000.
_MOST_LEVELS = 30
_LONGEST_DESCRIPTION = 1_000
_LONGEST_NAME = 64
# Taken over as they are. None of them may be such that a looser schema inside makes it stricter.
_VALUES = {
    *("type", "enum", "const", "default", "format", "required", "uniqueItems", "multipleOf"),
    *("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "minLength", "maxLength"),
    *("minItems", "maxItems", "minProperties", "maxProperties"),
}
_ONE = ("items", "additionalProperties")
_SEVERAL = {"anyOf": "anyOf", "oneOf": "anyOf", "allOf": "allOf", "prefixItems": "prefixItems"}
_REFERENCES = ("$dynamicRef", "$recursiveRef")
# Where properties may be named that `properties` does not name.
_ELSEWHERE = (
    *("anyOf", "oneOf", "allOf", "$ref", "patternProperties", "dependentSchemas", "dependencies"),
    *("if", "then", "else"),
)


@dataclass(frozen=True, slots=True)
class TakenTool:
    """A tool as it is taken over: `name` is the server's, `schema` plain."""

    name: str
    description: str
    schema: JsonObject


class Taken:
    """What is taken over from the lists of one server, of the tools that match `globs`.

    `problems` says what is not, and why; nothing is looked at once it `is_full`.
    """

    def __init__(self, globs: Sequence[str]) -> None:
        self.tools: dict[str, TakenTool] = {}
        self.problems: list[str] = []
        self.is_full = False
        self._globs = globs

    def take(self, listed: Sequence[Json]) -> list[Json]:
        """Takes over what is sound of a list; what is left of it for the SDK to read.

        To the SDK, one odd tool spoils all, and a schema of results is one to check them against.
        """
        rest: list[Json] = []
        for each in listed:
            if self.is_full:
                break
            tool = each if isinstance(each, dict) else {}
            try:
                if self._take(tool):
                    rest.append({"name": tool["name"], "inputSchema": tool["inputSchema"]})
            except ValueError as error:
                self.problems.append(str(error))
        return rest

    def _take(self, tool: JsonObject) -> bool:
        """Whether it is new and wanted. Raises ValueError with what is wrong with it."""
        name, note, schema = map(tool.get, ("name", "description", "inputSchema"))
        name = name if isinstance(name, str) else ""
        is_wanted = any(fnmatchcase(name, glob) for glob in self._globs)
        if name in self.tools or (name and not is_wanted):
            return False
        if max(len(self.tools), len(self.problems)) >= MOST_TOOLS:
            self.is_full = True
            raise ValueError(f"there are more than {MOST_TOOLS}: name those you want in `tools`")
        if not name:
            raise ValueError("one has no name")
        try:
            plain = plain_schema(schema if isinstance(schema, dict) else {})
        except ValueError as error:
            raise ValueError(f"{plain_line(name, 60)} is left out, its schema {error}") from None
        self.tools[name] = TakenTool(name, note if isinstance(note, str) else name, plain)
        return True


def plain_schema(schema: JsonObject) -> JsonObject:
    """A schema of the same arguments, or of more, that costs little to check.

    Raises:
        ValueError: what is wrong with it; the message goes on from "its schema".
    """
    if schema.get("type") != "object":
        raise ValueError("is not of type object")
    _check_depth(schema)
    if len(json.dumps(schema, allow_nan=False)) > LARGEST_SCHEMA:
        raise ValueError(f"is larger than {LARGEST_SCHEMA:,} characters")
    _check(schema)
    try:
        plain = _Copier(schema).copy_object(schema)
    except RecursionError:
        raise ValueError("is nested too deeply") from None
    _check_depth(plain)
    _check(plain)
    if not any(key in schema for key in _ELSEWHERE):  # then it is a slip of the model's
        plain.setdefault("additionalProperties", False)
    return {"properties": {}, **plain}


def plain_name(prefix: str, tool: str, taken: Container[str]) -> str:
    """The name a tool goes by: a-z, 0-9 and _, at most 64 characters, none of `taken`."""
    plain = prefix + re.sub(r"[^a-z0-9_]", "_", tool.lower())
    name, number = plain[:_LONGEST_NAME], 1
    while name in taken:
        number += 1
        end = f"_{number}"
        name = plain[: _LONGEST_NAME - len(end)] + end
    return name


def plain_text(text: str, limit: int = _LONGEST_DESCRIPTION) -> str:
    """What a stranger wrote, for a model and a terminal: no control characters, not too long."""
    lines = text[: 10 * limit].splitlines()
    lines = ["".join(filter(str.isprintable, line)).rstrip() for line in lines]
    plain = re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).strip()
    return plain if len(plain) <= limit else plain[: limit - 1] + "…"


def plain_line(text: str, limit: int = 200) -> str:
    """The same on one line, for a message."""
    return " ".join(plain_text(text, 10 * limit).split())[:limit]


class _Copier:
    """Copies one schema, within the room that is left."""

    def __init__(self, root: JsonObject) -> None:
        self._root = root
        self._room = LARGEST_SCHEMA

    def copy_object(self, schema: JsonObject, open_references: tuple[str, ...] = ()) -> JsonObject:
        copied: JsonObject = {}
        for key, value in schema.items():
            if key in _REFERENCES:
                raise ValueError(f"has a {key}")
            if key in _VALUES:
                self._spend(len(json.dumps(value)))
                copied[key] = value
            elif key in _ONE or key in _SEVERAL:
                self._copy_inner(copied, key, value, open_references)
            elif key == "properties" and isinstance(value, dict):
                self._spend(sum(map(len, value)))
                copied[key] = {
                    name: self._copy(each, open_references) for name, each in value.items()
                }
        if "patternProperties" in schema:
            copied.pop("additionalProperties", None)
        if note := self._note(schema):
            copied["description"] = note
        if "$ref" in schema:
            return self._filled_in(str(schema["$ref"]), copied, open_references)
        return copied

    def _copy(self, schema: Json, open_references: tuple[str, ...]) -> Json:
        self._spend(2)
        return self.copy_object(schema, open_references) if isinstance(schema, dict) else schema

    def _copy_inner(
        self, copied: JsonObject, key: str, value: Json, open_references: tuple[str, ...]
    ) -> None:
        if not isinstance(value, list):
            copied[key] = self._copy(value, open_references)
        if not isinstance(value, list) or not value:
            return
        # A list of items is the older way to write prefixItems.
        name = "prefixItems" if key == "items" else _SEVERAL[key]
        parts: list[Json] = [self._copy(each, open_references) for each in value]
        if name == "allOf":
            copied[name] = [*_listed(copied.get(name)), *parts]
        elif name in copied:  # both anyOf and oneOf
            copied["allOf"] = [*_listed(copied.get("allOf")), {name: parts}]
        else:
            copied[name] = parts

    def _filled_in(self, reference: str, beside: JsonObject, open_: tuple[str, ...]) -> JsonObject:
        """What a reference stands for, with what stands beside it; anything, inside of itself."""
        if reference in open_:
            return beside
        target = self._copy(self._find(reference), (*open_, reference))
        if not isinstance(target, dict):
            return {"allOf": [target], **beside}
        if beside.keys() <= {"description", "default"}:
            return {**target, **beside}
        return {**beside, "allOf": [*_listed(beside.get("allOf")), target]}

    def _find(self, reference: str) -> Json:
        """Raises ValueError for what is not a place in this schema."""
        if reference != "#" and not reference.startswith("#/"):
            raise ValueError(f"refers to {plain_line(reference, 60)}, outside of itself")
        place: Json = self._root
        for part in unquote(reference).split("/")[1:]:
            name = part.replace("~1", "/").replace("~0", "~")
            if isinstance(place, dict) and name in place:
                place = place[name]
            elif isinstance(place, list) and name.isdecimal() and int(name) < len(place):
                place = place[int(name)]
            else:
                raise ValueError(f"refers to {plain_line(reference, 60)}, which it does not hold")
        return place

    def _note(self, schema: JsonObject) -> str:
        """The description, and the pattern that is no longer checked."""
        said = schema.get("description"), schema.get("pattern")
        note, pattern = (each if isinstance(each, str) else "" for each in said)
        text = plain_text(f"{note} Pattern: {pattern}" if pattern else note)
        self._spend(len(text))
        return text

    def _spend(self, characters: int) -> None:
        self._room -= characters
        if self._room < 0:
            raise ValueError(f"is larger than {LARGEST_SCHEMA:,} characters, references filled in")


def _listed(value: Json) -> list[Json]:
    return value if isinstance(value, list) else []


def _check_depth(value: Json, levels: int = _MOST_LEVELS) -> None:
    if levels == 0:
        raise ValueError("is nested too deeply")
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    for each in inner:
        _check_depth(each, levels - 1)


def _check(schema: JsonObject) -> None:
    """Raises ValueError when this is no JSON Schema."""
    from jsonschema import Draft202012Validator
    from jsonschema.exceptions import SchemaError
    from jsonschema.validators import validator_for

    kind = schema.get("$schema")
    dialect = {"$schema": kind} if isinstance(kind, str) else {}
    try:
        validator_for(dialect, default=Draft202012Validator).check_schema(schema)
    except SchemaError as error:
        text = f"is no JSON Schema: {error.message} at {error.json_path}"
        raise ValueError(plain_line(text)) from None
