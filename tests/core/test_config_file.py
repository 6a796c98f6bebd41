"""Changing the user's file: what is kept, what is refused, and that nothing is half-written."""

import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentctl.core.config import FORMS, key_types, load_config
from agentctl.core.config_file import set_value, unset_value
from agentctl.core.errors import ConfigError
from agentctl.core.jsontypes import Json
from agentctl.core.paths import Paths, find_paths
from tests.support.rights import has_mode

LAID_OUT = """\
# My settings.

model = "a"   # the usual one

# About the log
[log]
# noisy
level = "debug" # for now

# Ollama, last
[ollama]
start = true
"""


on_posix = pytest.mark.skipif(sys.platform == "win32", reason="other rules for links and readers")


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    return find_paths({"AGENTCTL_HOME": str(tmp_path / "home")})


def write(paths: Paths, text: str) -> None:
    paths.config.mkdir(parents=True, exist_ok=True)
    paths.settings.write_bytes(text.encode())


def read(paths: Paths) -> str:
    return paths.settings.read_bytes().decode()


def loaded(paths: Paths, key: str) -> Json:
    return load_config(paths, {}, paths.config).values[key]


@pytest.mark.parametrize(
    ("key", "text", "value"),
    [
        ("model", "qwen3:4b", "qwen3:4b"),
        ("ollama.keep_alive", "5m", "5m"),
        ("ollama.context_window", "8192", 8192),
        ("ollama.start", "off", False),
        ("timeouts.idle", "90", 90.0),
        ("log.level", "debug", "debug"),
        ("embedded.gpu_layers", "-1", -1),
    ],
)
def test_text_is_read_as_the_type_of_the_key(
    paths: Paths, key: str, text: str, value: Json
) -> None:
    assert set_value(paths, key, text) == value
    assert loaded(paths, key) == value


def test_a_new_file_has_a_header_and_is_private(paths: Paths) -> None:
    set_value(paths, "model", "a")
    set_value(paths, "log.level", "debug")
    assert read(paths) == (
        "# Settings of agentctl. To see every key: agentctl config show\n\n"
        'model = "a"\n\n[log]\nlevel = "debug"\n'
    )
    assert has_mode(paths.settings, 0o600)
    assert has_mode(paths.config, 0o700)


@pytest.mark.parametrize(
    ("key", "text", "old", "new"),
    [
        ("model", "b", 'model = "a"   # the usual one', 'model = "b"   # the usual one'),
        ("log.level", "info", 'level = "debug" # for now', 'level = "info" # for now'),
        ("log.max_bytes", "9", "# for now\n", "# for now\nmax_bytes = 9\n"),
        ("ollama.host", "h", "start = true\n", 'start = true\nhost = "h"\n'),
        ("timeouts.idle", "9", "start = true\n", "start = true\n\n[timeouts]\nidle = 9.0\n"),
    ],
)
def test_all_but_the_key_stays_as_it_was(
    paths: Paths, key: str, text: str, old: str, new: str
) -> None:
    write(paths, LAID_OUT)
    set_value(paths, key, text)
    assert read(paths) == LAID_OUT.replace(old, new)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ('model = "b"\r\n[log]\r\n', 'model = "a"\r\n[log]\r\n'),
        ('\ufeffmodel = "b"\n', 'model = "a"\n'),
        ('"model" = "b"', '"model" = "a"\n'),
        ("# about\n[log]\n", 'model = "a"\n\n# about\n[log]\n'),
        ("# mine\n\n# about\n[log]\n", '# mine\n\nmodel = "a"\n\n# about\n[log]\n'),
        ("# mine\n", '# mine\nmodel = "a"\n'),
        ('model = """\nb\n""" # why\n', 'model = "a" # why\n'),
        ("", 'model = "a"\n'),
    ],
)
def test_a_top_level_key_in_files_of_any_layout(paths: Paths, before: str, after: str) -> None:
    write(paths, before)
    set_value(paths, "model", "a")
    assert read(paths).lstrip("\n") == after


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("[ollama]\n", '[ollama]\nhost = "h"\n'),
        ("[ollama] # mine\n# more\n", '[ollama] # mine\n# more\nhost = "h"\n'),
        (
            "ollama.start = true\n[log]\n",
            'ollama.start = true\nollama.host = "h"\n[log]\n',
        ),
        ("ollama = {start = true} # c\n", 'ollama = {start = true,host = "h"} # c\n'),
        ("[ollama.x]\ny = 1\n", '[ollama]\nhost = "h"\n\n[ollama.x]\ny = 1\n'),
    ],
)
def test_a_key_in_tables_of_any_layout(paths: Paths, before: str, after: str) -> None:
    write(paths, before)
    set_value(paths, "ollama.host", "h")
    assert read(paths) == after


TEXT_KEYS = [key for key, kind in key_types().items() if kind is str and key not in FORMS]


@given(st.sampled_from(TEXT_KEYS), st.text(), st.sampled_from(["", LAID_OUT, "ollama.host = 'x'"]))
def test_any_text_is_read_back_as_it_was_written(key: str, text: str, before: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        paths = find_paths({"AGENTCTL_HOME": folder})
        write(paths, before)
        set_value(paths, key, text)
        assert loaded(paths, key) == text


@given(st.lists(st.tuples(st.sampled_from(TEXT_KEYS), st.none() | st.text(max_size=5)), max_size=6))
def test_after_any_changes_the_file_holds_what_was_set_last(
    changes: list[tuple[str, str | None]],
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        paths = find_paths({"AGENTCTL_HOME": folder})
        write(paths, LAID_OUT)
        expected = {"model": "a"}
        for key, text in changes:
            if text is None:
                assert unset_value(paths, key) == (key in expected)
                expected.pop(key, None)
            else:
                expected[key] = str(set_value(paths, key, text))
        config = load_config(paths, {}, paths.config)
        mine = {key for key, origin in config.origins.items() if origin == str(paths.settings)}
        assert {key: config.values[key] for key in mine & {"model", *TEXT_KEYS}} == expected
        assert all(line in read(paths) for line in ("# My settings.", "# noisy", "# for now"))


@pytest.mark.parametrize(
    ("key", "text", "message"),
    [
        ("ollama.hots", "x", "unknown key ollama.hots (did you mean ollama.host?)"),
        ("ollama", "x", "ollama is a table, with the keys ollama.host, "),
        ("model.x", "x", "model is a value, not a table"),
        ("log.level", "loud", "log.level must be one of debug, info, warning, error, not 'loud'"),
        ("ollama.context_window", "many", "must be a whole number above 0, not 'many'"),
        ("ollama.start", "maybe", "ollama.start must be true or false, not 'maybe'"),
        ("model", "\udcff", "model must be text"),
    ],
)
def test_a_refused_value_leaves_the_file_byte_for_byte(
    paths: Paths, key: str, text: str, message: str
) -> None:
    write(paths, LAID_OUT)
    with pytest.raises(ConfigError) as caught:
        set_value(paths, key, text)
    assert message in caught.value.message
    assert read(paths) == LAID_OUT


@pytest.mark.parametrize("text", ["ollama = 5\n", "[[ollama]]\n", "host = \n", "x = '\udcff'\n"])
def test_a_file_that_cannot_take_the_key_is_left_as_it_was(paths: Paths, text: str) -> None:
    paths.config.mkdir(parents=True)
    data = text.encode(errors="surrogateescape")
    paths.settings.write_bytes(data)
    with pytest.raises(ConfigError) as caught:
        set_value(paths, "ollama.host", "h")
    assert caught.value.message.startswith(f"{paths.settings}:1: ")
    assert paths.settings.read_bytes() == data


def test_an_unknown_key_elsewhere_does_not_hinder(paths: Paths) -> None:
    write(paths, "modle = 'a'\n")
    set_value(paths, "model", "b")
    assert unset_value(paths, "modle")
    assert read(paths) == 'model = "b"\n'


def test_unsetting_takes_out_only_the_key(paths: Paths) -> None:
    write(paths, LAID_OUT)
    assert unset_value(paths, "log.level")
    assert read(paths) == LAID_OUT.replace('level = "debug" # for now\n', "")


def test_unsetting_what_is_not_set_changes_nothing(paths: Paths) -> None:
    assert not unset_value(paths, "model")
    assert not paths.settings.exists()


def test_no_file_is_left_beside_it(paths: Paths) -> None:
    set_value(paths, "model", "a")
    write(paths, "ollama = 5\n")
    with pytest.raises(ConfigError):
        set_value(paths, "ollama.host", "h")
    assert [each.name for each in paths.config.iterdir()] == ["config.toml"]


def test_what_several_set_at_once_is_all_set(paths: Paths) -> None:
    def set_all(keys: list[str]) -> None:
        for key in keys:
            set_value(paths, key, "x")

    with ThreadPoolExecutor() as pool:
        list(pool.map(set_all, (TEXT_KEYS[::2], TEXT_KEYS[1::2])))

    assert {key: loaded(paths, key) for key in TEXT_KEYS} == dict.fromkeys(TEXT_KEYS, "x")


@on_posix
def test_a_reader_has_the_old_file_or_the_new_one(paths: Paths) -> None:
    write(paths, LAID_OUT)
    with paths.settings.open(encoding="utf-8") as reader:
        set_value(paths, "model", "b")
        assert reader.read() == LAID_OUT


@on_posix
def test_a_linked_file_stays_a_link(paths: Paths, tmp_path: Path) -> None:
    write(paths, LAID_OUT)
    target = paths.settings.rename(tmp_path / "dotfile.toml")
    paths.settings.symlink_to(target)
    set_value(paths, "model", "b")
    assert paths.settings.is_symlink()
    assert 'model = "b"' in target.read_text(encoding="utf-8")


def test_a_folder_that_cannot_be_made_is_a_configuration_error(tmp_path: Path) -> None:
    (tmp_path / "home").write_text("a file where the folder should be")
    paths = find_paths({"AGENTCTL_HOME": str(tmp_path / "home")})
    with pytest.raises(ConfigError) as caught:
        set_value(paths, "model", "a")
    assert caught.value.message.startswith(f"{paths.settings} cannot be written: ")
    assert caught.value.hint == f"make {paths.config} writable"
