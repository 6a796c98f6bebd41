"""What runs inside of the sandbox: sets limits, then becomes a command, or runs blocks of code.

Standard library only and nothing of agentctl: it is started as a file by a bare interpreter
(`python -I -S`), in a frozen program by `agentctl --python-worker`. The code that it runs can do
whatever it can: the host believes nothing that it says.

Messages are lines of JSON, on what were stdin and stdout. The first one tells of tools, packages
and what to restore; each further one is a block, answered by calls of tools and one result.
"""

from __future__ import annotations

import os
import sys

# To import typing takes longer than all else that a command waits for.
TYPE_CHECKING = False
if TYPE_CHECKING:
    import ast
    from collections.abc import Callable, Iterator
    from traceback import TracebackException
    from typing import Any, NoReturn

_LONGEST_MESSAGE = 8_000_000
_LONGEST_ANSWER = 1_000_000
_LONGEST_TEXT = 20_000
_LARGEST_VARIABLES = 100_000
_LARGEST_DEFINITIONS = 200_000
_LONGEST_NAME = 100
_MOST_LOST = 1_000
_DEEPEST_VALUE = 50
_OWN_CODE = ("<block ", "<restored>", "<string>")


def main(arguments: list[str]) -> int:
    """`AS=1000,CPU=60 --serve`, or the limits, `--` and a command."""
    _limit(arguments[0])
    if getattr(sys, "frozen", False):
        # What the program told itself is not for what it starts.
        for name in [each for each in os.environ if each.startswith(("_PYI_", "LD_LIBRARY_"))]:
            del os.environ[name]
    if arguments[1] == "--serve":
        _serve()
    try:
        os.execvp(arguments[2], arguments[2:])  # noqa: S606 - a list, never a shell
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        os.write(2, f"{arguments[2]}: {reason}\n".encode("utf-8", "replace"))
        return 126 if isinstance(error, PermissionError) else 127


def _limit(limits: str) -> None:
    """For this process and all that it starts; none can raise them again."""
    if sys.platform == "win32":
        return
    import resource

    for each in filter(None, limits.split(",")):
        name, _, size = each.partition("=")
        kind = getattr(resource, f"RLIMIT_{name}", None)
        if kind is not None:
            _, most = resource.getrlimit(kind)
            value = int(size) if most == resource.RLIM_INFINITY else min(int(size), most)
            # A second later than the signal that says why, the process is killed.
            latest = value + 1 if name == "CPU" and most == resource.RLIM_INFINITY else value
            try:
                resource.setrlimit(kind, (value, latest))
            except (OSError, ValueError):
                continue


def _allow_cpu(seconds: int) -> None:
    """This many more seconds; a process that takes them ends."""
    if sys.platform == "win32":
        return
    import resource

    used = resource.getrusage(resource.RUSAGE_SELF)
    _, most = resource.getrlimit(resource.RLIMIT_CPU)
    allowed = int(used.ru_utime + used.ru_stime) + 1 + seconds
    soft = allowed if most == resource.RLIM_INFINITY else min(allowed, most)
    resource.setrlimit(resource.RLIMIT_CPU, (soft, most))


def _serve() -> NoReturn:
    from contextlib import suppress

    with suppress(OSError, EOFError):
        channel = _Channel()
        blocks = _Blocks(channel, channel.receive())
        while True:
            request = channel.receive()
            channel.run = request["run"]
            _allow_cpu(request["cpu_s"])
            result = blocks.execute(request["code"])
            channel.finish(result, request["mark"])
    # Threads of the code may be left, and what it wants to be done at the end.
    os._exit(0)


class _Channel:
    """The way to the host, for one thread at a time, and only while a block runs."""

    def __init__(self) -> None:
        import threading

        self.run: int | None = None
        self._requests = os.fdopen(os.dup(0), "rb")
        self._answers = os.fdopen(os.dup(1), "wb")
        self._printed = os.dup(2)
        self._lock = threading.RLock()
        self._process = os.getpid()
        with open(os.devnull, "rb") as nothing:  # noqa: PTH123 - imports less
            os.dup2(nothing.fileno(), 0)

    def receive(self) -> dict[str, Any]:
        import json

        line = self._requests.readline()
        if not line:
            raise EOFError
        message: dict[str, Any] = json.loads(line)
        return message

    def call(self, name: str, args: dict[str, Any]) -> str:
        """What the tool answers. Raises RuntimeError with what it says when it fails."""
        with self._lock:
            if os.getpid() != self._process:
                raise RuntimeError("tools can be called in the session's own process only")
            if self.run is None:
                raise RuntimeError("tools can be called while a block runs only")
            self._send({"kind": "call", "name": name, "args": args})
            answer = self.receive()
        if "error" in answer:
            raise RuntimeError(answer["error"])
        return str(answer["text"])

    def finish(self, result: dict[str, Any], mark: str) -> None:
        """The result, and behind all that was printed the mark that it is all."""
        if os.getpid() != self._process:
            # The code has forked and this is the child: one process answers.
            os._exit(0)
        with self._lock:
            os.write(self._printed, mark.encode())
            self._send({"kind": "result", **result})
            self.run = None

    def open_streams(self) -> None:
        """Fresh ones for each block: the last one may have closed them."""
        for number in (1, 2):
            os.dup2(self._printed, number)
        sys.stdout = self._printer(1)
        sys.stderr = self._printer(2)

    @staticmethod
    def _printer(number: int) -> Any:
        return open(number, "w", 1, encoding="utf-8", errors="backslashreplace", closefd=False)

    def _send(self, message: dict[str, Any]) -> None:
        import json

        text = json.dumps({**message, "run": self.run}, ensure_ascii=False, allow_nan=False)
        line = text.encode("utf-8", "replace") + b"\n"
        if len(line) > _LONGEST_MESSAGE:
            raise ValueError(f"{len(line):,} bytes are too many for one call")
        self._answers.write(line)
        self._answers.flush()


class _Answered(BaseException):
    """Ends a block whose answer is final."""


class _Blocks:
    """Runs blocks of code one after the other, in one namespace."""

    def __init__(self, channel: _Channel, setup: dict[str, Any]) -> None:
        import builtins
        import codeop
        import types

        sys.path += setup["packages"]
        self._channel = channel
        self._number = 0
        self._answer: str | None = None
        # Remembers what was imported from __future__.
        self._compile: Callable[..., Any] = codeop.Compile()
        # Where pickling and dataclasses look for what the code defines.
        sys.modules["__main__"] = types.ModuleType("__main__")
        self._names = vars(sys.modules["__main__"])
        self._names.update({"__builtins__": builtins, "final_answer": self._final_answer})
        for name, parameters in setup["tools"]:
            self._names[name] = _tool(channel, name, parameters)
        builtins.exit = builtins.quit = sys.exit  # type: ignore[assignment]  # as without -S
        self._given = dict(self._names)
        self._made: dict[str, tuple[str, dict[str, Any]]] = {}
        self._lost = [] if setup["restore"] is None else self._restore(setup["restore"])

    def execute(self, code: str) -> dict[str, Any]:
        """What the block came to, as the host is told."""
        from contextlib import suppress

        self._number += 1
        self._answer = None
        self._channel.open_streams()
        value = error = ""
        try:
            last = self._run(code, f"<block {self._number}>")
            value = "" if last is None else _clip(repr(last), _LONGEST_TEXT)
        except _Answered:
            pass
        except SystemExit as ended:
            error = "" if ended.code in (None, 0) else f"SystemExit: {ended.code}"
        except BaseException as raised:  # noqa: BLE001 - whatever the code raises is its result
            error = _explain(raised)
        with suppress(BaseException):
            sys.stdout.flush()
        lost, self._lost = self._lost, []
        return {
            "value": value,
            "error": _clip(error, _LONGEST_TEXT),
            "answer": self._answer,
            "state": self._state(),
            "unrestored": lost,
        }

    def _run(self, code: str, name: str) -> Any:
        """The value of the last statement, if that is an expression; else None."""
        import ast
        import linecache

        linecache.cache[name] = (len(code), None, code.splitlines(keepends=True), name)
        statements = ast.parse(code, name).body
        last = statements[-1] if statements else None
        value = None
        if isinstance(last, ast.Expr):
            statements.pop()
            value = self._compile(ast.Expression(last.value), name, "eval")
        steps = [(each, self._compile(ast.Module([each], []), name, "exec")) for each in statements]
        for statement, step in steps:
            exec(step, self._names)  # noqa: S102 - what this program is for
            self._remember(statement)
        return None if value is None else eval(value, self._names)  # noqa: S307 - likewise

    def _final_answer(self, value: Any) -> NoReturn:
        """Ends the block: this is the answer."""
        import json

        try:
            text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
        except (TypeError, ValueError):
            text = str(value)
        self._answer = _clip(str(text), _LONGEST_ANSWER)
        raise _Answered

    # What outlives the process.

    def _remember(self, statement: ast.stmt) -> None:
        """Keeps the source of what defines names, the latest for each name."""
        for key, source, names in _definitions(statement):
            made = {name: self._names[name] for name in names if name in self._names}
            self._made.pop(key, None)
            self._made[key] = (source, made)

    def _state(self) -> dict[str, Any]:
        definitions: list[str] = []
        defined = set(self._given)
        left = _LARGEST_DEFINITIONS
        for source, made in reversed(self._made.values()):
            names = {name for name, value in made.items() if self._names.get(name) is value}
            if names and len(source) <= left:
                left -= len(source)
                definitions.insert(0, source)
                defined |= names
        variables: dict[str, Any] = {}
        lost: list[str] = []
        left = _LARGEST_VARIABLES
        for name, value in self._names.copy().items():
            is_given = name in self._given and self._given[name] is value
            if is_given or (name in defined and name not in self._given) or name[:2] == "__":
                continue
            size = _plain_size(value, left)
            if size is None or len(name) > _LONGEST_NAME:
                lost.append(name[:_LONGEST_NAME])
            else:
                left -= size + len(name)
                variables[name] = value
        return {"definitions": definitions, "variables": variables, "lost": lost[:_MOST_LOST]}

    def _restore(self, saved: dict[str, Any]) -> list[str]:
        """Variables, then what may need them; the first lines of what fails."""
        self._channel.open_streams()
        self._names.update(saved["variables"])
        failed = []
        for source in saved["definitions"]:
            try:
                self._run(source, "<restored>")
            except BaseException:  # noqa: BLE001 - as above
                failed.append(source.partition("\n")[0])
        return failed


def _tool(channel: _Channel, name: str, parameters: list[str]) -> Callable[..., str]:
    def call(*values: Any, **named: Any) -> str:
        if len(values) > len(parameters):
            raise TypeError(f"{name}() takes {len(parameters)} arguments: {', '.join(parameters)}")
        args = dict(zip(parameters, values, strict=False))
        if twice := args.keys() & named.keys():
            raise TypeError(f"{name}() got {', '.join(sorted(twice))} twice")
        return channel.call(name, {**args, **named})

    call.__name__ = call.__qualname__ = name
    return call


def _definitions(statement: ast.stmt) -> Iterator[tuple[str, str, list[str]]]:
    """Of an import, a function or a class: a key, the source, and the names that it binds."""
    import ast

    if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        yield statement.name, ast.unparse(statement), [statement.name]
    elif isinstance(statement, ast.Import):
        for alias in statement.names:
            bound = alias.asname or alias.name.partition(".")[0]
            yield alias.asname or alias.name, ast.unparse(ast.Import([alias])), [bound]
    elif isinstance(statement, ast.ImportFrom):
        for alias in statement.names:
            one = ast.ImportFrom(statement.module, [alias], statement.level)
            bound = alias.asname or alias.name
            names = _exported(statement.module) if bound == "*" else [bound]
            yield f"{statement.module}.*" if bound == "*" else bound, ast.unparse(one), names


def _exported(module: str | None) -> list[str]:
    names = vars(sys.modules.get(module or "", sys))
    return [*names.get("__all__", [name for name in names if name[:1] != "_"])]


def _plain_size(value: Any, most: int) -> int | None:
    """Bytes of a value that JSON gives back as it was, if not more than `most`; else None."""
    import json

    budget = [most]
    try:
        if not _is_plain(value, budget, 0):
            return None
        size = len(json.dumps(value, ensure_ascii=False).encode())
    except (ValueError, RuntimeError):
        return None
    return size if size <= most else None


def _is_plain(value: Any, budget: list[int], depth: int) -> bool:
    """Spends `budget` on what it sees: a value that holds itself, or others often, has no end."""
    kind = type(value)
    budget[0] -= len(value) + 1 if kind in (str, list, dict) else 1
    if budget[0] < 0 or depth > _DEEPEST_VALUE:
        return False
    if kind is list:
        return all(_is_plain(each, budget, depth + 1) for each in value)
    if kind is dict:
        return all(
            type(key) is str and _is_plain(each, budget, depth + 1) for key, each in value.items()
        )
    if kind is int:
        return bool(abs(value) < 2**63)
    return kind in (str, bool, type(None)) or (kind is float and value - value == 0)


def _explain(error: BaseException) -> str:
    """The traceback, of which the code's own lines are shown."""
    import traceback

    try:
        report = traceback.TracebackException.from_exception(error)
        waiting: list[TracebackException | None] = [report]
        while waiting:
            if (each := waiting.pop()) is not None:
                own = [frame for frame in each.stack if frame.filename.startswith(_OWN_CODE)]
                each.stack = traceback.StackSummary.from_list(own)
                waiting += [each.__cause__, each.__context__, *(each.exceptions or [])]
        lines = report.format() if report.stack else report.format_exception_only()
        return "".join(lines).rstrip()
    except BaseException:  # noqa: BLE001 - an exception of the code's own making
        return type(error).__name__


def _clip(text: str, limit: int) -> str:
    if len(text) <= limit:
        return text
    kept = limit // 2
    return f"{text[:kept]}\n[… {len(text) - 2 * kept:,} characters left out …]\n{text[-kept:]}"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
