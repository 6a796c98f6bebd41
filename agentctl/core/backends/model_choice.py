"""Which of Ollama's models "auto" takes."""

import re
from collections.abc import Callable, Sequence

from agentctl.core.backends.ollama_server import InstalledModel
from agentctl.core.hardware import Fit, gpus, memory, model_fits

_EMBEDDING_NAME = re.compile(r"embed|minilm|rerank|\b(bge|gte|e5)\b", re.IGNORECASE)


def choose_chat_model(
    models: Sequence[InstalledModel],
    *,
    allow_cloud: bool,
    measure: Callable[[int], Fit] | None = None,
) -> InstalledModel | None:
    """The chat model with the most parameters that fits, the newer one of equals.

    One that runs here comes before any that runs elsewhere. `measure` tells whether a size
    (bytes) fits, by default this machine's memory, which is only looked at when there is a choice.
    """
    chat = [model for model in models if is_chat(model) and (allow_cloud or not model.is_remote)]
    if len(chat) > 1:
        fits = measure or measure_here()
        chat = [model for model in chat if model.is_remote or fits(model.size) != "no"]
    return max(
        chat,
        key=lambda model: (not model.is_remote, model.parameters or 0.0, model.modified),
        default=None,
    )


def is_chat(model: InstalledModel) -> bool:
    """By its capabilities, or by its name where the server is too old to tell."""
    if model.capabilities:
        return "completion" in model.capabilities
    return not _EMBEDDING_NAME.search(model.name)


def measure_here() -> Callable[[int], Fit]:
    """Tells whether a model of so many bytes fits what this machine has free now."""
    free, cards = memory(), gpus()
    return lambda size: model_fits(size, free, cards)
