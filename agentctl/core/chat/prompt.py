"""Prompts as a model sees them: named, fenced context first, the question last."""

import re
from collections.abc import Iterable

from agentctl.core.backends.base import Message
from agentctl.core.chat.attachments import Attachment


def user_message(prompt: str, attachments: Iterable[Attachment] = ()) -> Message:
    """One user turn. Images travel beside the text, named in it in their order."""
    attachments = tuple(attachments)
    blocks = [fenced(a.name, a.text) for a in attachments if a.text is not None]
    images = [a for a in attachments if a.image is not None]
    blocks += [f"Image {number}: {a.name}" for number, a in enumerate(images, 1)]
    if prompt:
        blocks.append(prompt)
    return Message("user", "\n\n".join(blocks), tuple(a.image for a in images if a.image))


def fenced(name: str, text: str) -> str:
    """`text` under its name, between fences longer than any inside it: it cannot break out."""
    longest = max((len(run) for run in re.findall("`{3,}", text)), default=2)
    fence = "`" * (longest + 1)
    name = name.replace("\n", " ").replace("`", "'")
    return f"{name}:\n{fence}\n{text.rstrip()}\n{fence}"
