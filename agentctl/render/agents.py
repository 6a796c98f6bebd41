"""A run of agents as it happens: what is said on stdout, what is done on stderr."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from agentctl.core.events import (
    ApprovalGiven,
    ApprovalRequired,
    ErrorRaised,
    Event,
    MessageFinished,
    RunFinished,
    RunStarted,
    TextArrived,
    ThinkingArrived,
    ToolCallRequested,
    ToolFinished,
    UsageMeasured,
    WarningRaised,
    encode_event,
)
from agentctl.core.jsontypes import Json, JsonObject
from agentctl.render.output import Output
from agentctl.render.run import RunSummary
from agentctl.render.tool_calls import CallLog, CallRecord, call_line, folded, result_line
from agentctl.render.words import WordStream

_DIM, _RED, _CYAN = "2", "31", "36"
_BY_POLICY = "policy"


@dataclass(frozen=True, slots=True)
class UsageSum:
    """All answers of a run together; the speed is that of the time in which they were spoken."""

    rounds: int
    prompt_tokens: int
    completion_tokens: int
    total_ms: float
    tokens_per_s: float

    @classmethod
    def of(cls, usages: Sequence[UsageMeasured]) -> "UsageSum":
        completion = sum(usage.completion_tokens for usage in usages)
        speaking = sum(
            usage.completion_tokens / usage.tokens_per_s for usage in usages if usage.tokens_per_s
        )
        return cls(
            len(usages),
            sum(usage.prompt_tokens for usage in usages),
            completion,
            round(sum(usage.total_ms for usage in usages), 1),
            round(completion / speaking, 1) if speaking else 0.0,
        )

    def data(self) -> JsonObject:
        return {
            "prompt_tokens": self.prompt_tokens,
            "completion_tokens": self.completion_tokens,
            "total_ms": self.total_ms,
            "tokens_per_s": self.tokens_per_s,
        }

    def line(self) -> str:
        return (
            f"{self.rounds} {'round' if self.rounds == 1 else 'rounds'} · "
            f"{self.prompt_tokens:,} + {self.completion_tokens:,} tokens · "
            f"{self.total_ms / 1000:.1f} s · {self.tokens_per_s:.1f} tokens/s"
        )


@dataclass(slots=True)
class AgentSummary(RunSummary):
    """What is known of a run of agents; `messages` are all that was said, in order."""

    messages: list[MessageFinished] = field(default_factory=list)
    usages: list[UsageMeasured] = field(default_factory=list)
    log: CallLog = field(default_factory=CallLog)
    speaker: str = ""

    @property
    def calls(self) -> list[CallRecord]:
        return [*self.log.calls.values()]

    @property
    def usage_sum(self) -> UsageSum:
        return UsageSum.of(self.usages)

    def add(self, event: Event) -> None:
        RunSummary.add(self, event)
        match event:
            case RunStarted(agent=agent):
                self.speaker = agent or ""
            case TextArrived(agent=agent):
                self.speaker = agent or self.speaker
            case MessageFinished(agent=agent):
                # A message that was cut short is nobody's: it is whose words were the last.
                self.messages.append(replace(event, agent=agent or self.speaker))
            case UsageMeasured():
                self.usages.append(event)
            case ToolCallRequested() | ApprovalRequired() | ApprovalGiven() | ToolFinished():
                self.log.add(event)


class AgentRunPrinter:
    """Shows events in the form of `output`.

    stdout gets the answer; in a conversation, which a team's run is, all that its members say. On
    a terminal everything that is said streams there. `is_quiet`: the answer is printed elsewhere.
    """

    def __init__(
        self, output: Output, *, is_quiet: bool = False, shows_usage: bool = False
    ) -> None:
        self.summary = AgentSummary()
        self.is_conversation = False
        self._output = output
        self._words = WordStream(output)
        self._is_quiet = is_quiet
        self._is_live = sys.stdout.isatty() and not is_quiet
        self._shows_usage = shows_usage or sys.stderr.isatty()
        self._speaker = ""
        self._streamed = ""
        self._said: list[str] = []
        self._held: MessageFinished | None = None
        self._needs_gap = False

    def show(self, event: Event) -> None:
        self.summary.add(event)
        if self._output.form == "jsonl":
            self._output.line(encode_event(event))
        elif self._output.form == "text":
            self._show(event)

    def pause(self) -> None:
        """Gives the terminal to somebody else."""
        self._show_held()
        self._words.close()

    def close(self) -> None:
        """Ends what is being drawn. Harmless when called twice."""
        self._words.close()

    def _show(self, event: Event) -> None:
        match event:
            case RunStarted():
                self._begin(event)
            case ThinkingArrived(text=text, agent=agent):
                if self._is_live:
                    self._turn_to(agent)
                self._words.think(text)
            case TextArrived(text=text) if text and self._says_all:
                self._stream(event)
            case MessageFinished():
                self._end_message(event)
            case ToolCallRequested() | ApprovalGiven() | ToolFinished():
                self._show_call(event)
            case WarningRaised(message=message):
                self._show_held()
                self._words.aside()
                self._output.warning(message)
            case ErrorRaised():
                self._words.close()
            case RunFinished():
                self._end(event)

    @property
    def _says_all(self) -> bool:
        """Whether what is said goes to stdout as it comes, be it an answer or not."""
        return (self._is_live or self.is_conversation) and not self._is_quiet

    def _begin(self, event: RunStarted) -> None:
        self._speaker = "" if self.is_conversation else event.agent or ""
        if event.reason:
            who = f"{event.agent}, " if event.agent else ""
            self._output.note(f"{who}{event.model} ({event.backend}): {event.reason}")

    def _stream(self, event: TextArrived) -> None:
        if not self._streamed:
            self._begin_message(event.agent)
        self._streamed += event.text
        self._words.say(event.text)

    def _end_message(self, event: MessageFinished) -> None:
        self._show_held()
        if not self._streamed and self.is_conversation and self._says_all:
            self._begin_message(event.agent)
            self._words.say(event.content)
            self._streamed = event.content
        if self._streamed:
            self._said.append(event.content.strip())
        else:
            # Only what follows tells whether it was the answer.
            self._held = event
        self._words.close()
        self._streamed = ""

    def _begin_message(self, agent: str | None) -> None:
        if not self._turn_to(agent):
            self._gap()
        self._needs_gap = True

    def _turn_to(self, agent: str | None) -> bool:
        """Says on stdout who has the word; False when that has not changed."""
        if not agent or agent == self._speaker:
            return False
        self._gap()
        self._speaker = agent
        if self._output.is_rich:
            from rich.text import Text

            self._output.console().print(Text(f"── {agent} ──", style="bold magenta"))
        else:
            self._output.line(f"{agent}:")
        return True

    def _gap(self) -> None:
        """An empty line between what is there and what comes."""
        self._words.close()
        if self._needs_gap:
            self._output.text("\n")
        self._needs_gap = False

    def _show_held(self) -> None:
        """What was said on the way is no answer."""
        if self._held is None:
            return
        self._words.aside()
        agent, text = self._held.agent, self._held.content.rstrip()
        self._output.note(text if agent in ("", self._speaker) else f"{agent}: {text}")
        self._held = None

    def _show_call(self, event: ToolCallRequested | ApprovalGiven | ToolFinished) -> None:
        self._show_held()
        self._words.close()
        call = self.summary.log.calls[event.call_id]
        if isinstance(event, ToolCallRequested):
            if self._is_live:
                self._turn_to(event.agent)
            line = call_line(call.tool, call.args)
            is_told = call.agent in ("", self._speaker)
            self._output.to_stderr(line if is_told else f"{call.agent} {line}", _CYAN)
        elif isinstance(event, ToolFinished):
            self._show_result(call)
        elif not event.by.startswith(_BY_POLICY):
            self._output.note(f"  {'allowed' if event.approved else 'denied'} by the {event.by}")
        self._needs_gap |= self._is_live

    def _show_result(self, call: CallRecord) -> None:
        self._output.to_stderr(result_line(call), _DIM if call.error is None else _RED)
        for line in folded(call.result or ""):
            self._output.note(f"    {line}")
        for name in call.files:
            self._output.note(f"  wrote {name}")

    def _end(self, event: RunFinished) -> None:
        self._words.close()
        answer = event.answer.strip()
        if self._held is not None and self._held.content.strip() != answer:
            self._show_held()
        self._held = None
        if answer and not self._is_quiet and not self._was_said(answer):
            self._gap()
            self._words.say(event.answer)
            self._words.close()
        self._show_end(event)

    def _was_said(self, answer: str) -> bool:
        """On stdout, where it need not stand twice."""
        if self.is_conversation:
            return any(answer in each for each in self._said)
        return self._said[-1:] == [answer]

    def _show_end(self, event: RunFinished) -> None:
        usage = self.summary.usage_sum
        if self._shows_usage and usage.rounds:
            self._output.note(f"run {event.run_id} · {usage.line()}")
        if event.status in ("failed", "cancelled") and usage.rounds:
            self._output.note(f"to go on: agentctl runs resume {event.run_id}")


def run_data(summary: AgentSummary) -> JsonObject:
    """The run as `--json` gives it."""
    started, finished = summary.started, summary.finished
    usage = summary.usage_sum
    return {
        "run_id": started.run_id if started else "",
        "agent": (started.agent if started else None) or "",
        "status": finished.status if finished else "failed",
        "answer": summary.answer,
        "rounds": usage.rounds,
        "messages": messages_data(summary),
        "tool_calls": calls_data(summary),
        "usage": usage.data(),
    }


def messages_data(summary: AgentSummary) -> list[Json]:
    return [
        {"agent": each.agent, "role": each.role, "content": each.content}
        for each in summary.messages
    ]


def calls_data(summary: AgentSummary) -> list[Json]:
    return [
        {
            "tool": call.tool,
            "args": call.args,
            "approved": call.approved,
            "result": call.result,
            "error": call.error,
            "took_ms": call.took_ms,
        }
        for call in summary.calls
    ]
