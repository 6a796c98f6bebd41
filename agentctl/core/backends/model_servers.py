"""The model servers that the settings name, and how long each is waited for."""

from collections.abc import Mapping

from agentctl.core.backends.ollama_server import OllamaServer, default_host
from agentctl.core.backends.transport import Endpoint
from agentctl.core.config import Settings
from agentctl.core.errors import ConfigError


def find_ollama(
    settings: Settings, environ: Mapping[str, str], patience_s: float | None = None
) -> OllamaServer:
    """The server, reached or not. `patience_s` (seconds) is for questions that need no model."""
    host = default_host(settings.ollama.host, environ)
    return OllamaServer(_endpoint(settings, host, {}, patience_s))


def find_openai(
    settings: Settings, environ: Mapping[str, str], patience_s: float | None = None
) -> Endpoint:
    """The OpenAI-compatible server, with its key. Raises ConfigError when none is set."""
    if not settings.openai.base_url:
        raise ConfigError(
            "openai.base_url is not set: there is no OpenAI-compatible server to ask",
            "agentctl config set openai.base_url http://127.0.0.1:8000/v1",
        )
    key = environ.get(settings.openai.api_key_env)
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    return _endpoint(settings, settings.openai.base_url, headers, patience_s)


def _endpoint(
    settings: Settings, base_url: str, headers: Mapping[str, str], patience_s: float | None
) -> Endpoint:
    times = settings.timeouts
    if patience_s is None:
        return Endpoint(base_url, times.connect, times.first_token, times.idle, headers)
    return Endpoint(base_url, min(times.connect, patience_s), patience_s, patience_s, headers)
