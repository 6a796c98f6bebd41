"""One line below the chat: which model, where it runs, how much it holds, how fast it is."""

from textual.widgets import Static

from agentctl.core.events import RunStarted, UsageMeasured
from agentctl.render.output import printable


class StatusLine(Static):
    """Shows what it is told; what there is no room for is cut at the end."""

    DEFAULT_CSS = """
    StatusLine {
        height: 1; padding: 0 1; color: $foreground 70%;
        text-wrap: nowrap; text-overflow: ellipsis;
    }
    """

    def __init__(self, id: str | None = None) -> None:  # noqa: A002 - Textual's
        super().__init__(markup=False, id=id)
        self.text = ""

    def show(
        self,
        *,
        state: str,
        who: str,
        session: str,
        started: RunStarted | None = None,
        usage: UsageMeasured | None = None,
    ) -> None:
        """`state` says what happens now, `who` is the model or agent that will answer next."""
        text = " · ".join(
            filter(None, (state, who, *_measures(started, usage), session and f"“{session}”"))
        )
        text = printable(text).replace("\n", " ")
        if text != self.text:
            self.text = text
            self.update(text)


def _measures(started: RunStarted | None, usage: UsageMeasured | None) -> list[str]:
    if usage is None:
        return [started.backend] if started is not None else []
    used = usage.prompt_tokens + usage.completion_tokens
    share = f"window {used / usage.context_window:.0%}" if usage.context_window else ""
    backend = started.backend if started is not None else ""
    return [
        usage.device or backend,
        share,
        f"{usage.tokens_per_s:.0f} tok/s",
        f"first {usage.ttft_ms / 1000:.2f} s",
    ]
