"""Agents as they are written down: what they are told, and what they may call."""

from typing import TYPE_CHECKING

from agentctl.core.jsontypes import JsonObject
from agentctl.render.output import Output

if TYPE_CHECKING:
    from agentctl.core.agents.definitions import AgentEntry


def entry_data(entry: "AgentEntry") -> JsonObject:
    definition = entry.definition
    return {
        "name": definition.name,
        "kind": definition.kind,
        "description": definition.description,
        "model": definition.model,
        "path": entry.path,
        "is_own": entry.is_own,
    }


def details_data(entry: "AgentEntry") -> JsonObject:
    """With all that is in its file; `tools` are those that its names and globs mean now."""
    import msgspec

    definition = entry.definition
    return {
        **entry_data(entry),
        "instructions": definition.instructions,
        "tools": [{"name": tool.name, "description": tool.description} for tool in entry.tools],
        "agents": [*definition.agents],
        "limits": msgspec.to_builtins(definition.limits),
        "options": definition.options,
        "roles": [
            {"name": role.name, "description": role.description, "tools": [*role.tools]}
            for role in definition.roles
        ],
        "warnings": [*entry.warnings],
    }


def show_entry(output: Output, entry: "AgentEntry") -> None:
    definition, limits = entry.definition, entry.definition.limits
    fields = {
        "agent": definition.name,
        "kind": definition.kind,
        "description": definition.description,
        "model": definition.model or "the one that is set (agentctl config get model)",
        "file": entry.path,
        "limits": f"{limits.rounds} rounds, {limits.tool_calls} tool calls, "
        f"{limits.tokens:,} tokens, {limits.seconds:g} s",
        "agents": ", ".join(definition.agents),
        "roles": ", ".join(role.name for role in definition.roles),
    }
    output.fields({name: value for name, value in fields.items() if value})
    if definition.instructions.strip():
        output.line(f"\n{definition.instructions.strip()}")
    output.line("")
    rows = [(tool.name, tool.description.partition(". ")[0]) for tool in entry.tools]
    output.table(("tool", "what it does"), rows)
    for warning in entry.warnings:
        output.warning(warning)
