"""Changed paths wait until they are at rest."""

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from agentctl.core.automation.settling import (
    FLOOD_S,
    PATIENCE_S,
    PENDING_PATHS,
    Settling,
    State,
    file_state,
)


class Files:
    """Files by their size; each look at `growing` ones finds them larger."""

    def __init__(self, *growing: str) -> None:
        self.growing = set(growing)
        self.size = 0

    def state(self, path: str) -> State:
        self.size += 1
        return (self.size,) if path in self.growing else (0,)


def test_a_file_is_taken_in_when_two_looks_find_it_the_same() -> None:
    settling = Settling(Files().state)

    assert settling.note("a")
    assert not settling.note("a")

    assert settling.look(0.0) is None
    assert settling.look(0.25) == ()
    assert not settling.is_busy
    assert settling.look(0.5) is None


def test_many_files_at_once_are_one_batch() -> None:
    settling = Settling(Files().state)
    for number in range(PENDING_PATHS):
        settling.note(str(number))

    assert [settling.look(0.0), settling.look(0.25), settling.look(0.5)] == [None, (), None]


def test_a_file_that_is_written_to_for_long_holds_up_the_others_only_for_a_moment() -> None:
    files = Files("film")
    settling = Settling(files.state)
    settling.note("film")
    settling.note("note")

    assert [settling.look(0.0), settling.look(0.25)] == [None, None]
    assert settling.look(PATIENCE_S) == ("film",)
    assert settling.look(PATIENCE_S * 2) is None
    files.growing.clear()
    assert settling.look(10.0) is None
    assert settling.look(10.25) == ()


def test_past_so_many_paths_only_the_end_of_the_changes_is_waited_for() -> None:
    settling = Settling(Files().state)
    for number in range(PENDING_PATHS * 3):
        settling.note(str(number))

    assert settling.look(0.0) is None
    settling.note("one more")
    assert settling.look(0.25) is None
    assert settling.look(0.5) == ()
    assert not settling.is_busy


def test_a_flood_without_an_end_is_taken_in_now_and_then() -> None:
    settling = Settling(Files().state)
    seen = []
    for tenth in range(int(FLOOD_S * 10) + 1):
        for number in range(PENDING_PATHS + 1):
            settling.note(str(number))
        seen.append(settling.look(tenth / 10))

    assert seen == [None] * (len(seen) - 1) + [()]


def test_what_vanished_is_at_rest_and_so_is_a_folder(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    before = file_state(str(folder))
    (folder / "new.md").write_text("text")

    assert file_state(str(folder)) == before
    assert file_state(str(tmp_path / "gone")) == ()
    assert file_state("no\0path") == ()
    assert file_state(str(folder / "new.md")) != before


@given(st.lists(st.sampled_from(["a", "b", "c", None]), max_size=30))
def test_whatever_was_noted_is_taken_in_once_all_is_at_rest(steps: list[str | None]) -> None:
    files = Files()
    settling = Settling(files.state)
    missed: set[str] = set()
    for time, path in enumerate(steps):
        if path is not None:
            settling.note(path)
            missed.add(path)
        restless = settling.look(time / 10)
        missed = missed if restless is None else set(restless)

    while settling.is_busy:
        missed = missed if settling.look(100.0) is None else set()

    assert missed == set()
