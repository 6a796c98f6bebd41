"""Charts that fill a place, in the dashboard's colours."""

import re
from collections.abc import Sequence

from rich.style import Style
from rich.text import Text
from textual.widget import Widget

from agentctl.render.charts import Series, grid

_LINE = re.compile(r"[\u2801-\u28ff]+")
# Below so many lines a chart says more when there are only four of them.
_LINES_FOR_ALL = 18


class Charts(Widget):
    """As many as there is room for; drawn anew in another size."""

    DEFAULT_CSS = """
    Charts { color: $foreground; }
    """

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002 - Textual's
        super().__init__(id=id)
        self._series: Sequence[Series] = ()
        self._span_s = 60.0

    @property
    def series(self) -> Sequence[Series]:
        return self._series

    def show(self, series: Sequence[Series], span_s: float) -> None:
        """The last `span_s` seconds of each."""
        self._series, self._span_s = series, span_s
        self.refresh()

    def render(self) -> Text:
        width, height = self.size
        shown = self._series if height >= _LINES_FOR_ALL else self._series[:4]
        lines = grid(shown, width, height, span_s=self._span_s, colour=True)
        text = Text.from_ansi("\n".join(lines), no_wrap=True)
        titles = [span for span in text.spans if isinstance(span.style, Style) and span.style.bold]
        colours = self.app.theme_variables
        text.stylize(Style(color=colours["foreground"], dim=True))
        for title in titles:
            text.stylize(Style(color=colours["foreground"], dim=False), title.start, title.end)
        text.highlight_regex(_LINE, Style(color=colours["primary"], dim=False))
        return text
