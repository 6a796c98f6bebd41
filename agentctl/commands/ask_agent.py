"""`agentctl ask --agent`: a question that an agent answers, with tools."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from agentctl.commands.agent_stream import follow, is_attended
from agentctl.connect import working_directory
from agentctl.core.agents.run_request import AgentRequest, LimitChanges
from agentctl.core.backends.threads import run_in_thread
from agentctl.core.chat.attachments import STDIN_NAME, InputLimits, Loaded, load_attachments
from agentctl.core.chat.conversation import AskRequest
from agentctl.core.chat.prompt import user_message, without_turn_marks
from agentctl.core.config import Settings
from agentctl.core.errors import UsageProblem
from agentctl.core.events import UsageMeasured
from agentctl.core.files import well_formed
from agentctl.core.workspace import Workspace
from agentctl.render.agents import AgentRunPrinter, AgentSummary
from agentctl.render.answer import show_interrupted
from agentctl.render.output import Output


@dataclass(frozen=True, slots=True)
class AgentQuestion:
    """A question as `ask` has read it, and who is to answer."""

    agent: str
    request: AskRequest
    settings: Settings


def refuse_beside_agent(agent: str, request: AskRequest, given: Mapping[str, bool]) -> None:
    """Raises UsageProblem for what only an answer without an agent has."""
    if request.session is not None:
        raise UsageProblem(
            "an agent's run is no session: -c and -s do not go with --agent",
            f'agentctl agents run {agent} "…" --resume RUN',
        )
    excluded = {
        "--schema": request.schema is not None,
        "--system": request.system is not None,
        "-k": request.knowledge == "always",
        "--no-log": not request.log,
        **given,
    }
    hints = {
        "-k": "--agent researcher, who has the knowledge base",
        "--system": f"write an agent of your own: agentctl agents new NAME, as {agent}",
        "-o": f"write an agent of your own: agentctl agents new NAME, as {agent}",
    }
    for option, is_given in excluded.items():
        if is_given:
            hint = hints.get(option, "leave one of them out")
            raise UsageProblem(f"{option} and --agent exclude each other", hint)


async def ask_agent(
    workspace: Workspace,
    question: AgentQuestion,
    output: Output,
    *,
    is_quiet: bool,
    shows_usage: bool,
) -> AgentSummary:
    """Shows the run; what is known of it at its end."""
    from asyncio import CancelledError

    request, limits = question.request, _limits(question.settings)
    loaded = await run_in_thread(lambda: load_attachments(request.files, request.stdin, limits))
    for warning in loaded.warnings:
        output.warning(warning)
    printer = AgentRunPrinter(output, is_quiet=is_quiet, shows_usage=shows_usage)
    asked = AgentRequest(
        agent=question.agent,
        task=_task(request, loaded),
        folder=working_directory().resolve(),
        model=request.model,
        is_attended=is_attended(output),
        limits=LimitChanges(seconds=request.timeout_s),
    )
    try:
        await follow(workspace, workspace.run_agent(asked), output, printer)
    except CancelledError:
        show_interrupted(output, _completed(printer.summary, loaded))
        raise
    return _completed(printer.summary, loaded)


def _completed(summary: AgentSummary, loaded: Loaded) -> AgentSummary:
    """As that of an answer without an agent."""
    summary.warnings = (*loaded.warnings, *summary.warnings)
    if summary.usages:
        summary.usage = _whole(summary)
    return summary


def _task(request: AskRequest, loaded: Loaded) -> str:
    """The prompt below what goes along; what is piped in alone is the prompt."""
    attachments = list(loaded.attachments)
    images = [each.name for each in attachments if each.image is not None]
    if images:
        raise UsageProblem(f"agents read text, and {images[0]} is an image", "agentctl ask -f …")
    prompt = well_formed(request.prompt)
    if not prompt.strip() and attachments and attachments[0].name == STDIN_NAME:
        prompt = attachments.pop(0).text or ""
    if not prompt.strip():
        raise UsageProblem("the prompt is empty", 'agentctl ask "your question"')
    return without_turn_marks(user_message(prompt, attachments).content)


def _limits(settings: Settings) -> InputLimits:
    return InputLimits(
        settings.limits.input_bytes,
        settings.limits.folder_files,
        settings.timeouts.idle,
        settings.knowledge.file_seconds,
        settings.knowledge.file_memory,
    )


def _whole(summary: AgentSummary) -> UsageMeasured:
    """All answers of the run as one: the first word of the first, the window of the last."""
    usages, total = summary.usages, summary.usage_sum
    return replace(
        usages[-1],
        prompt_tokens=total.prompt_tokens,
        completion_tokens=total.completion_tokens,
        ttft_ms=usages[0].ttft_ms,
        total_ms=total.total_ms,
        tokens_per_s=total.tokens_per_s,
        truncated_tokens=sum(usage.truncated_tokens for usage in usages),
    )
