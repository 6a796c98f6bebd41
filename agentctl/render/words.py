"""Words as they arrive: text on stdout, Markdown where that is a terminal; thinking on stderr."""

from typing import TYPE_CHECKING

from agentctl.render.output import Output

if TYPE_CHECKING:
    from agentctl.render.markdown import MarkdownStream


class WordStream:
    """Draws what a model says and thinks. Whoever writes something else calls `aside` before."""

    def __init__(self, output: Output) -> None:
        self._output = output
        self._markdown: MarkdownStream | None = None
        self._is_thinking = False
        self._ends_in_newline = True

    def think(self, text: str) -> None:
        if not self._is_thinking:
            self.aside()
        self._is_thinking = True
        self._output.dim(text)

    def say(self, text: str) -> None:
        if self._is_thinking:
            self.aside()
        if self._output.is_rich:
            if self._markdown is None:
                from agentctl.render.markdown import MarkdownStream

                self._markdown = MarkdownStream(self._output.console())
            self._markdown.feed(text)
        else:
            self._output.text(text)
            self._ends_in_newline = text.endswith("\n")

    def aside(self) -> None:
        """Before anything else than thinking is written."""
        if self._markdown is not None:
            self._markdown.suspend()
        if self._is_thinking:
            self._is_thinking = False
            self._output.dim("\n\n")

    def close(self) -> None:
        """Ends what is being said; more may follow. Harmless when called twice."""
        self.aside()
        if self._markdown is not None:
            self._markdown.close()
            self._markdown = None
        if not self._ends_in_newline:
            self._output.text("\n")
            self._ends_in_newline = True
