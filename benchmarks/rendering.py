"""What it costs to render an answer while it streams on a terminal."""

import io
import time
from collections.abc import Iterator

from rich.console import Console

from agentctl.render.markdown import MarkdownStream
from benchmarks.equipment import Equipment
from benchmarks.rows import Row, at_most

TOKENS = 20_000
TOKENS_PER_S = 200
RUNS = 3
_SECTION = """\
## Step {n}

The first thing to know is that **streams** are read once, `piece` by piece, and that each
paragraph of an answer is a block of its own, which no later text can change.

```python
def step_{n}(values: list[int]) -> int:
    total = 0
    for value in values:
        total += value * {n}
    return total
```

- one thing to do
- another one, with *emphasis*

| name | value |
|---|---|
| step | {n} |

"""


def rows(_: Equipment) -> Iterator[Row]:
    for name, text in _texts().items():
        short, long = text(TOKENS), text(2 * TOKENS)
        costs = [(_cost(short), _cost(long)) for _ in range(RUNS)]
        # In turn, and the least of each: noise only adds.
        short_s, long_s = map(min, zip(*costs, strict=True))
        yield Row(
            name=f"CPU to render {2 * TOKENS:,} tokens / {TOKENS:,}: {name}",
            figure=f"{long_s / short_s:.2f} ({long_s:.1f} s / {short_s:.1f} s)",
            bars=(at_most(2.2, long_s / short_s),),
        )


def _texts():  # type: ignore[no-untyped-def]  # a table of functions
    def mixed(tokens: int) -> list[str]:
        text = "".join(_SECTION.format(n=n) for n in range(tokens // 100))
        return _tokens(text, tokens)

    def listing(tokens: int) -> list[str]:
        text = "```python\n" + "".join(f"value_{n} = {n} * 2\n" for n in range(tokens))
        return _tokens(text, tokens)

    def bullets(tokens: int) -> list[str]:
        return _tokens("".join(f"{n}. item number {n}\n" for n in range(1, tokens)), tokens)

    return {"a mixed answer": mixed, "one code listing": listing, "one list": bullets}


def _tokens(text: str, count: int) -> list[str]:
    """About four characters each, as a model's."""
    return [text[start : start + 4] for start in range(0, 4 * count, 4)]


def _cost(tokens: list[str]) -> float:
    """CPU seconds for a stream of `TOKENS_PER_S`, on a clock that is moved by hand."""
    now = 0.0
    console = Console(file=io.StringIO(), force_terminal=True, width=100, height=40)
    stream = MarkdownStream(console, lambda: now)
    started = time.process_time()
    for token in tokens:
        now += 1 / TOKENS_PER_S
        stream.feed(token)
    stream.close()
    return time.process_time() - started
