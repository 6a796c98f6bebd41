"""The documentation is true: all there is stands in it, and its examples run as they are shown.

The examples are the ```console blocks of the guides. Those below one `##`
heading run in order, in a home and a folder of their own, with a scripted Ollama that gives the
replies named in `<!-- replies: [...] -->`. `…` stands for anything in a line, alone in one for any
lines; a command without output below it may say anything.
"""

import json
import os
import re
import shlex
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import import_module
from itertools import chain, pairwise
from pathlib import Path

import pytest
from typer._click import Command
from typer.core import TyperGroup, TyperOption
from typer.main import get_command

from agentctl import __version__
from agentctl.cli import COMMANDS
from agentctl.commands.completion import SHELLS
from agentctl.core.backends.catalog import read_catalog
from agentctl.core.errors import AgentctlError
from agentctl.core.paths import find_paths, shipped
from agentctl.render.output import human_size
from tests.support.cli import TIMEOUT_S, environment, run, with_ollama
from tests.support.ollama_server import Reply, ScriptedModel, ScriptedOllama
from tests.test_house import FILES, PACKAGES, ROOMS, ROOT, module_name, room

README = ROOT / "README.md"
CHANGES = ROOT / "CHANGELOG.md"
GUIDE = ROOT / "docs" / "user-guide.md"
DAEMON = ROOT / "docs" / "daemon.md"
DASHBOARD = ROOT / "docs" / "dashboard.md"
TROUBLE = ROOT / "docs" / "troubleshooting.md"
DEVELOPER = ROOT / "docs" / "developer-guide.md"
DOCUMENTS = [README, CHANGES, *sorted((ROOT / "docs").glob("*.md"))]

MODEL = ScriptedModel(
    "qwen3:1.7b",
    size=1_359_293_444,
    parameters="1.7B",
    context_window=40_960,
    capabilities=("completion", "tools", "thinking"),
)
_BLOCK = re.compile(r"^(?P<fence>`{3,})(?P<kind>\w*)\n(?P<body>.*?)^(?P=fence)$", re.M | re.S)
_EXIT = re.compile(r"\s+# exits with (\d+)$")


def read(document: Path) -> str:
    return document.read_text(encoding="utf-8")


def guides() -> str:
    """What a user reads of commands."""
    return "\n".join(map(read, (GUIDE, DAEMON, DASHBOARD)))


def code_blocks(text: str, kind: str) -> list[str]:
    return [match["body"] for match in _BLOCK.finditer(text) if match["kind"] == kind]


def without_code(text: str) -> str:
    return _BLOCK.sub("", text)


def table_rows(text: str, heading: str) -> list[list[str]]:
    """The cells of the first table whose first column has that heading."""
    rows = text.partition(f"\n| {heading} |")[2].partition("\n\n")[0].splitlines()[2:]
    return [[cell.strip() for cell in row.strip("| ").split(" | ")] for row in rows]


# The commands.


def leaf_commands() -> dict[str, Command]:
    """`models pull` to its command, and so on; nothing that only groups others."""

    def walk(path: str, command: Command) -> Iterator[tuple[str, Command]]:
        if isinstance(command, TyperGroup):
            for name, child in command.commands.items():
                yield from walk(f"{path} {name}", child)
        else:
            yield path, command

    return dict(
        chain.from_iterable(
            walk(name, get_command(import_module(f"agentctl.commands.{name}").app))
            for name in COMMANDS
        )
    )


LEAVES = leaf_commands()


@pytest.mark.parametrize("path", LEAVES)
def test_every_command_has_an_example_in_its_help(path: str) -> None:
    examples = re.findall(r"^\s*Example: (.+)$", LEAVES[path].help or "", re.M)

    assert any(f"agentctl {path}" in example for example in examples)


@pytest.mark.parametrize("path", LEAVES)
def test_every_command_stands_in_the_user_guide(path: str) -> None:
    assert re.search(rf"agentctl {path}\b", guides())


@pytest.mark.parametrize("path", LEAVES)
def test_every_option_has_help_and_stands_in_the_user_guide(path: str) -> None:
    for option in LEAVES[path].params:
        if isinstance(option, TyperOption):
            assert option.help, option.name
            for name in option.opts:
                assert re.search(rf"(?<![\w-]){name}(?![\w-])", guides()), name


@pytest.mark.parametrize("name", COMMANDS)
def test_every_top_level_command_stands_in_the_readme(name: str) -> None:
    assert f"agentctl {name}" in read(README)


# Errors, settings, models, files.


def error_types(base: type[AgentctlError] = AgentctlError) -> Iterator[type[AgentctlError]]:
    """Those that are raised: each has a slug of its own."""
    for kind in base.__subclasses__():
        if "slug" in vars(kind):
            yield kind
        yield from error_types(kind)


def test_troubleshooting_explains_exactly_the_errors_there_are() -> None:
    explained = re.findall(r"^### `([\w-]+)` \(exit code (\d+)\)$", read(TROUBLE), re.M)

    existing = {(kind.slug, str(kind.exit_code)) for kind in error_types()}
    assert sorted(explained) == sorted(existing | {("unexpected", "1")})


def test_the_user_guide_lists_the_exit_codes() -> None:
    listed = {int(code) for code, _ in table_rows(read(GUIDE), "code")}

    assert listed == {0, 1, 130} | {kind.exit_code for kind in error_types()}


def test_the_user_guide_lists_every_setting_with_its_default() -> None:
    listed = {
        key.strip("`"): tomllib.loads(f"value = {default.strip('`')}")["value"]
        for key, default, _ in table_rows(read(GUIDE), "key")
    }

    defaults = tomllib.loads(read(shipped("default.toml")))
    assert listed == {
        f"{table}.{key}": value
        for table, keys in defaults.items()
        if isinstance(keys, dict)
        for key, value in keys.items()
    } | {key: value for key, value in defaults.items() if not isinstance(value, dict)}


def test_the_shipped_defaults_explain_every_key() -> None:
    lines = read(shipped("default.toml")).splitlines()
    bare = [
        line
        for above, line in pairwise(lines)
        if re.match(r"\w+ =", line) and not above.startswith("#")
    ]

    assert bare == []


def test_the_user_guide_lists_the_model_catalogue(tmp_path: Path) -> None:
    listed = [row[:3] for row in table_rows(read(GUIDE).partition("### The embedded")[2], "name")]

    catalog = read_catalog(find_paths({"AGENTCTL_HOME": str(tmp_path)}))
    assert listed == [
        [f"`{model.name}`", human_size(model.size), model.license] for model in catalog.values()
    ]


def test_the_developer_guide_draws_the_house_as_it_is() -> None:
    drawing = next(block for block in code_blocks(read(DEVELOPER), "text") if "__main__" in block)
    floors = [
        set(re.findall(r"[\w/*]+", line.partition("   ")[0]))
        for line in reversed(drawing.splitlines())
        if re.match(r"[\w/]", line)
    ]

    assert len(floors) == len(ROOMS)
    for module in map(module_name, FILES):
        if module not in PACKAGES:
            name = module.removeprefix("agentctl").removeprefix(".").replace(".", "/") or "__init__"
            folder = f"{name.rpartition('/')[0]}/*"
            assert floors[room(module)] & {name, folder}, module


def test_the_changelog_tells_of_this_version() -> None:
    assert __version__ in read(CHANGES)


# Links.


def anchors(document: Path) -> set[str]:
    """The fragments that GitHub gives to a document's headings."""
    headings = re.findall(r"^#+ (.+)$", without_code(read(document)), re.M)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_links_lead_somewhere(document: Path) -> None:
    for link in re.findall(r"\]\(([^)\s]+)\)", without_code(read(document))):
        path, _, fragment = link.partition("#")
        if "://" in link:
            continue
        target = document.parent / path if path else document
        assert target.exists(), link
        assert not fragment or fragment in anchors(target), link


# The examples.


@dataclass(frozen=True)
class Example:
    """A line that is typed, and what comes back, as it is shown."""

    command: str
    output: str
    exit_code: int


@dataclass(frozen=True)
class Section:
    replies: list[str]
    examples: list[Example]


def read_sections() -> dict[str, Section]:
    sections = {}
    for part in re.split(r"^## ", protect_code(guides()), flags=re.M)[1:]:
        text = part.replace("\0", "")
        replies = re.search(r"<!-- replies: (\[.*?\]) -->", text, re.S)
        examples = [*chain.from_iterable(map(read_examples, code_blocks(text, "console")))]
        if examples:
            title = text.partition("\n")[0]
            sections[title] = Section(json.loads(replies[1]) if replies else ["Hello."], examples)
    return sections


def protect_code(text: str) -> str:
    """Headings in a code block are none."""
    return _BLOCK.sub(lambda block: block[0].replace("\n#", "\n\0#"), text)


def read_examples(block: str) -> Iterator[Example]:
    for typed in re.split(r"^\$ ", block, flags=re.M)[1:]:
        command, _, output = typed.partition("\n")
        code = _EXIT.search(command)
        yield Example(_EXIT.sub("", command), output.strip(), int(code[1]) if code else 0)


def matches(shown: str, real: str) -> bool:
    """Columns may be aligned with any white space."""
    pattern = "\n".join(
        ".*" if line == "…" else "[^\n]*".join(map(re.escape, line.split("…")))
        for line in squeeze(shown).splitlines()
    )
    return re.fullmatch(pattern, squeeze(real), re.S) is not None


def squeeze(text: str) -> str:
    return "\n".join(" ".join(line.split()) for line in text.strip().splitlines())


SECTIONS = read_sections()


@pytest.mark.skipif(os.name == "nt", reason="the examples are for a POSIX shell")
@pytest.mark.parametrize("title", SECTIONS)
def test_the_examples_of_the_user_guide_run_as_shown(
    title: str, home: Path, tmp_path: Path
) -> None:
    section = SECTIONS[title]
    folder = tmp_path / "work"
    folder.mkdir()
    with ScriptedOllama([Reply(text) for text in section.replies], models=[MODEL]) as server:
        env = with_ollama(home, server)
        env |= {"PATH": f"{install(tmp_path / 'bin')}{os.pathsep}{env['PATH']}"}
        run("config", "set", "model", MODEL.name, env=env)
        try:
            for example in section.examples:
                done = type_in(example.command, env, folder)
                told = f"$ {example.command}\n{done.stdout}"
                assert done.returncode == example.exit_code, told
                assert not example.output or matches(example.output, done.stdout), told
        finally:
            if any("daemon start" in example.command for example in section.examples):
                run("daemon", "stop", env=env)


def type_in(command: str, env: dict[str, str], folder: Path) -> subprocess.CompletedProcess[str]:
    """Both streams in one, as on a terminal."""
    return subprocess.run(
        ["sh", "-c", command],
        env=env,
        cwd=folder,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        timeout=TIMEOUT_S,
        check=False,
    )


def install(folder: Path) -> Path:
    """A folder with an `agentctl` that is the code of this checkout."""
    folder.mkdir()
    program = folder / "agentctl"
    program.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m agentctl "$@"\n')
    program.chmod(0o755)
    return folder


# Completion.

ASKED_BY = {
    "bash": {"COMP_WORDS": "agentctl ", "COMP_CWORD": "1"},
    "zsh": {"_TYPER_COMPLETE_ARGS": "agentctl "},
    "fish": {"_TYPER_COMPLETE_ARGS": "agentctl ", "_TYPER_COMPLETE_FISH_ACTION": "get-args"},
    "powershell": {"_TYPER_COMPLETE_ARGS": "agentctl ", "_TYPER_COMPLETE_WORD_TO_COMPLETE": ""},
}


@pytest.mark.parametrize("shell", SHELLS)
def test_every_shell_completes_every_command(shell: str, home: Path) -> None:
    script = run("completion", shell, env=environment(home))
    asked = {"_AGENTCTL_COMPLETE": f"complete_{shell}", **ASKED_BY[shell]}
    offered = run(env=environment(home, **asked))

    assert script.returncode == offered.returncode == 0
    assert f"complete_{shell}" in script.stdout
    for name in COMMANDS:
        assert re.search(rf'(^|"){name}\b', offered.stdout, re.M), name
