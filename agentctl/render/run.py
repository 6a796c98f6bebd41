"""A run's events, shown as they happen: words on stdout, all else on stderr."""

from dataclasses import asdict, dataclass
from pathlib import Path

from agentctl.core.events import (
    ErrorRaised,
    Event,
    RunFinished,
    RunStarted,
    SourcesFound,
    TextArrived,
    ThinkingArrived,
    UsageMeasured,
    WarningRaised,
    encode_event,
)
from agentctl.core.jsontypes import JsonObject
from agentctl.core.knowledge.citations import cited_sources, sources_heading
from agentctl.core.sources import Source
from agentctl.render.output import Output
from agentctl.render.words import WordStream

EXIT_CODES = {"done": 0, "timeout": 124, "max_rounds": 124, "denied": 77, "cancelled": 130}


@dataclass(slots=True)
class RunSummary:
    """What is known of a run when it has ended."""

    started: RunStarted | None = None
    usage: UsageMeasured | None = None
    error: ErrorRaised | None = None
    finished: RunFinished | None = None
    warnings: tuple[str, ...] = ()
    given: tuple[Source, ...] = ()

    @property
    def sources(self) -> tuple[Source, ...]:
        """The passages that the answer cites; all that were given when it cites none."""
        return cited_sources(self.answer, self.given) if self.answer else ()

    @property
    def answer(self) -> str:
        return self.finished.answer if self.finished is not None else ""

    @property
    def exit_code(self) -> int:
        if self.error is not None:
            return self.error.exit_code
        return EXIT_CODES.get(self.finished.status, 1) if self.finished is not None else 1

    def add(self, event: Event) -> None:
        match event:
            case RunStarted():
                self.started = event
            case UsageMeasured():
                self.usage = event
            case ErrorRaised():
                self.error = event
            case RunFinished():
                self.finished = event
            case WarningRaised():
                self.warnings += (event.message,)
            case SourcesFound():
                self.given = event.sources


class RunPrinter:
    """Shows events in the form of `output`.

    With `is_quiet` no words are shown while they stream, nor sources: whoever asked prints the
    answer in another form at the end. Paths below `folder` are shown as they are called there.
    """

    def __init__(
        self, output: Output, folder: Path, *, is_quiet: bool = False, shows_usage: bool = False
    ) -> None:
        self._output = output
        self._folder = folder
        self._summary = RunSummary()
        self._is_quiet = is_quiet or output.form == "json"
        self._shows_usage = shows_usage
        self._words = WordStream(output)

    def show(self, event: Event) -> None:
        if self._output.form == "jsonl":
            self._output.line(encode_event(event))
            return
        self._summary.add(event)
        match event:
            case RunStarted(reason=reason, model=model, backend=backend):
                if reason and self._output.form == "text":
                    self._output.note(f"{model} ({backend}): {reason}")
            case ThinkingArrived(text=text) if not self._is_quiet:
                self._words.think(text)
            case TextArrived(text=text) if text and not self._is_quiet:
                self._words.say(text)
            case WarningRaised(message=message):
                self._words.aside()
                self._output.warning(message)
            case UsageMeasured() | ErrorRaised():
                self.close()
            case RunFinished():
                self.close()
                self._show_end()

    def close(self) -> None:
        """Ends what is being drawn. Harmless when called twice."""
        self._words.close()

    def _show_end(self) -> None:
        if self._summary.sources and not self._is_quiet:
            from agentctl.render.sources import show_sources

            heading = sources_heading(self._summary.answer, self._summary.sources)
            if heading:
                self._output.note(heading)
            show_sources(self._output, self._summary.sources, self._folder)
        if self._summary.usage is not None and self._shows_usage:
            self._output.note(usage_line(self._summary.usage))


def answer_data(summary: RunSummary, answer: str) -> JsonObject:
    """An answer as `ask --json` gives it."""
    started = summary.started
    return {
        "answer": answer,
        "model": started.model if started else "",
        "backend": started.backend if started else "",
        "session": started.session if started else None,
        "sources": [asdict(source) for source in summary.sources],
        "usage": _counts(summary.usage),
        "warnings": [*summary.warnings],
    }


def _counts(usage: UsageMeasured | None) -> JsonObject:
    """Of an answer that broke off nothing was counted."""
    names = (
        "prompt_tokens",
        "completion_tokens",
        "ttft_ms",
        "total_ms",
        "tokens_per_s",
        "context_window",
        "truncated_tokens",
    )
    return {name: getattr(usage, name, 0) for name in names}


def usage_line(usage: UsageMeasured) -> str:
    used = usage.prompt_tokens + usage.completion_tokens
    share = used / usage.context_window if usage.context_window else 0
    line = (
        f"{usage.prompt_tokens:,} + {usage.completion_tokens:,} tokens · first after "
        f"{usage.ttft_ms / 1000:.2f} s · {usage.tokens_per_s:.1f} tokens/s · "
        f"context {used:,}/{usage.context_window:,} ({share:.0%})"
    )
    if usage.truncated_tokens:
        line += f" · {usage.truncated_tokens:,} tokens left out"
    return f"{line} · {usage.device}" if usage.device else line
