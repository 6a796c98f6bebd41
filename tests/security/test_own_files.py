"""Whatever stands in a file of the user's own, it is read, or its error names the file's line."""

import re
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentctl.core.agents.definitions import read_definition
from agentctl.core.agents.permissions.policy import load_rules
from agentctl.core.agents.tools.mcp_servers import read_mcp_servers
from agentctl.core.backends.catalog import read_catalog
from agentctl.core.chat.templates import TemplateStore
from agentctl.core.config import load_config
from agentctl.core.errors import ConfigError
from agentctl.core.paths import Paths, find_paths, make_private, shipped

READERS: dict[str, tuple[str, Callable[[Paths], object]]] = {
    "default.toml": ("config.toml", lambda paths: load_config(paths, {}, paths.config)),
    "permissions.toml": ("permissions.toml", load_rules),
    "mcp.toml": ("mcp.toml", read_mcp_servers),
    "models.toml": ("models.toml", read_catalog),
    "agents/team.toml": ("agents/mine.toml", lambda p: read_definition(p.agents / "mine.toml")),
    "templates/commit.toml": ("templates/mine.toml", lambda p: TemplateStore(p).load("mine")),
}
"""Shipped files, the user's own in their places, and who reads them."""

VALUES = st.sampled_from(
    [
        "0",
        "-1",
        "1e308",
        "9999999999999999999999",
        "true",
        '""',
        '"x"',
        '"""x\n"""',
        "[]",
        "[0]",
        '["x"]',
        "[[]]",
        "{}",
        "{x={}}",
        "1979-05-27",
        "07:32:00",
        "nan",
        "inf",
        '"\\u0000"',
        '"\u202e"',
        '"${x}"',
        "[{}]",
        "[{x=1}]",
    ]
) | st.text(max_size=10)


@st.composite
def changed(draw: st.DrawFn, text: str) -> str:
    """The file with some of its lines changed, out of place, or gone."""
    lines = [line.removeprefix("# ") for line in text.splitlines()]
    for _ in range(draw(st.integers(1, 4))):
        number = draw(st.integers(0, len(lines) - 1))
        key = re.match(r"\s*(?:\[.*\]|[\w.\"-]+)", lines[number])
        match draw(st.sampled_from(["value", "line", "swap", "table"])):
            case "value" if key:
                lines[number] = f"{key[0]} = {draw(VALUES)}"
            case "table" if key:
                lines[number] = f"[{key[0].strip('[]')}]"
            case "swap":
                lines[number], lines[0] = lines[0], lines[number]
            case _:
                lines[number] = draw(st.text(max_size=20))
    return "\n".join(lines)


@pytest.mark.parametrize("name", READERS)
def test_any_file_is_read_or_refused_with_its_line(
    name: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    paths = find_paths({"AGENTCTL_HOME": str(tmp_path_factory.mktemp("home"))})
    own, read = READERS[name]
    file = paths.config / own
    make_private(file.parent)
    original = plain(shipped(name))

    @given(changed(original) | st.text())
    def try_one(text: str) -> None:
        file.write_text(text, encoding="utf-8", errors="surrogatepass")
        try:
            read(paths)
        except ConfigError as error:
            assert re.search(rf"{re.escape(str(file))}:\d+: ", error.message), error.message
            assert error.hint

    try_one()


def plain(file: Path) -> str:
    """Its statements, also those that are only shown in a comment."""
    text = file.read_text(encoding="utf-8")
    return "\n".join(
        line for line in text.splitlines() if re.match(r"(?:# )?(?:\[|[\w.]+ = )|[^#]", line)
    )


@pytest.mark.parametrize(
    "item",
    ['"y",', '"y", # ]', '"]",'],
    ids=["a long list", "a comment that deceives", "a text that deceives"],
)
def test_a_strangers_settings_hold_nobody_up(
    item: str, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = "\n".join(['model = "x"', "evil = [", *[item] * 5_000, "]", "more = 1"])
    (tmp_path / "agentctl.toml").write_text(text)
    load, parsed = tomllib.loads, list[int]()

    def count(statement: str) -> dict[str, object]:
        parsed.append(len(statement))
        return load(statement)

    monkeypatch.setattr(tomllib, "loads", count)
    with pytest.raises(ConfigError, match=r"agentctl\.toml:\d+: "):
        load_config(find_paths({"AGENTCTL_HOME": str(home)}), {}, tmp_path)

    assert sum(parsed) < 10 * len(text)


def test_settings_that_are_too_long_are_not_read(home: Path, tmp_path: Path) -> None:
    (tmp_path / "agentctl.toml").write_text("#" * 2_000_000)

    with pytest.raises(ConfigError, match="more than 1,000,000 bytes"):
        load_config(find_paths({"AGENTCTL_HOME": str(home)}), {}, tmp_path)
