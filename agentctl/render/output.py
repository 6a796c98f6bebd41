"""Where a command's output goes, and in which form.

Data goes to stdout, all else to stderr. A form is rich on a terminal, plain in a pipe, one JSON
object with `--json`, one a line with `--jsonl`.
"""

import json
import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TextIO, TypeAlias

from agentctl.core.errors import AgentctlError, StorageError
from agentctl.render import console

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Column

SCHEMA_VERSION = 1
Form: TypeAlias = Literal["text", "json", "jsonl"]
# What a terminal would obey: everything below space but tab and newline, DEL, and C1.
_CONTROLS = {**dict.fromkeys([*range(9), *range(11, 32), *range(127, 160)], "\ufffd"), 13: ""}


@dataclass(frozen=True, slots=True)
class Output:
    """The output of one command. `plain`: no boxes, no colours, no animation anywhere."""

    command: str
    form: Form = "text"
    plain: bool = False

    @property
    def is_rich(self) -> bool:
        """Whether stdout is a terminal that may be drawn on."""
        return self.form == "text" and self._may_draw(sys.stdout)

    @property
    def is_rich_error(self) -> bool:
        return self._may_draw(sys.stderr)

    def data(self, data: object) -> None:
        """A command's result in the envelope of `--json`."""
        self.line(_envelope(self.command, "data", data))

    def line(self, text: str) -> None:
        """One line of data."""
        self.text(text + "\n")

    def text(self, text: str) -> None:
        """Data, as it is in a pipe, without control characters on a terminal."""
        sys.stdout.write(printable(text) if sys.stdout.isatty() else text)
        sys.stdout.flush()

    def note(self, text: str) -> None:
        """Something to know that is not data."""
        self.to_stderr(text, "2")

    def warning(self, text: str) -> None:
        """What is not quite right; a program that reads JSON finds it in the data."""
        if self.form != "text":
            return
        self.to_stderr(f"warning: {text}", "33")

    def dim(self, text: str) -> None:
        """A piece of something said aside, such as thinking."""
        self.to_stderr(text, "2", end="")

    def error(self, error: AgentctlError) -> None:
        self.problem(error.slug, error.message, error.hint)

    def problem(self, code: str, message: str, hint: str) -> None:
        """What is wrong, then the mend."""
        if self.form == "text":
            self.to_stderr(f"error: {message}", "31")
            if hint:
                self.to_stderr(f"  try: {hint}", "2")
            return
        error = {"code": code, "message": message, "hint": hint}
        sys.stderr.write(_envelope(self.command, "error", error) + "\n")

    def traceback(self, error: Exception) -> None:
        import traceback

        sys.stderr.write("".join(traceback.format_exception(error)))

    def table(self, columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
        """Aligned columns on a terminal, tab-separated values in a pipe."""
        if not self.is_rich:
            for row in rows:
                self.line("\t".join(cell.replace("\t", " ").replace("\n", " ") for cell in row))
            return
        from rich import box
        from rich.table import Table
        from rich.text import Text

        table = Table(*columns, box=box.SIMPLE_HEAD, pad_edge=False)
        for row in rows:
            table.add_row(*(Text(printable(cell)) for cell in row))
        console = self.console()
        if table.columns:
            keep_whole(table.columns[0], console.width)
        console.print(table)

    def fields(self, values: Mapping[str, str]) -> None:
        """Names and values, one a line."""
        width = max(map(len, values), default=0)
        for name, value in values.items():
            self.line(f"{name:<{width}}  {value}" if self.is_rich else f"{name}\t{value}")

    def console(self) -> "Console":
        """rich's console over stdout."""
        from rich.console import Console

        return Console(highlight=False)

    def to_stderr(self, text: str, style: str = "", end: str = "\n") -> None:
        """`style` is what stands between ESC[ and m, for terminals that show colours."""
        text = printable(text)
        if style and self.is_rich_error and not os.environ.get("NO_COLOR"):
            text = f"\x1b[{style}m{text}\x1b[0m"
        sys.stderr.write(text + end)
        sys.stderr.flush()

    def _may_draw(self, stream: TextIO) -> bool:
        return (
            not self.plain
            and console.is_terminal(stream)
            and os.environ.get("TERM") != "dumb"
            and console.obeys_sequences(stream)
        )


def refusal_of_stdout() -> StorageError | None:
    """Why what is buffered for stdout cannot be written, as on a full disk; it is given up then."""
    try:
        sys.stdout.flush()
    except OSError as error:
        discard_stdout()
        return StorageError(
            f"stdout cannot be written: {error.strerror}",
            "free some disk space, or write elsewhere",
        )
    return None


def discard_stdout() -> None:
    """What is still buffered must not raise at the program's end."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def keep_whole(column: "Column", width: int) -> None:
    """No terminal is so narrow that what is to be typed again is shortened, as names and ids are.

    Where half of the terminal will not do, it goes on in the next line.
    """
    from rich.cells import cell_len

    longest = max((cell_len(str(cell)) for cell in (column.header, *column.cells)), default=0)
    column.min_width = min(longest, width // 2)
    column.overflow = "fold"


def printable(text: str) -> str:
    """`text` with what a terminal would obey shown as U+FFFD; tabs and newlines stay.

    Carriage returns go: many a line ends in one.
    """
    return text.translate(_CONTROLS)


def is_terminal_in() -> bool:
    """Whether there is somebody to ask."""
    return console.is_terminal(sys.stdin) and console.is_terminal(sys.stderr)


def human_size(size: int | None) -> str:
    """Bytes as people read them: 93.8 MB."""
    if size is None:
        return "-"
    number = float(size)
    units = ["B", "kB", "MB", "GB", "TB"]
    while number >= 1000 and len(units) > 1:
        number /= 1000
        units.pop(0)
    return f"{size} B" if units[0] == "B" else f"{number:.1f} {units[0]}"


def prepare_streams() -> None:
    """Makes pipes carry UTF-8 on every platform, and nothing that cannot be printed raise."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            # Closed by whoever started the program: what is written there goes nowhere.
            setattr(sys, name, Path(os.devnull).open("w", encoding="utf-8"))  # noqa: SIM115 - stays
        elif hasattr(stream, "reconfigure"):
            stream.reconfigure(encoding=None if stream.isatty() else "utf-8", errors="replace")


def _envelope(command: str, key: Literal["data", "error"], value: object) -> str:
    document = {"schema_version": SCHEMA_VERSION, "command": command, key: value}
    return json.dumps(document, ensure_ascii=False, default=_to_json)


def _to_json(value: object) -> object:
    import msgspec

    return msgspec.to_builtins(value)
