"""What an agent is told before its task: its own instructions, where it is, the project's rules."""

from pathlib import Path

from agentctl.core.agents.definitions import AgentDefinition
from agentctl.core.agents.tools.base import clip
from agentctl.core.chat.prompt import without_turn_marks
from agentctl.core.files import decode_text

PROJECT_FILE = "AGENTS.md"
_LONGEST_PROJECT_FILE = 12_000


def instructions_for(definition: AgentDefinition, folder: Path) -> str:
    """The agent's instructions with the work folder, and its AGENTS.md when there is one.

    What stands in AGENTS.md can change what an agent tries, not what it may do: that is the gate's.
    """
    parts = [definition.instructions.strip(), f"The work folder is {folder}."]
    project = folder / PROJECT_FILE
    try:
        data = project.read_bytes() if project.is_file() else b""
    except OSError:
        data = b""
    if data.strip():
        text, _ = decode_text(data, PROJECT_FILE)
        kept = without_turn_marks(clip(text.strip(), _LONGEST_PROJECT_FILE))
        parts.append(f"The project's own notes for agents ({PROJECT_FILE}):\n{kept}")
    return "\n\n".join(filter(None, parts))
