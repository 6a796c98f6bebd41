"""The event stream's JSON form."""

import json
from typing import get_args, get_type_hints

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentctl.core.events import EVENT_TYPES, Event, decode_event, encode_event

TEXT = st.text(st.characters(exclude_categories=["Cs"]))
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=8,
)
# JSON has no infinity.
st.register_type_strategy(float, st.floats(allow_nan=False, allow_infinity=False))


def events(variant: type[Event]) -> st.SearchStrategy[Event]:
    hints = get_type_hints(variant)
    fields = {name: strategy(hint) for name, hint in hints.items() if name != "type"}
    return st.builds(variant, **fields)


def strategy(hint: object) -> st.SearchStrategy[object]:
    if hint is str:
        return TEXT
    if hint == dict[str, object] or "dict" in str(hint):
        return st.dictionaries(TEXT, JSON, max_size=3)
    return st.from_type(hint)  # type: ignore[arg-type]  # a type from a dataclass


@pytest.mark.parametrize("variant", get_args(Event), ids=lambda variant: str(variant.__name__))
def test_what_is_decoded_is_what_was_encoded(variant: type[Event]) -> None:
    @given(events(variant))
    def check(event: Event) -> None:
        line = encode_event(event)
        assert "\n" not in line
        assert decode_event(line) == event

    check()


def test_the_type_comes_first_and_names_the_variant() -> None:
    assert set(EVENT_TYPES) == {
        "run_started",
        "text",
        "thinking",
        "message",
        "tool_call",
        "approval_required",
        "approval",
        "tool_result",
        "sources",
        "usage",
        "warning",
        "error",
        "run_finished",
    }
    event = EVENT_TYPES["text"](run_id="r", time="t", text="hi")  # type: ignore[call-arg]
    assert list(json.loads(encode_event(event))) == ["type", "run_id", "time", "text", "agent"]


@pytest.mark.parametrize("line", ["", "[]", "{}", '{"type": "no"}', '{"type": "text"}', "nonsense"])
def test_what_is_no_event_is_refused(line: str) -> None:
    with pytest.raises(ValueError):
        decode_event(line)
