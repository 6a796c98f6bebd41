"""The process that parses what strangers made: it reads files from its parent until that ends."""

import faulthandler
import os
import sys
from typing import BinaryIO

from agentctl.core.errors import InputUnreadable
from agentctl.core.knowledge.loaders.frames import LoadAnswer, LoadRequest, read_frame, write_frame
from agentctl.core.knowledge.loaders.reading import load_document
from agentctl.core.knowledge.loaders.registry import loader_for, sample
from agentctl.core.knowledge.loaders.text import TextLoader

# What may come in one message; the parent has checked the file's size.
_LARGEST_FRAME = 1 << 40


def serve(arguments: list[str]) -> int:
    """Answers on what is stdout until stdin ends. `arguments`: the memory limit in bytes."""
    requests, answers = _take_streams()
    _limit_memory(int(arguments[0]))
    while (request := read_frame(requests, _LARGEST_FRAME)) is not None:
        data = read_frame(requests, _LARGEST_FRAME)
        if data is None:
            break
        write_frame(answers, _answer(request, data))
    return 0


def _answer(request: bytes, data: bytes) -> bytes:
    import msgspec

    asked = msgspec.json.decode(request, type=LoadRequest)
    # A parent that was killed cannot stop this process: then this ends it, whatever it does.
    faulthandler.dump_traceback_later(asked.limits.seconds + 1, exit=True)
    try:
        # The parent has found the same one.
        loader = loader_for(asked.name, sample(data)) or TextLoader()
        answer = LoadAnswer(document=load_document(loader, data, asked.name, asked.limits))
    except InputUnreadable as error:
        answer = LoadAnswer(slug=error.slug, message=error.message, hint=error.hint)
    finally:
        faulthandler.cancel_dump_traceback_later()
    return msgspec.json.encode(answer)


def _take_streams() -> tuple[BinaryIO, BinaryIO]:
    """stdin and stdout for the messages alone: what a library prints goes nowhere."""
    requests, answers = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    nowhere = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):
        os.dup2(nowhere, stream)
    return requests, answers


def _limit_memory(size: int) -> None:
    """Where the system can: allocations fail then. Elsewhere the parent watches."""
    if sys.platform != "win32":
        import resource

        try:
            resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
            resource.setrlimit(resource.RLIMIT_AS, (size, size))
        except (OSError, ValueError):
            pass
