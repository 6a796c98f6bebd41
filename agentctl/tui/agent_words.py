"""Agents and their runs in words, as the dashboard shows them."""

from textual.content import Content

from agentctl.core.agents.definitions import AgentEntry
from agentctl.core.agents.run_store import RunDetails
from agentctl.render.output import printable
from agentctl.tui.waiting import SeenRun


def work_of(agent: str, seen: list[SeenRun]) -> str:
    """What it is at now; what waits for the user comes first."""
    for each in seen:
        if each.run.agent == agent and each.status in ("waiting for you", "working"):
            return each.status
    return "idle"


def agent_lines(agent: AgentEntry, work: str) -> Content:
    definition = agent.definition
    what = f"{definition.kind} · {printable(definition.model or 'auto')}"
    return Content.assemble(
        (printable(definition.name), "bold"),
        ("\n", ""),
        (work, "dim" if work == "idle" else "bold $warning"),
        (f" · {what}", "dim"),
    )


def agent_text(entry: AgentEntry) -> str:
    definition = entry.definition
    tools = [f"  {tool.name}: {tool.description.splitlines()[0]}" for tool in entry.tools]
    roles = [f"  {role.name}: {role.description}" for role in definition.roles]
    blocks = [
        definition.description,
        f"{definition.kind}, model {definition.model or 'auto'}\n{entry.path}",
        "\n".join(["Tools:", *tools]) if tools else "It has no tools.",
        "\n".join(["Members:", *roles]) if roles else "",
        f"Instructions:\n{definition.instructions.strip()}" if definition.instructions else "",
        "\n".join(f"warning: {warning}" for warning in entry.warnings),
    ]
    return printable("\n\n".join(filter(None, blocks)))


def run_head(details: RunDetails, seen: SeenRun | None) -> Content:
    run = details.run
    waiting = [each.tool for each in details.decisions if each.decision == "pending"]
    status = seen.status if seen is not None else run.status
    parts = [f"run {run.id}", run.agent, status, run.model or ""]
    line = Content(printable(" · ".join(filter(None, parts))))
    if not waiting:
        return line
    asks = printable(f"{', '.join(waiting)} waits for your answer: a")
    return Content("\n").join([line, Content.styled(asks, "bold $warning")])
