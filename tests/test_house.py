"""The shape of the code: which room may know which, who prints, how long a file may be."""

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
FILES = sorted((ROOT / "agentctl").rglob("*.py"))
LONGEST_FILE = 400
LONGEST_FUNCTION = 50

# From the ground up: a room may import its own files and every room below it.
ROOMS = [
    r"agentctl",
    r"agentctl\.core\.(errors|jsontypes|sources|moments)",
    r"agentctl\.core\.(events|paths|addresses|file_lock|open_files|child_processes|windows_paths)",
    r"agentctl\.core\.(config|config_syntax|config_file|logs|migrations|storage|files|web_page|hardware)",
    r"agentctl\.core\.(backup|backup_file|restore|home_swap|relocation)",
    r"agentctl\.core\.backends\..*",
    r"agentctl\.core\.embedding\..*",
    r"agentctl\.core\.knowledge\..*",
    r"agentctl\.core\.chat\..*",
    r"agentctl\.core\.agents\..*",
    r"agentctl\.core\.automation\..*",
    r"agentctl\.core\.doctor(_checks)?",
    r"agentctl\.core\.workspace",
    r"agentctl\.core\.local_(workspace|automation)",
    r"agentctl\.daemon\.(process|service|client|wire|hub)",
    r"agentctl\.connect",
    r"agentctl\.integrations",
    r"agentctl\.render\..*",
    r"agentctl\.daemon\..*",
    r"agentctl\.tui\..*",
    r"agentctl\.commands\..*",
    r"agentctl\.cli",
    r"agentctl\.__main__",
]
PACKAGES = {"agentctl.core", "agentctl.core.backends", "agentctl.core.chat"}
PACKAGES |= {"agentctl.core.embedding", "agentctl.core.knowledge"}
PACKAGES |= {"agentctl.core.knowledge.loaders"}
PACKAGES |= {"agentctl.core.agents", "agentctl.core.agents.tools"}
PACKAGES |= {"agentctl.core.agents.permissions", "agentctl.core.agents.sandbox"}
PACKAGES |= {"agentctl.core.automation", "agentctl.daemon"}
PACKAGES |= {"agentctl.tui", "agentctl.tui.widgets"}
PACKAGES |= {"agentctl.commands", "agentctl.render"}
# Each agent framework may vanish, and one file with it.
FRAMEWORKS = {
    "langchain": "agentctl.core.agents.langgraph_agent",
    "langchain_core": "agentctl.core.agents.langgraph_agent",
    "langgraph": "agentctl.core.agents.langgraph_agent",
    "langsmith": "agentctl.core.agents.langgraph_agent",
    "langchain_ollama": "agentctl.core.backends.langchain_ollama",
    "smolagents": "agentctl.core.agents.smolagents_agent",
    "autogen_agentchat": "agentctl.core.agents.autogen_team",
    "autogen_core": "agentctl.core.agents.autogen_team",
}
FRONT_END_LIBRARIES = {"rich", "typer", "textual"}
MAY_PRINT = re.compile(r"agentctl\.(render\..*|__main__)")


def module_name(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


@cache
def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def imported(path: Path) -> Iterator[str]:
    """Every module named in an import anywhere in the file, late and typing-only ones too."""
    modules = {module_name(each) for each in FILES}
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: imports are absolute"
            assert node.module is not None
            for alias in node.names:
                full = f"{node.module}.{alias.name}"
                yield full if full in modules else node.module


def room(module: str) -> int:
    return next(n for n, pattern in enumerate(ROOMS) if re.fullmatch(pattern, module))


def own_imports() -> dict[str, set[str]]:
    return {
        module_name(path): {name for name in imported(path) if name.partition(".")[0] == "agentctl"}
        for path in FILES
        if module_name(path) not in PACKAGES
    }


def test_every_file_has_a_room() -> None:
    for module in own_imports():
        assert any(re.fullmatch(pattern, module) for pattern in ROOMS), module


def test_arrows_only_point_down() -> None:
    upward = [
        f"{module} imports {target}"
        for module, targets in own_imports().items()
        for target in targets - PACKAGES
        if room(target) > room(module)
    ]
    assert upward == []


def test_no_imports_go_in_a_circle() -> None:
    graph = own_imports()
    done: set[str] = set()

    def visit(module: str, above: tuple[str, ...]) -> None:
        assert module not in above, " -> ".join((*above, module))
        if module not in done:
            for target in graph.get(module, set()):
                visit(target, (*above, module))
            done.add(module)

    for module in graph:
        visit(module, ())


def test_packages_hold_no_code() -> None:
    for path in FILES:
        if path.name == "__init__.py" and path.parent.name != "agentctl":
            assert len(tree(path).body) == 1, f"{path} is more than a docstring"


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_each_framework_is_known_to_one_file(framework: str) -> None:
    knows = {
        module_name(path)
        for path in FILES
        if framework in {name.partition(".")[0] for name in imported(path)}
    }
    assert knows == {FRAMEWORKS[framework]}


@pytest.mark.parametrize("path", FILES, ids=module_name)
def test_the_core_knows_no_front_end(path: Path) -> None:
    # smolagents wants a console of rich's; it gets one that writes nowhere.
    allowed = {"rich"} if module_name(path) == FRAMEWORKS["smolagents"] else set()
    if module_name(path).startswith("agentctl.core"):
        assert (FRONT_END_LIBRARIES - allowed).isdisjoint(
            name.partition(".")[0] for name in imported(path)
        )


@pytest.mark.parametrize("path", FILES, ids=module_name)
def test_only_the_renderer_prints(path: Path) -> None:
    if MAY_PRINT.fullmatch(module_name(path)):
        return
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Call):
            assert ast.unparse(node.func) not in (
                "print",
                "sys.stdout.write",
                "sys.stderr.write",
                "typer.echo",
                "typer.secho",
            ), f"line {node.lineno}"


@pytest.mark.parametrize("path", FILES, ids=module_name)
def test_files_and_functions_fit_a_head_and_a_screen(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) <= LONGEST_FILE
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            lines = (node.end_lineno or node.lineno) - node.body[0].lineno + 1
            assert lines <= LONGEST_FUNCTION, f"{node.name} has {lines} lines"


@pytest.mark.parametrize("path", FILES, ids=module_name)
def test_every_module_says_what_it_is(path: Path) -> None:
    assert ast.get_docstring(tree(path)), "a docstring is missing"
