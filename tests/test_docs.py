"""The documentation is true: all there is stands in it, and its examples run as they are shown.

The examples are the ```console blocks of README and the pages. Those below one `#` or `##` heading
run in order, in a home and a folder of their own, with a scripted Ollama that gives the replies
named in `<!-- replies: [...] -->`. `…` stands for anything in a line, alone in one for any lines; a
command without output below it may say anything.
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
from itertools import chain, pairwise
from pathlib import Path

import pytest
from typer.core import TyperOption

from agentctl import __version__
from agentctl.cli import COMMANDS
from agentctl.commands.completion import SHELLS
from agentctl.core.backends.catalog import read_catalog
from agentctl.core.errors import AgentctlError
from agentctl.core.hardware import Gpu, Memory, model_fits
from agentctl.core.paths import find_paths, shipped
from agentctl.render.output import human_size
from tests.support.cli import TIMEOUT_S, environment, run, with_ollama
from tests.support.command_tree import LEAVES
from tests.support.ollama_server import Reply, ScriptedModel, ScriptedOllama
from tests.test_house import FILES, PACKAGES, ROOMS, ROOT, module_name, room

README = ROOT / "README.md"
CHANGES = ROOT / "CHANGELOG.md"
GUIDE = ROOT / "docs" / "user-guide.md"
MODELS = ROOT / "docs" / "models.md"
PROGRAMS = ROOT / "docs" / "http-and-mcp.md"
TROUBLE = ROOT / "docs" / "troubleshooting.md"
DEVELOPER = ROOT / "docs" / "developer-guide.md"
PAGES = sorted((ROOT / "docs").glob("*.md"))
DOCUMENTS = [README, CHANGES, *PAGES]

MODEL = ScriptedModel(
    "qwen3:1.7b",
    size=1_359_293_444,
    parameters="1.7B",
    context_window=40_960,
    capabilities=("completion", "tools", "thinking"),
)
GB = 1_000_000_000
# They go on until they are ended, or belong to a terminal.
WITHOUT_DATA = {"config edit", "daemon run", "mcp", "serve", "tui"}
_BLOCK = re.compile(r"^(?P<fence>`{3,})(?P<kind>\w*)\n(?P<body>.*?)^(?P=fence)$", re.M | re.S)
_EXIT = re.compile(r"\s+# exits with (\d+)$")


def read(document: Path) -> str:
    return document.read_text(encoding="utf-8")


def guides() -> str:
    """What a user reads of commands."""
    return "\n".join(map(read, PAGES))


def code_blocks(text: str, kind: str) -> list[str]:
    return [match["body"] for match in _BLOCK.finditer(text) if match["kind"] == kind]


def without_code(text: str) -> str:
    return _BLOCK.sub("", text)


def table_rows(text: str, heading: str) -> list[list[str]]:
    """The cells of the first table whose first column has that heading."""
    rows = text.partition(f"\n| {heading} |")[2].partition("\n\n")[0].splitlines()[2:]
    return [[cell.strip() for cell in row.strip("| ").split(" | ")] for row in rows]


# The commands.


@pytest.mark.parametrize("path", LEAVES)
def test_every_command_has_an_example_that_runs(path: str) -> None:
    typed = chain.from_iterable(section.examples for section in SECTIONS.values())

    assert any(re.search(rf"agentctl {path}\b", example.command) for example in typed)


@pytest.mark.parametrize("path", LEAVES)
def test_every_option_stands_in_a_guide(path: str) -> None:
    options = [option for option in LEAVES[path].params if isinstance(option, TyperOption)]

    for name in chain.from_iterable(option.opts for option in options):
        assert re.search(rf"(?<![\w-]){name}(?![\w-])", guides()), name


@pytest.mark.parametrize("path", sorted(LEAVES.keys() - WITHOUT_DATA))
def test_what_json_holds_is_told_of_every_command(path: str) -> None:
    told = chain.from_iterable(table_rows(read(PROGRAMS), "command"))

    assert any(f"`{path}`" in cell for cell in told)


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
    of_runs = {("approval-required", "77"), ("denied", "77"), ("limit", "124")}
    assert sorted(explained) == sorted(existing | of_runs | {("unexpected", "1")})


def test_troubleshooting_says_of_each_error_what_it_means_its_cause_and_the_mend() -> None:
    for part in re.split(r"^### ", read(TROUBLE), flags=re.M)[1:]:
        assert re.findall(r"^- \*\*(\w+)\*\*: ", part.partition("\n## ")[0], re.M) == [
            "Means",
            "Cause",
            "Mend",
        ], part


def test_the_exit_codes_are_listed() -> None:
    listed = {int(code) for code, _ in table_rows(read(PROGRAMS), "code")}

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


def test_the_model_catalogue_is_listed(tmp_path: Path) -> None:
    listed = [row[:3] for row in table_rows(read(MODELS).partition("### The embedded")[2], "name")]

    catalog = read_catalog(find_paths({"AGENTCTL_HOME": str(tmp_path)}))
    assert listed == [
        [f"`{model.name}`", human_size(model.size), model.license] for model in catalog.values()
    ]


def test_the_models_for_each_machine_fit_it(tmp_path: Path) -> None:
    catalog = read_catalog(find_paths({"AGENTCTL_HOME": str(tmp_path)}))

    for machine, first, needs, second in table_rows(read(MODELS), "machine"):
        gigabytes = int(re.findall(r"(\d+) GB", machine)[0])
        sizes = [catalog[name.strip("`")].size for name in (first, second)]
        # Half of a machine's memory is free, of a card's all but a gigabyte.
        memory = Memory(gigabytes * GB, gigabytes * GB // 2)
        cards = [Gpu("card", gigabytes * GB, GB, None, None)] if "GPU" in machine else []
        none = Memory(0, 0)
        assert sizes == sorted(sizes, reverse=True)
        assert model_fits(sizes[0], none if cards else memory, cards) == "yes", machine
        assert needs == human_size(round(sizes[0] * 1.2)), machine


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


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.name)
def test_every_page_is_linked_from_another(page: Path) -> None:
    others = [each for each in DOCUMENTS if each != page]

    assert any(re.search(rf"\]\((docs/)?{page.name}[)#]", read(each)) for each in others)


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
    for page in [README, *PAGES]:
        for part in re.split(r"^##? ", protect_code(read(page)), flags=re.M)[1:]:
            text = part.replace("\0", "")
            replies = re.search(r"<!-- replies: (\[.*?\]) -->", text, re.S)
            examples = [*chain.from_iterable(map(read_examples, code_blocks(text, "console")))]
            if examples:
                heading = text.partition("\n")[0]
                answers = json.loads(replies[1]) if replies else ["Hello."]
                sections[f"{page.stem}: {heading}"] = Section(answers, examples)
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
def test_the_examples_run_as_shown(title: str, home: Path, tmp_path: Path) -> None:
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
