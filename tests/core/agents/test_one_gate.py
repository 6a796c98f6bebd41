"""That there is one gate: by imports, and by who calls what, no tool runs but through it."""

import ast
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[3] / "agentctl"
AGENTS = ROOT / "core" / "agents"
GATE = AGENTS / "gate.py"
# Values and helpers that hold no tool.
NO_TOOLS = {"base", "arguments", "line_matcher", "mcp_servers"}
FRAMEWORKS = ["langgraph_agent.py", "smolagents_agent.py", "autogen_team.py"]


def files() -> list[Path]:
    return sorted(ROOT.rglob("*.py"))


def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def imports(path: Path) -> Iterator[str]:
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)


def calls(path: Path) -> Iterator[ast.Call]:
    return (node for node in ast.walk(tree(path)) if isinstance(node, ast.Call))


def is_run_of_a_tool(call: ast.Call) -> bool:
    """`tool.run(args, place)`: nothing else is run with two plain values of these names."""
    if not (isinstance(call.func, ast.Attribute) and call.func.attr == "run"):
        return False
    names = [each.id for each in call.args if isinstance(each, ast.Name)]
    return ast.unparse(call.func.value) == "tool" or "place" in names[1:2]


def test_tools_are_imported_by_those_who_offer_them_alone() -> None:
    importers = {
        path.name
        for path in files()
        for module in imports(path)
        if module.startswith("agentctl.core.agents.tools.")
        and module.split(".")[4] not in NO_TOOLS
        and path.parent.name != "tools"
    }

    assert importers == {"toolbox.py", "mcp_tools.py"}


def test_what_runs_a_tool_stands_in_the_gates_alone() -> None:
    places = [path.name for path in files() for call in calls(path) if is_run_of_a_tool(call)]

    assert places == ["gate.py", "mcp_server.py"]


def test_other_programs_run_nothing_that_was_not_permitted() -> None:
    server = tree(ROOT / "daemon" / "mcp_server.py")
    [call] = [
        node
        for node in ast.walk(server)
        if isinstance(node, ast.AsyncFunctionDef) and node.name == "call"
    ]

    assert [ast.unparse(each) for each in call.body[-2:]] == [
        "self._permit(tool, args)",
        "return await tool.run(args, self._place)",
    ]


def test_the_gate_runs_nothing_that_was_not_permitted() -> None:
    methods = {
        node.name: node for node in ast.walk(tree(GATE)) if isinstance(node, ast.AsyncFunctionDef)
    }
    callers = [
        (name, ast.unparse(call.func))
        for name, node in methods.items()
        for call in ast.walk(node)
        if isinstance(call, ast.Call)
    ]
    passing = [ast.unparse(each) for each in methods["_pass"].body]
    permitted = next(n for n, text in enumerate(passing) if "self._permit(" in text)
    run = next(n for n, text in enumerate(passing) if "self._run(" in text)

    assert [name for name, called in callers if called == "self._run"] == ["_pass"]
    assert [name for name, called in callers if called == "tool.run"] == ["_run"]
    assert permitted < run
    assert "args = await self._permit(" in passing[permitted]
    assert "self._run(tool, args, place)" in passing[run]


def test_frameworks_know_neither_tools_nor_the_sandbox() -> None:
    for name in FRAMEWORKS:
        known = {module for module in imports(AGENTS / name) if module.startswith("agentctl")}
        assert not [each for each in known if ".tools" in each or "sandbox" in each], name


def test_code_of_a_model_is_run_by_two_tools_in_the_sandbox_alone() -> None:
    users = {
        path.name
        for path in files()
        for module in imports(path)
        if module.endswith("agents.sandbox.sandbox.Sandbox")
    }
    starters = {
        path.name
        for path in AGENTS.rglob("*.py")
        for call in calls(path)
        if ast.unparse(call.func) in ("self._sandbox.run", "self._sandbox.python", "sandbox.run")
    }

    assert users == {"toolbox.py", "shell.py", "code.py"}
    assert starters == {"shell.py", "code.py"}


def test_nothing_in_the_agents_wing_evaluates_text_in_this_process() -> None:
    worker = {"python_worker.py"}
    for path in AGENTS.rglob("*.py"):
        if path.name in worker:
            continue
        for call in calls(path):
            name = ast.unparse(call.func)
            assert name not in ("eval", "exec", "compile", "os.system", "os.popen"), path
            assert not any(
                keyword.arg == "shell" and ast.unparse(keyword.value) != "False"
                for keyword in call.keywords
            ), path
