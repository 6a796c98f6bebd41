"""Embedders by their names, with the settings of a user who has one server for all."""

from collections.abc import Mapping
from pathlib import Path

from agentctl.core.config import Layer, Settings, merge_layers, read_toml_layer
from agentctl.core.embedding.base import Embedder
from agentctl.core.embedding.registry import open_embedder
from agentctl.core.jsontypes import Json
from agentctl.core.paths import Paths, shipped


def settings_with(values: Mapping[str, Json]) -> Settings:
    """The defaults, with other values under some dotted keys."""
    return merge_layers([read_toml_layer(shipped("default.toml")), Layer("test", values)]).settings


def open_named(
    name: str, url: str = "", *, folder: Path = Path("nowhere"), **values: Json
) -> Embedder:
    """`url` is of an Ollama that also speaks OpenAI's protocol, `folder` of the user."""
    addresses: dict[str, Json] = {"ollama.start": False, "ollama.host": url}
    if url:
        addresses["openai.base_url"] = f"{url}/v1"
    paths = Paths(folder, folder, folder, folder)
    return open_embedder(name, settings_with(addresses | values), paths, {})
