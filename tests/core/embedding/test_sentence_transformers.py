import sys
from importlib.util import find_spec

import pytest

from agentctl.core.embedding.sentence_transformers import SentenceTransformersEmbedder
from agentctl.core.errors import ConfigError, ModelNotFound


def test_without_the_library_the_hint_is_how_to_install_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)

    with pytest.raises(ConfigError) as caught:
        SentenceTransformersEmbedder("all-MiniLM-L6-v2").profile()

    assert caught.value.hint == "pip install 'agentctl[sentence-transformers]'"


@pytest.mark.skipif(
    find_spec("sentence_transformers") is None, reason="sentence-transformers is not installed"
)
def test_a_model_that_cannot_be_had_is_not_found(
    monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)

    with pytest.raises(ModelNotFound, match="nobody/nothing"):
        SentenceTransformersEmbedder("nobody/nothing").embed_query("text")
