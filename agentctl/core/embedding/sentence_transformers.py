"""Any model of the sentence-transformers library, by its name on the hub or its folder.

It computes in bfloat16 where the CPU does so natively, which moves the vectors by less than
0.001 of cosine. On a CPU each thread works on a batch of its own: threads on one batch wait for
each other at every step, which is worst where other programs run, too.
"""

import hashlib
import threading
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from agentctl.core.backends.llama_cpp import count_cores
from agentctl.core.embedding.base import EmbedderProfile
from agentctl.core.embedding.prefixes import Prefixes, prefixes_of
from agentctl.core.embedding.word_pieces import well_formed
from agentctl.core.errors import BackendFailed, ConfigError, ModelNotFound

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer
    from tokenizers import Tokenizer

    from agentctl.core.embedding.base import Vectors

# Larger batches wait for memory, smaller ones for Python.
_BATCH = 8
# A model may see more, but nobody embeds that at once.
_MOST_TOKENS = 2048
_USUAL_TOKENS = 512
# Weights of each layer that tell two versions of a model apart.
_SAMPLE = 64


class _Loaded(NamedTuple):
    profile: EmbedderProfile
    model: "SentenceTransformer"
    tokenizer: "Tokenizer"
    workers: int


class SentenceTransformersEmbedder:
    """An `Embedder` that is loaded at its first use, which takes seconds.

    A model that is not on this machine is downloaded, unless HF_HUB_OFFLINE is set.

    Args:
        name: on the hub (`BAAI/bge-small-en-v1.5`), or a folder.
        threads: to compute with; 0 for as many as there are cores.
    """

    def __init__(self, name: str, *, threads: int = 0) -> None:
        self._name = name
        self._threads = threads
        self._loading = threading.Lock()
        self._loaded: _Loaded | None = None

    def profile(self) -> EmbedderProfile:
        """Loads the model.

        Raises:
            ConfigError: the library is not installed.
            ModelNotFound: the model cannot be loaded; the message says why.
        """
        return self._load().profile

    def token_starts(self, text: str) -> Sequence[int]:
        encoding = self._load().tokenizer.encode(well_formed(text), add_special_tokens=False)
        return [start for start, _ in encoding.offsets]

    def embed_passages(self, texts: Sequence[str]) -> "Vectors":
        from concurrent.futures import ThreadPoolExecutor

        import numpy as np

        profile, model, _, workers = self._load()
        prefixed = [profile.passage_prefix + text for text in texts]
        # Texts of a batch are filled up to its longest.
        order = sorted(range(len(prefixed)), key=lambda index: -len(prefixed[index]))
        batches = [order[at : at + _BATCH] for at in range(0, len(order), _BATCH)]
        vectors = np.empty((len(prefixed), profile.dimensions), np.float32)

        def embed(batch: list[int]) -> None:
            vectors[batch] = _embed(model, [prefixed[index] for index in batch])

        with ThreadPoolExecutor(workers) as pool:
            for _ in pool.map(embed, batches):
                pass
        return vectors

    def embed_query(self, text: str) -> "Vectors":
        profile, model, *_ = self._load()
        query: Vectors = _embed(model, [profile.query_prefix + text])[0]
        return query

    def close(self) -> None:
        self._loaded = None

    def _load(self) -> _Loaded:
        with self._loading:
            loaded = self._loaded
            if loaded is None:
                model = _open_model(self._name)
                workers = _share_threads(model, self._threads)
                tokenizer = _bare_tokenizer(model)
                loaded = _Loaded(self._describe(model), model, tokenizer, workers)
                self._loaded = loaded
            return loaded

    def _describe(self, model: "SentenceTransformer") -> EmbedderProfile:
        longest = min(model.max_seq_length or _USUAL_TOKENS, _MOST_TOKENS)
        model.max_seq_length = longest
        prompts = model.prompts
        prefixes = Prefixes(
            prompts.get("query") or "", prompts.get("document") or prompts.get("passage") or ""
        )
        # Many models say on their card only what they want.
        prefixes = prefixes if any(prefixes) else prefixes_of(self._name)
        return EmbedderProfile(
            name=f"sentence-transformers:{self._name}",
            revision=_fingerprint(model),
            dimensions=_embed(model, ["."]).shape[1],
            max_tokens=longest - model.tokenizer.num_special_tokens_to_add(),
            query_prefix=prefixes.query,
            passage_prefix=prefixes.passage,
        )


def _open_model(name: str) -> "SentenceTransformer":
    try:
        import torch
        from huggingface_hub.utils import disable_progress_bars
        from sentence_transformers import SentenceTransformer
        from sentence_transformers.util import get_device_name
        from transformers.utils import logging
    except ImportError as error:
        raise ConfigError(
            f"knowledge.embedder wants sentence-transformers, which is not installed ({error})",
            "pip install 'agentctl[sentence-transformers]'",
        ) from None
    # The terminal belongs to agentctl.
    disable_progress_bars()
    logging.disable_progress_bar()
    logging.set_verbosity_error()
    device = get_device_name()
    options = {"dtype": torch.bfloat16} if device == "cpu" and computes_in_bf16() else {}
    problem = ""
    # The hub is asked for what is not here only.
    for local_files_only in (True, False):
        try:
            return SentenceTransformer(
                name, device=device, model_kwargs=options, local_files_only=local_files_only
            )
        except Exception as error:  # noqa: BLE001 - the library raises whatever its parts do
            problem = " ".join(str(error).split())[:300]
    raise ModelNotFound(
        f"sentence-transformers cannot load {name}: {problem}",
        "check the name at https://huggingface.co/models, or: agentctl config set"
        " knowledge.embedder built-in",
    )


def _share_threads(model: "SentenceTransformer", threads: int) -> int:
    """How many batches are worked on at once."""
    import torch

    if model.device.type != "cpu":
        return 1
    torch.set_num_threads(1)
    return threads or count_cores()


def computes_in_bf16() -> bool:
    """Whether the CPU has instructions for bfloat16."""
    import torch

    checks = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")
    return any(getattr(torch.cpu, check, bool)() for check in checks)


def _bare_tokenizer(model: "SentenceTransformer") -> "Tokenizer":
    """A copy that neither cuts nor fills up, for the model sets its own to do both."""
    from tokenizers import Tokenizer

    backend = getattr(model.tokenizer, "backend_tokenizer", None)
    if backend is None:
        raise ConfigError(
            "the model has no fast tokenizer",
            "agentctl config set knowledge.embedder built-in",
        )
    tokenizer = Tokenizer.from_str(backend.to_str())
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return tokenizer


def _embed(model: "SentenceTransformer", texts: Sequence[str]) -> "Vectors":
    import torch

    try:
        with torch.inference_mode():
            found = model.encode(
                list(map(well_formed, texts)),
                prompt="",
                batch_size=len(texts),
                convert_to_tensor=True,
                show_progress_bar=False,
            )
            unit = torch.nn.functional.normalize(found.float(), dim=1)
    except RuntimeError as error:
        reason = " ".join(str(error).split())[:300]
        raise BackendFailed(f"sentence-transformers cannot embed: {reason}") from None
    vectors: Vectors = unit.cpu().numpy()
    return vectors


def _fingerprint(model: "SentenceTransformer") -> str:
    """Of some weights of every layer, in the precision that all machines have in common."""
    import torch

    digest = hashlib.sha256()
    for name, weights in model.named_parameters():
        sample = weights.detach().flatten()[:_SAMPLE].to("cpu", torch.bfloat16)
        digest.update(name.encode())
        digest.update(sample.view(torch.int16).numpy().tobytes())
    return digest.hexdigest()[:16]
