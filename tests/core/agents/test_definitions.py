"""Agents as they are written down."""

from pathlib import Path

import pytest

from agentctl.core.agents.definitions import AgentFiles, read_definition
from agentctl.core.errors import ConfigError, NotFound, UsageProblem
from agentctl.core.paths import find_paths, shipped

SHIPPED = ["assistant", "coder", "ops", "researcher", "team"]


@pytest.fixture
def files(tmp_path: Path) -> AgentFiles:
    return AgentFiles(find_paths({"AGENTCTL_HOME": str(tmp_path)}))


def write(folder: Path, text: str, name: str = "mine") -> Path:
    path = folder / f"{name}.toml"
    path.write_text(text)
    return path


@pytest.mark.parametrize("name", SHIPPED)
def test_every_shipped_agent_is_written_down_rightly(name: str) -> None:
    definition = read_definition(shipped("agents") / f"{name}.toml")

    assert definition.name == name
    assert definition.description
    assert definition.tools


def test_the_shipped_agents_are_listed(files: AgentFiles) -> None:
    assert files.names() == SHIPPED


@pytest.mark.parametrize(
    ("text", "line", "problem"),
    [
        ('name = "mine"\nkind = "grph"', 2, "kind"),
        ('name = "other"\nkind = "graph"', 1, "the name must be that of the file, mine"),
        ('name = "mine"\nkind = "graph"\ntoolz = []', 3, "unknown key toolz (did you mean tools?)"),
        (
            'name = "mine"\nkind = "graph"\n[limits]\nround = 3',
            4,
            "unknown key limits.round (did you mean limits.rounds?)",
        ),
        ('name = "mine"\nkind = "graph"\n\n[limits]\nrounds = "x"', 5, "limits.rounds"),
        ('name = "mine"\nkind = "graph"\n[limits]\nrounds = 0', 4, "limits.rounds must be above 0"),
        ('name = "mine"\nkind = "team"', 2, "a team needs [[roles]]"),
        ('name = "mine"\nkind = "graph"\n[[roles]]\nname = "a"', 3, "only a team has roles"),
        (
            'name = "mine"\nkind = "team"\n[team]\nends_by = "b"\n[[roles]]\nname = "a"',
            4,
            "team.ends_by: there is no role b",
        ),
        ('name = "mine"\nkind = "graph"\n[options]\ntemprature = 1', 3, "temprature"),
        ('name = "mine"\nkind = "code"\nclient = "langchain-ollama"', 3, "only a graph agent"),
        ('name = "mine"\nkind = ', 2, ""),
        (
            'name = "mine"\nkind = "graph"\n[[permissions]]\ndecision = "alow"',
            4,
            "decision",
        ),
    ],
)
def test_a_mistake_is_told_with_file_line_and_key(
    tmp_path: Path, text: str, line: int, problem: str
) -> None:
    path = write(tmp_path, text)

    with pytest.raises(ConfigError) as caught:
        read_definition(path)

    assert caught.value.message.startswith(f"{path}:{line}: ")
    assert problem in caught.value.message


def test_a_file_of_the_users_takes_the_place_of_a_shipped_one(
    files: AgentFiles, tmp_path: Path
) -> None:
    folder = tmp_path / "config" / "agents"
    folder.mkdir(parents=True)
    write(folder, 'name = "ops"\nkind = "graph"\ndescription = "mine"', "ops")

    assert files.load("ops").description == "mine"
    assert files.entry("ops").is_own


@pytest.mark.parametrize("kind", ["graph", "code", "team"])
def test_a_new_agent_is_a_file_that_works(files: AgentFiles, kind: str) -> None:
    path = files.create("my-agent", kind)  # type: ignore[arg-type]  # parametrised

    assert read_definition(path).kind == kind
    with pytest.raises(UsageProblem):
        files.create("my-agent", "graph")


@pytest.mark.parametrize("name", ["", "Big", "../x", "a b", "x" * 60])
def test_what_is_no_name_is_refused(files: AgentFiles, name: str) -> None:
    with pytest.raises(UsageProblem):
        files.create(name, "graph")
    with pytest.raises(NotFound):
        files.load(name)


def test_an_unknown_agent_names_the_nearest(files: AgentFiles) -> None:
    with pytest.raises(NotFound, match="did you mean coder"):
        files.load("codr")


def test_a_broken_file_does_not_hide_the_others(files: AgentFiles, tmp_path: Path) -> None:
    folder = tmp_path / "config" / "agents"
    folder.mkdir(parents=True)
    write(folder, 'name = "mine"\nkind = "grph"')

    listed = {name: files.listed(name).definition.description for name in files.names()}

    assert [*listed] == ["assistant", "coder", "mine", "ops", "researcher", "team"]
    assert "broken: " in listed["mine"]
