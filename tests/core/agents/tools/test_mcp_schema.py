"""Schemas of strangers: what they become costs little to check and refuses nothing that fits."""

import json
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from jsonschema.exceptions import SchemaError
from referencing import Registry

from agentctl.core.agents.tools.mcp_schema import (
    LARGEST_SCHEMA,
    Taken,
    plain_line,
    plain_name,
    plain_schema,
    plain_text,
)
from agentctl.core.jsontypes import JsonObject


def of_x(schema: object, **more: Any) -> JsonObject:
    return {"type": "object", "properties": {"x": schema}, **more}


def plain_x(schema: object, **more: Any) -> object:
    """What a schema of one property becomes."""
    plain = plain_schema(of_x(schema, **more))
    assert isinstance(plain["properties"], dict)
    return plain["properties"]["x"]


@pytest.mark.parametrize(
    ("schema", "plain"),
    [
        ({"type": "integer", "minimum": 1, "default": 2}, None),
        ({"enum": ["a", 1, None]}, None),
        ({"type": "array", "items": {"type": "string"}, "maxItems": 3}, None),
        ({"anyOf": [{"type": "string"}, {"type": "null"}]}, None),
        (True, None),
        ({"title": "X", "type": "string", "examples": ["a"], "$comment": "y"}, {"type": "string"}),
        ({"oneOf": [{"pattern": "a"}, {}]}, {"anyOf": [{"description": "Pattern: a"}, {}]}),
        (
            {"type": "string", "description": "a\x1b[31mb\u202e", "pattern": "(a+)+$"},
            {"type": "string", "description": "a[31mb Pattern: (a+)+$"},
        ),
        (
            {"anyOf": [{"type": "string"}], "oneOf": [True], "allOf": [{}]},
            {"anyOf": [{"type": "string"}], "allOf": [{"anyOf": [True]}, {}]},
        ),
        ({"patternProperties": {"a": {}}, "additionalProperties": False}, {}),
        ({"unevaluatedProperties": False, "not": {}, "if": {}, "propertyNames": {}}, {}),
    ],
)
def test_a_schema_becomes_plain(schema: object, plain: object) -> None:
    assert plain_x(schema) == (schema if plain is None else plain)


@pytest.mark.parametrize(
    ("schema", "plain"),
    [
        ({"$ref": "#/$defs/s"}, {"type": "string", "description": "s"}),
        ({"$ref": "#/$defs/s", "description": "mine"}, {"type": "string", "description": "mine"}),
        (
            {"$ref": "#/$defs/s", "maxLength": 3},
            {"maxLength": 3, "allOf": [{"type": "string", "description": "s"}]},
        ),
        ({"$ref": "#/$defs/a~1b~0c%20d"}, {"type": "integer"}),
        ({"$ref": "#/$defs/list/anyOf/1"}, {"type": "null"}),
        ({"$ref": "#/$defs/yes"}, {"allOf": [True]}),
        ({"$ref": "#/$defs/self"}, {}),
        (
            {"$ref": "#/$defs/tree"},
            {"type": "object", "properties": {"below": {"type": "array", "items": {}}}},
        ),
    ],
)
def test_references_are_filled_in(schema: object, plain: object) -> None:
    definitions = {
        "s": {"type": "string", "description": "s"},
        "a/b~c d": {"type": "integer"},
        "list": {"anyOf": [{"type": "string"}, {"type": "null"}]},
        "yes": True,
        "self": {"$ref": "#/$defs/self"},
        "tree": {
            "type": "object",
            "properties": {"below": {"type": "array", "items": {"$ref": "#/$defs/tree"}}},
        },
    }
    assert plain_x(schema, **{"$defs": definitions}) == plain


def test_the_schema_itself_may_be_referred_to() -> None:
    inner = {"type": "object", "properties": {"x": {}}}
    assert plain_x({"$ref": "#"}) == inner


@pytest.mark.parametrize(
    ("schema", "closed"),
    [
        ({"type": "object"}, True),
        ({"type": "object", "additionalProperties": {"type": "string"}}, False),
        ({"type": "object", "anyOf": [{"properties": {"y": {}}}]}, False),
        ({"type": "object", "patternProperties": {"y": {}}}, False),
    ],
)
def test_arguments_that_are_not_named_are_slips(schema: JsonObject, closed: bool) -> None:
    plain = plain_schema(schema)
    assert plain["properties"] == {}
    assert Draft202012Validator(plain).is_valid({"y": "z"}) != closed


@pytest.mark.parametrize(
    ("schema", "problem"),
    [
        ({}, "is not of type object"),
        ({"type": ["object"]}, "is not of type object"),
        ({"type": "object", "properties": 5}, "is no JSON Schema: 5 is not of type 'object' at "),
        ({"type": "object", "$schema": {}}, "is no JSON Schema: {} is not of type 'string' at "),
        (of_x({"pattern": "("}), "is no JSON Schema: '(' is not a 'regex' at $.properties.x"),
        (of_x({"minimum": float("nan")}), "Out of range float values are not JSON compliant"),
        (of_x({"$ref": "#/$defs/none"}), "refers to #/$defs/none, which it does not hold"),
        (of_x({"$ref": "#here"}), "refers to #here, outside of itself"),
        (of_x({"$ref": "http://127.0.0.1:1/x"}), "refers to http://127.0.0.1:1/x, outside"),
        (of_x({"$dynamicRef": "#x"}), "has a $dynamicRef"),
        (of_x({"description": "x" * 20_000}), "is larger than 20,000 characters"),
    ],
)
def test_what_is_wrong_with_a_schema_is_said(schema: JsonObject, problem: str) -> None:
    with pytest.raises(ValueError) as raised:
        plain_schema(schema)
    assert problem in str(raised.value)


def test_references_that_double_each_time_come_to_an_end() -> None:
    definitions = {
        f"a{n}": {"allOf": [{"$ref": f"#/$defs/a{n + 1}"}, {"$ref": f"#/$defs/a{n + 1}"}]}
        for n in range(100)
    }
    schema = of_x({"$ref": "#/$defs/a0"}, **{"$defs": {**definitions, "a100": {}}})
    with pytest.raises(ValueError, match="references filled in"):
        plain_schema(schema)


def test_a_schema_of_many_levels_is_refused() -> None:
    schema: object = {}
    for _ in range(2_000):
        schema = {"not": schema}
    with pytest.raises(ValueError, match="nested too deeply"):
        plain_schema(of_x(schema))


@pytest.mark.parametrize("length", [40, 400])
def test_references_of_many_levels_are_refused(length: int) -> None:
    definitions = {f"a{n}": {"items": {"$ref": f"#/$defs/a{n + 1}"}} for n in range(length)}
    schema = of_x({"$ref": "#/$defs/a0"}, **{"$defs": {**definitions, f"a{length}": {}}})
    with pytest.raises(ValueError, match="nested too deeply"):
        plain_schema(schema)


def test_a_schema_of_not_so_many_levels_can_be_checked() -> None:
    schema: object = {"minimum": 1}
    for _ in range(25):
        schema = {"anyOf": [schema]} if schema == {"minimum": 1} else {"items": schema}
    plain = plain_schema(of_x(schema))
    assert not Draft202012Validator(plain).is_valid({"x": json.loads("[" * 24 + "0" + "]" * 24)})


SMALL = st.sampled_from(["a", "b"])
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 3) | st.sampled_from(["", "a", "aa", "b"]),
    lambda each: st.lists(each, max_size=3) | st.dictionaries(SMALL, each, max_size=2),
    max_leaves=6,
)


def schemas(*references: str) -> st.SearchStrategy[Any]:
    """Schemas of few names and values, so that one in some fits."""
    refers = st.sampled_from(references)
    leaf = {
        "type": st.sampled_from(["object", "array", "string", "integer", ["null", "string"]]),
        "enum": st.lists(VALUES, min_size=1, max_size=3),
        "pattern": st.sampled_from(["^a$", "b"]),
        "minimum": st.integers(-2, 2),
        "maxLength": st.integers(0, 2),
        "required": st.lists(SMALL, unique=True),
    }
    if references:
        leaf["$ref"] = refers

    def inner(each: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
        some = st.lists(each, min_size=1, max_size=2)
        one = ("additionalProperties", "unevaluatedProperties", "items", "not", "if", "then")
        parts = {
            "properties": st.dictionaries(SMALL, each, max_size=2),
            "patternProperties": st.dictionaries(SMALL, each, max_size=1),
            "minItems": st.integers(0, 2),
            **dict.fromkeys(("prefixItems", "anyOf", "oneOf", "allOf"), some),
            **dict.fromkeys((*one, "contains"), each),
        }
        if references:
            parts["$ref"] = refers
        return st.fixed_dictionaries({}, optional=parts)

    return st.recursive(
        st.booleans() | st.fixed_dictionaries({}, optional=leaf), inner, max_leaves=8
    )


A, B = "#/$defs/a", "#/$defs/b"


@given(schemas(A, B), schemas(B), schemas(), VALUES)
def test_what_fits_a_schema_fits_what_it_becomes(
    schema: object, first: object, second: object, value: object
) -> None:
    whole = of_x(schema, **{"$defs": {"a": first, "b": second}})
    fits = Draft202012Validator(whole, registry=Registry()).is_valid({"x": value})
    assume(fits)
    assert Draft202012Validator(plain_schema(whole)).is_valid({"x": value})


@given(*[schemas(A, B, "#/properties/x", "#")] * 3)
def test_references_are_gone_wherever_they_lead(
    schema: object, first: object, second: object
) -> None:
    plain = plain_schema(of_x(schema, **{"$defs": {"a": first, "b": second}}))
    assert '"$ref"' not in json.dumps(plain)
    assert len(json.dumps(plain)) < 3 * LARGEST_SCHEMA
    Draft202012Validator.check_schema(plain)


KEYWORDS = [*("type", "$ref", "properties", "items", "anyOf", "required", "$schema", "pattern")]
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda each: (
        st.lists(each, max_size=3)
        | st.dictionaries(st.sampled_from(KEYWORDS) | st.text(max_size=3), each, max_size=4)
    ),
    max_leaves=10,
)


@given(st.dictionaries(st.sampled_from(KEYWORDS), JSON), st.booleans())
def test_anything_is_taken_or_refused(schema: JsonObject, is_object: bool) -> None:
    try:
        plain = plain_schema({**schema, "type": "object"} if is_object else schema)
    except ValueError:
        return
    except SchemaError:
        raise AssertionError from None
    assert plain["type"] == "object"


@given(st.text(max_size=80), st.lists(st.text(max_size=3), max_size=5))
def test_a_name_is_plain_short_and_new(tool: str, others: list[str]) -> None:
    taken: set[str] = set()
    for each in [*others, tool, tool]:
        name = plain_name("mcp_x_", each, taken)
        assert name not in taken
        assert len(name) <= 64
        assert set(name) <= set("abcdefghijklmnopqrstuvwxyz0123456789_")
        taken.add(name)


@given(st.text(max_size=200))
def test_text_of_strangers_is_harmless(text: str) -> None:
    assert len(plain_text(text, 50)) <= 50
    assert plain_text(text).replace("\n", "").isprintable()
    assert plain_line(text).isprintable()


def test_lines_and_words_stay() -> None:
    assert plain_text("One.\r\n\n\n\n  Two\ttabs. ") == "One.\n\n  Twotabs."
    assert plain_text("x" * 1001) == "x" * 999 + "…"


def test_what_the_sdk_may_read_is_what_was_taken() -> None:
    taken = Taken(["a*"])
    schema = of_x({"type": "string"}, **{"x-mcp-header": "X"})
    listed: list[Any] = [
        {"name": "ab", "inputSchema": schema, "outputSchema": 5, "annotations": 5, "title": 5},
        {"name": "ab", "inputSchema": {"type": "object"}},
        {"name": "b", "inputSchema": schema},
        {"name": "ac"},
        5,
    ]

    assert taken.take(listed) == [{"name": "ab", "inputSchema": schema}]
    assert [(tool.name, tool.description) for tool in taken.tools.values()] == [("ab", "ab")]
    assert taken.problems == [
        "ac is left out, its schema is not of type object",
        "one has no name",
    ]
