"""The shipped catalogue holds what it must, and the user's own is read on top of it."""

import re
from pathlib import Path

import pytest

from agentctl.core.backends.catalog import (
    FILE_NAME,
    CatalogModel,
    HubSource,
    WheelSource,
    read_catalog,
)
from agentctl.core.config import load_config
from agentctl.core.errors import ConfigError
from agentctl.core.paths import Paths, find_paths

MINE = """
[mine]
file = "mine.gguf"
size = 5
license = "MIT"
sha256 = "{digest}"
context_window = 4096
parameters = "1B"
summary = "a test"
sources = [{{ hub = "me/mine", file = "mine.gguf" }}]
""".format(digest="ab" * 32)


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    paths = find_paths({"AGENTCTL_HOME": str(tmp_path)})
    paths.config.mkdir()
    return paths


def write_own(paths: Paths, text: str) -> None:
    (paths.config / FILE_NAME).write_text(text)


@pytest.mark.parametrize(
    "model",
    read_catalog(find_paths({"AGENTCTL_HOME": "/nowhere"})).values(),
    ids=lambda model: model.name,
)
def test_a_shipped_model_is_whole(model: CatalogModel) -> None:
    assert ":" not in model.name
    assert re.fullmatch(r"[0-9a-f]{64}", model.sha256)
    assert model.file.endswith(".gguf")
    assert model.size > 0
    assert model.context_window >= 8192
    assert re.fullmatch(r"[\d.]+[MB]", model.parameters)
    assert model.summary
    assert "\n" not in model.summary
    assert model.license
    assert model.sources


def test_no_two_shipped_models_share_a_file(paths: Paths) -> None:
    models = read_catalog(paths).values()

    assert len({model.file for model in models}) == len(models)
    assert len({model.sha256 for model in models}) == len(models)


def test_the_default_embedded_model_is_in_the_catalogue(paths: Paths) -> None:
    default = load_config(paths, {}, paths.config).settings.embedded.model

    model = read_catalog(paths)[default]

    assert any(isinstance(source, WheelSource) for source in model.sources)


def test_the_user_adds_a_model(paths: Paths) -> None:
    write_own(paths, MINE)

    models = read_catalog(paths)

    assert models["mine"].sources == (HubSource("me/mine", "mine.gguf"),)
    assert "smollm2-135m" in models


def test_the_user_replaces_single_keys(paths: Paths) -> None:
    before = read_catalog(paths)["smollm2-135m"]
    write_own(paths, '[smollm2-135m]\nsummary = "mine"\n')

    after = read_catalog(paths)["smollm2-135m"]

    assert (after.summary, after.sha256) == ("mine", before.sha256)


@pytest.mark.parametrize(
    ("old", "new", "line", "message"),
    [
        ("size = 5", 'size = "5"', 4, "mine.size: must be a number of bytes"),
        ("size = 5", "size = true", 4, "mine.size: must be a number of bytes"),
        ('"mine.gguf"\n', '"../mine.gguf"\n', 3, "mine.file: must be a file name"),
        ("ab", "AB", 6, "mine.sha256: must be 64 hexadecimal digits"),
        ('license = "MIT"', 'license = ""', 5, "mine.license: must be a text"),
        ("summary", "sumary", 9, r"mine.sumary: unknown key \(did you mean summary\?\)"),
        ('parameters = "1B"\n', "", 2, "mine: lacks the key parameters"),
        ("hub = ", "url = ", 10, "mine.sources: a source has either hub and file"),
        ('[{ hub = "me/mine", file = "mine.gguf" }]', "[]", 10, "at least one source"),
        ('[{ hub = "me/mine", file = "mine.gguf" }]', '["x"]', 10, "a source has either"),
        ("[mine]", '["mine:4b"]', 2, "mine:4b: a name has no colon"),
        ("[mine]", "[mine.5]", 2, r"mine\.5: unknown key"),
        ("[mine]", "[mine", 1, "Expected"),
    ],
)
def test_a_mistake_is_named_with_its_line(
    paths: Paths, old: str, new: str, line: int, message: str
) -> None:
    write_own(paths, MINE.replace(old, new, 1 if old != "ab" else -1))

    with pytest.raises(ConfigError, match=message) as failure:
        read_catalog(paths)

    if message != "Expected":
        assert f"{FILE_NAME}:{line}: " in failure.value.message


def test_a_mistake_in_a_quoted_table_is_found(paths: Paths) -> None:
    write_own(paths, MINE.replace("[mine]", '["mine-0.5b"]').replace("size = 5", "size = 0"))

    with pytest.raises(ConfigError, match=rf"{FILE_NAME}:4: mine-0.5b.size: "):
        read_catalog(paths)


def test_a_key_outside_any_table_is_refused(paths: Paths) -> None:
    write_own(paths, 'file = "x.gguf"\n')

    with pytest.raises(ConfigError, match=rf"{FILE_NAME}:1: file: must be a table"):
        read_catalog(paths)
