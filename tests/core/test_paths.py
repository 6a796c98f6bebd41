"""Where things are, on every system."""

from itertools import permutations
from pathlib import Path

import pytest

from agentctl.core.paths import Paths, find_paths
from tests.support.systems import SYSTEMS, System, paths_on


def roots(paths: Paths) -> tuple[Path, ...]:
    return paths.config, paths.data, paths.cache, paths.state


@pytest.mark.parametrize("system", SYSTEMS)
def test_no_folder_of_a_home_is_another_one_or_in_it(
    system: System, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = paths_on(system, tmp_path, monkeypatch)

    assert not [(a, b) for a, b in permutations(roots(paths), 2) if a.is_relative_to(b)]


def test_what_the_user_has_put_into_one_place_is_kept_apart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from platformdirs.unix import Unix

    for name in ("XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_CACHE_HOME"):
        monkeypatch.setenv(name, str(tmp_path / "one"))
    paths = paths_on(Unix, tmp_path, monkeypatch)

    one, other = tmp_path / "one" / "agentctl", tmp_path / ".local" / "state" / "agentctl"
    assert roots(paths) == (one / "config", one / "data", one / "cache", other)


def test_a_home_of_its_own_has_the_same_names(tmp_path: Path) -> None:
    paths = find_paths({"AGENTCTL_HOME": str(tmp_path)})

    assert [root.name for root in roots(paths)] == ["config", "data", "cache", "state"]
    assert {root.parent for root in roots(paths)} == {tmp_path}
