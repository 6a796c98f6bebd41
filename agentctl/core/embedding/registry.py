"""Names to embedders: what knowledge.embedder may say."""

from collections.abc import Mapping

from agentctl.core.config import Settings, nearest
from agentctl.core.embedding.base import Embedder
from agentctl.core.errors import ConfigError, ModelNotFound
from agentctl.core.paths import Paths, expand

BUILT_IN = "built-in"
_BACKENDS = ("sentence-transformers", "ollama", "openai", "embedded")


def profile_name(setting: str) -> str:
    """What a setting's value is called in profiles: a file's path has its backend in front."""
    is_file = setting.endswith(".gguf") and setting.partition(":")[0] not in _BACKENDS
    return f"embedded:{setting}" if is_file else setting


def check_name(name: str) -> None:
    """Raises ConfigError for what no embedder can be called."""
    backend, _, rest = profile_name(name).partition(":")
    if name != BUILT_IN and not (backend in _BACKENDS and rest):
        raise _unknown(name, backend, rest)


def open_embedder(
    name: str, settings: Settings, paths: Paths, environ: Mapping[str, str]
) -> Embedder:
    """The embedder of that name; nothing is loaded nor asked for before it is used.

    A name is `built-in`; or has its backend in front (`sentence-transformers:`, `ollama:`,
    `openai:`, `embedded:`); or is a path that ends in .gguf.

    Raises:
        ConfigError: no such name, or its backend is not set up.
        ModelNotFound: there is no such file.
    """
    check_name(name)
    backend, _, rest = profile_name(name).partition(":")
    if name == BUILT_IN:
        from agentctl.core.embedding.llama_cpp import built_in_embedder

        return built_in_embedder(settings.embedded.threads)
    if backend == "sentence-transformers":
        from agentctl.core.embedding.sentence_transformers import SentenceTransformersEmbedder

        return SentenceTransformersEmbedder(rest, threads=settings.embedded.threads)
    if backend == "embedded":
        return _open_file(rest, settings, paths)
    if backend == "ollama":
        return _open_ollama(rest, settings, paths, environ)
    return _open_openai(rest, settings, environ)


def _open_file(name: str, settings: Settings, paths: Paths) -> Embedder:
    from agentctl.core.embedding.llama_cpp import LlamaCppEmbedder

    file = name if name.endswith(".gguf") else f"{name}.gguf"
    places = (expand(file).absolute(), paths.models / file)
    path = next((path for path in places if path.is_file()), None)
    if path is None:
        raise ModelNotFound(
            f"there is no model file {name}", "agentctl config set knowledge.embedder built-in"
        )
    return LlamaCppEmbedder(path, f"embedded:{name}", threads=settings.embedded.threads)


def _open_ollama(
    name: str, settings: Settings, paths: Paths, environ: Mapping[str, str]
) -> Embedder:
    from agentctl.core.backends.model_servers import find_ollama
    from agentctl.core.backends.registry import Registry
    from agentctl.core.embedding.ollama import OllamaEmbeddings
    from agentctl.core.embedding.server import ServerEmbedder

    server = OllamaEmbeddings(
        find_ollama(settings, environ),
        name,
        reach=Registry(settings, paths, environ).reach_ollama,
        keep_alive=settings.ollama.keep_alive,
        allow_cloud=settings.ollama.allow_cloud,
    )
    return ServerEmbedder(f"ollama:{name}", name, server)


def _open_openai(name: str, settings: Settings, environ: Mapping[str, str]) -> Embedder:
    from agentctl.core.backends.model_servers import find_openai
    from agentctl.core.embedding.openai_compatible import OpenAIEmbeddings
    from agentctl.core.embedding.server import ServerEmbedder

    server = OpenAIEmbeddings(
        find_openai(settings, environ),
        name,
        api_key_env=settings.openai.api_key_env,
    )
    return ServerEmbedder(f"openai:{name}", name, server)


def _unknown(name: str, backend: str, rest: str) -> ConfigError:
    close = nearest(backend, (BUILT_IN, *_BACKENDS))
    meant = close if close in (None, BUILT_IN) else f"{close}:{rest or 'NAME'}"
    return ConfigError(
        f"knowledge.embedder {name!r} is no embedder"
        + (f" (did you mean {meant}?)" if meant else ""),
        f"agentctl config set knowledge.embedder {meant or BUILT_IN}",
    )
