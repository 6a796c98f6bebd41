"""What comes over a wire and is nothing that anybody would send ends in an error of ours."""

from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agentctl.core.errors import UsageProblem
from agentctl.core.events import decode_event
from agentctl.daemon.wire import find_verb
from tests.support.daemon import running_daemon
from tests.support.daemon_client import Client

GARBAGE = [
    b"",
    b"{",
    b"[]",
    b"nan",
    b"\xff",
    b'{"request": "\x93"}',
    b'{"request": "\\ud800"}',
    b'{"request": 1e999}',
    b'{"request": ' * 5_000,
    b"[" * 100_000,
    b'{"self": 1}',
]
VERBS = ("ask", "search", "ingest", "run_agent", "add_task")

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    with running_daemon(tmp_path_factory.mktemp("wires") / "home") as address:
        yield Client(address)


@pytest.mark.parametrize("name", VERBS)
def test_a_verb_that_is_told_garbage_says_so(name: str, client: Client) -> None:
    for body in GARBAGE:
        answer = client.post(f"/workspace/{name}", body)

        assert (answer.status, answer.error) == (400, "usage"), body[:40]


@settings(max_examples=300)
@given(st.sampled_from(VERBS), st.dictionaries(st.text() | st.just("request"), json_values))
def test_arguments_of_no_verb_are_wrong_usage(name: str, arguments: dict[str, object]) -> None:
    verb = find_verb(name)
    assert verb is not None
    try:
        verb.read_arguments(arguments)  # type: ignore[arg-type]
    except UsageProblem as error:
        assert error.hint


@given(st.binary() | st.dictionaries(st.text() | st.just("type"), json_values).map(repr))
def test_any_line_is_an_event_or_a_value_error(line: str | bytes) -> None:
    with pytest.raises(ValueError):
        decode_event(line)


@pytest.mark.parametrize("line", ['{"type": {}}', '{"type": []}', '{"type": 1}'])
def test_a_type_that_is_no_text_is_no_event(line: str) -> None:
    with pytest.raises(ValueError):
        decode_event(line)
