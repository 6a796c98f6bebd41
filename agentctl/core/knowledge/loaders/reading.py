"""The one edge where loaders end: every failure is an error of ours, every document is sound."""

import re
from dataclasses import replace

from agentctl.core.errors import AgentctlError, InputHostile, InputTooLarge, InputUnreadable
from agentctl.core.files import well_formed
from agentctl.core.knowledge.documents import Document
from agentctl.core.knowledge.loaders.base import Loader, ReadLimits

# One for one, so that sections stay where they are: NULs and halves of surrogate pairs.
_NO_TEXT = re.compile("[\0\ud800-\udfff]")
_CHECK = "check that it opens in the program that made it"


def load_document(loader: Loader, data: bytes, name: str, limits: ReadLimits) -> Document:
    """What the loader makes of the file, as text that can be stored.

    Raises:
        InputUnreadable: the file is damaged, or not what it claims to be.
        InputEncrypted, InputHostile: as the loader says, or the memory was not enough.
        InputTooLarge: its text is over the limit.
    """
    name = well_formed(name)
    try:
        document = loader.load(data, name)
    except AgentctlError:
        raise
    except MemoryError:
        raise out_of_memory(name, limits) from None
    except RecursionError:
        raise InputUnreadable(f"{name} is nested too deeply to be read", _CHECK) from None
    except Exception as error:  # noqa: BLE001 - parsers of hostile input raise anything
        reason = " ".join(f"{type(error).__name__}: {error}".split())[:200]
        raise InputUnreadable(f"{name} could not be read ({well_formed(reason)})", _CHECK) from None
    if len(document.text) > limits.file_bytes:
        raise too_large(name, len(document.text), limits)
    return replace(
        document,
        text=_NO_TEXT.sub("\ufffd", document.text),
        title=_NO_TEXT.sub("\ufffd", document.title),
        sections=tuple(
            replace(
                section, heading=tuple(_NO_TEXT.sub("\ufffd", each) for each in section.heading)
            )
            if section.heading
            else section
            for section in document.sections
        ),
    )


def too_large(name: str, size: int, limits: ReadLimits) -> InputTooLarge:
    return InputTooLarge(
        f"{name} is larger than {limits.file_bytes:,} bytes",
        f"agentctl config set knowledge.file_bytes {size}",
    )


def out_of_memory(name: str, limits: ReadLimits) -> InputHostile:
    return InputHostile(
        f"reading {name} takes more than {limits.memory_bytes:,} bytes of memory",
        f"agentctl config set knowledge.file_memory {2 * limits.memory_bytes}",
    )
