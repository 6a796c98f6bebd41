"""Every verb travels: what goes in, what comes out, and what it refuses."""

import dataclasses
import inspect
import types
import typing
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agentctl.core.agents.run_request import AgentRequest
from agentctl.core.errors import AgentctlError, UsageProblem
from agentctl.core.workspace import Workspace
from agentctl.daemon.wire import Verb, encode_error, find_verb, read_error

Shape = Any  # any annotation

EXAMPLES = 25  # of each of some fifty verbs

NAMES = [name for name in vars(Workspace) if not name.startswith("_") and name != "close"]

# Counts, ids and sizes fit into the database; JSON has neither NaN nor halves of characters.
PLAIN: dict[Shape, st.SearchStrategy[Any]] = {
    str: st.text(max_size=20),
    int: st.integers(-(2**63), 2**63 - 1),
    float: st.floats(allow_nan=False, allow_infinity=False),
    bool: st.booleans(),
    bytes: st.binary(max_size=20),
    Path: st.text("abc/ü", max_size=8).map(Path),
    None: st.none(),
    type(None): st.none(),
}
JSON = st.recursive(
    st.none() | st.booleans() | PLAIN[int] | PLAIN[float] | PLAIN[str],
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(PLAIN[str], inner, max_size=2),
    max_leaves=4,
)


def values(shape: Shape) -> st.SearchStrategy[Any]:
    """Any value of an annotation."""
    if shape in PLAIN:
        return PLAIN[shape]
    if dataclasses.is_dataclass(shape):
        return objects(shape)
    if get_origin(shape) is Literal:
        return st.sampled_from(get_args(shape))
    return composed(get_origin(shape), get_args(shape))


def composed(origin: Shape, inner: tuple[Shape, ...]) -> st.SearchStrategy[Any]:
    if origin in (typing.Union, types.UnionType):
        return st.one_of(*map(values, inner))
    if origin in (dict, Mapping):
        return st.dictionaries(values(inner[0]), json_or(inner[1]), max_size=2)
    if origin is tuple and inner[-1] is not Ellipsis:
        return st.tuples(*map(values, inner))
    kinds: dict[Shape, Callable[[list[Any]], Any]] = {
        tuple: tuple,
        list: list,
        Sequence: list,
        frozenset: frozenset,
    }
    return st.lists(values(inner[0]), max_size=2).map(kinds[origin])


def json_or(shape: Shape) -> st.SearchStrategy[Any]:
    return JSON if shape is Any else values(shape)


def objects(kind: Shape) -> st.SearchStrategy[Any]:
    hints = typing.get_type_hints(kind)
    fields = {
        field.name: values(hints[field.name]) for field in dataclasses.fields(kind) if field.init
    }
    return st.builds(kind, **fields)


def verb(name: str) -> Verb:
    found = find_verb(name)
    assert found is not None
    return found


def over_the_wire(value: Any) -> Any:  # Any: JSON
    return msgspec.json.decode(msgspec.json.encode(value))


@pytest.mark.parametrize("name", NAMES)
def test_every_verb_is_known_with_all_its_parameters(name: str) -> None:
    """One whose values have no home in the wire's table fails here."""
    found = verb(name)
    parameters = list(inspect.signature(getattr(Workspace, name)).parameters)

    assert found.name == name
    assert ["self", *found.parameters] == parameters


@pytest.mark.parametrize("name", NAMES)
@settings(max_examples=EXAMPLES)
@given(data=st.data())
def test_what_goes_in_arrives_as_it_was(name: str, data: st.DataObject) -> None:
    told = verb(name)
    arguments = {each: data.draw(values(shape)) for each, shape in told.parameters.items()}

    assert told.read_arguments(over_the_wire(told.bind(**arguments))) == arguments


@pytest.mark.parametrize("name", NAMES)
@settings(max_examples=EXAMPLES)
@given(data=st.data())
def test_what_comes_out_arrives_as_it_was(name: str, data: st.DataObject) -> None:
    told = verb(name)
    item = data.draw(values(told.answer))
    line = told.encode_item(item)

    assert line.endswith(b"\n") and line.count(b"\n") == 1
    assert told.decode_item(msgspec.json.decode(line)["item"]) == item


@pytest.mark.parametrize("name", ["close", "__init__", "_private", "nothing", "", "ask.x", "ÄSK"])
def test_what_is_no_verb_cannot_be_called(name: str) -> None:
    assert find_verb(name) is None


@pytest.mark.parametrize(
    "arguments",
    [
        {},
        {"reference": 1},
        {"reference": None},
        {"reference": "latest", "self": "me"},
        {"reference": "latest", "more": 1},
        {"reference": ["latest"]},
    ],
)
def test_arguments_that_do_not_fit_are_refused(arguments: dict[str, object]) -> None:
    with pytest.raises(UsageProblem, match="show_session"):
        verb("show_session").read_arguments(arguments)


def test_a_folder_travels_as_a_path() -> None:
    request = AgentRequest(agent="a", task="b", folder=Path("/somewhere"))
    told = verb("run_agent")

    arrived = told.read_arguments(over_the_wire(told.bind(request)))

    assert arrived == {"request": request}


def test_what_is_no_value_does_not_travel() -> None:
    with pytest.raises(NotImplementedError, match="does not travel"):
        verb("journal").bind(datetime.now)


# Errors


def kinds(kind: type[AgentctlError] = AgentctlError) -> list[type[AgentctlError]]:
    return [kind, *(each for sub in kind.__subclasses__() for each in kinds(sub))]


@pytest.mark.parametrize("kind", [each for each in kinds() if "slug" in vars(each)])
@given(message=st.text(), hint=st.text(min_size=1))
def test_every_error_arrives_as_it_was_raised(
    kind: type[AgentctlError], message: str, hint: str
) -> None:
    arrived = read_error(msgspec.json.decode(encode_error(kind(message, hint)))["error"])

    assert type(arrived) is kind
    assert (arrived.message, arrived.hint) == (message, hint)
    assert (arrived.slug, arrived.exit_code) == (kind.slug, kind.exit_code)


def test_no_two_errors_look_alike_on_the_wire() -> None:
    slugs = [each.slug for each in kinds() if "slug" in vars(each)]

    assert len(slugs) == len(set(slugs))


def test_an_error_of_a_newer_daemon_is_still_an_error() -> None:
    arrived = read_error({"code": "from-the-future", "message": "no", "hint": "yes"})

    assert type(arrived) is AgentctlError
    assert arrived.message == "no"
