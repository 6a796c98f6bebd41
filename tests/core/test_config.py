"""Settings: who wins, what is refused, and that a message says where and what instead."""

import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentctl.core.config import (
    FORMS,
    Config,
    Layer,
    key_types,
    line_of,
    load_config,
    merge_layers,
    read_toml_layer,
    variable_name,
)
from agentctl.core.errors import ConfigError
from agentctl.core.jsontypes import Json
from agentctl.core.paths import Paths, find_paths, shipped


@dataclass(frozen=True)
class Place:
    """A user's home and a project, both empty."""

    paths: Paths
    project: Path

    def write(self, source: str, text: str) -> Path:
        path = {
            "user": self.paths.settings,
            "project": self.project / "agentctl.toml",
            "dotenv": self.project / ".env",
        }[source]
        path.write_bytes(text.encode())
        return path

    def load(self, environ: Mapping[str, str] | None = None) -> Config:
        return load_config(self.paths, environ or {}, self.project)

    def refusal(self, environ: Mapping[str, str] | None = None) -> ConfigError:
        with pytest.raises(ConfigError) as caught:
            self.load(environ)
        return caught.value


@pytest.fixture
def place(tmp_path: Path) -> Place:
    paths = find_paths({"AGENTCTL_HOME": str(tmp_path / "home")})
    paths.config.mkdir(parents=True)
    (tmp_path / "project").mkdir()
    return Place(paths, tmp_path / "project")


DEFAULT = read_toml_layer(shipped("default.toml"))
SOURCES = ("default", "user", "project", "dotenv", "environment")


# Who wins


@pytest.mark.parametrize(("weaker", "stronger"), list(combinations(SOURCES, 2)))
def test_the_stronger_of_two_sources_wins(place: Place, weaker: str, stronger: str) -> None:
    environ = {}
    origins = {"default": "default", "environment": "environment"}
    for number, source in enumerate((weaker, stronger), 1):
        if source in ("user", "project"):
            text = f"[ollama]\ncontext_window = {number}\n"
            origins[source] = str(place.write(source, text))
        elif source == "dotenv":
            text = f"AGENTCTL_OLLAMA_CONTEXT_WINDOW={number}\n"
            origins[source] = str(place.write(source, text))
        elif source == "environment":
            environ["AGENTCTL_OLLAMA_CONTEXT_WINDOW"] = str(number)

    config = place.load(environ)

    assert config.settings.ollama.context_window == 2
    assert config.origins["ollama.context_window"] == origins[stronger]


def test_a_source_changes_only_the_keys_it_names(place: Place) -> None:
    place.write("user", '[ollama]\nkeep_alive = "1h"\n')
    config = place.load()
    assert config.values == {**place.load().values, "ollama.keep_alive": "1h"}
    assert [key for key, origin in config.origins.items() if origin != "default"] == [
        "ollama.keep_alive"
    ]


def test_a_project_is_found_from_a_folder_below_it(place: Place) -> None:
    place.write("project", 'model = "from-project"\n')
    place.write("dotenv", "AGENTCTL_LOG_LEVEL=debug\n")
    below = place.project / "a" / "b"
    below.mkdir(parents=True)
    settings = load_config(place.paths, {}, below).settings
    assert (settings.model, settings.log.level) == ("from-project", "debug")


def test_dotenv_counts_without_a_project_file(place: Place) -> None:
    place.write("dotenv", "AGENTCTL_MODEL=a\n")
    assert place.load().settings.model == "a"


def test_a_virtual_environment_called_dotenv_is_no_source(place: Place) -> None:
    (place.project / ".env").mkdir()
    assert set(place.load().origins.values()) == {"default"}


def values_of(key: str) -> st.SearchStrategy[Json]:
    kind: Any = key_types()[key]
    if key in FORMS:
        return st.from_regex(re.compile(FORMS[key][0], re.DOTALL), fullmatch=True)
    if get_origin(kind) is Literal:
        return st.sampled_from(get_args(kind))
    strategies: dict[type, st.SearchStrategy[Json]] = {
        bool: st.booleans(),
        int: st.integers(1, 65_535),
        float: st.floats(0.001, 10**6),
        str: st.text(),
    }
    return strategies[kind]


@st.composite
def layers(draw: st.DrawFn) -> list[Layer]:
    """Valid sources of the user's own, some of TOML's types, some of text."""
    made = []
    for number in range(draw(st.integers(0, 4))):
        keys = draw(st.sets(st.sampled_from(list(key_types())), max_size=5))
        values = {key: draw(values_of(key)) for key in sorted(keys)}
        is_text = draw(st.booleans())
        if is_text:
            values = {key: str(value) for key, value in values.items()}
        made.append(Layer(f"source {number}", values, is_text=is_text))
    return made


@given(layers())
def test_merging_all_is_merging_one_by_one(sources: list[Layer]) -> None:
    step = merge_layers([DEFAULT])
    for source in sources:
        step = merge_layers([Layer("so far", step.values), source])
    whole = merge_layers([DEFAULT, *sources])
    assert (whole.settings, whole.values) == (step.settings, step.values)


@given(layers())
def test_the_last_writer_of_a_key_wins_and_is_its_origin(sources: list[Layer]) -> None:
    whole = merge_layers([DEFAULT, *sources])
    for key in key_types():
        last = next(source for source in [*reversed(sources), DEFAULT] if key in source.values)
        value = whole.values[key]
        assert whole.origins[key] == last.origin
        assert (str(value) if last.is_text else value) == last.values[key]


# How values are written


@pytest.mark.parametrize(
    ("line", "model"),
    [
        ("AGENTCTL_MODEL=a", "a"),
        ("export AGENTCTL_MODEL=a", "a"),
        ("  export\tAGENTCTL_MODEL = a  ", "a"),
        ("AGENTCTL_MODEL=a # why", "a"),
        ("AGENTCTL_MODEL=a#b", "a#b"),
        ("AGENTCTL_MODEL=a\nAGENTCTL_OPENAI_BASE_URL= # why", "a"),
        ('AGENTCTL_MODEL="a # b" # why', "a # b"),
        ("AGENTCTL_MODEL=' a '", " a "),
        ('AGENTCTL_MODEL="C:\\new\\x"', "C:\\new\\x"),
        ("AGENTCTL_MODEL=it's", "it's"),
        ("AGENTCTL_MODEL=a=b", "a=b"),
        ("AGENTCTL_MODEL=first\r\nAGENTCTL_MODEL=a\r", "a"),
        ("\ufeffAGENTCTL_MODEL=a", "a"),
        ("# AGENTCTL_MODEL=b\nSECRET=1\nnonsense\n\nAGENTCTL_MODEL=a", "a"),
    ],
)
def test_dotenv_lines(place: Place, line: str, model: str) -> None:
    place.write("dotenv", line)
    assert place.load().settings.model == model


@pytest.mark.parametrize("text", ["true", "True", "yes", "on", "1", " on "])
def test_words_that_switch_on(place: Place, text: str) -> None:
    assert place.load({"AGENTCTL_OLLAMA_ALLOW_CLOUD": text}).settings.ollama.allow_cloud is True


@pytest.mark.parametrize("text", ["false", "FALSE", "no", "off", "0"])
def test_words_that_switch_off(place: Place, text: str) -> None:
    assert place.load({"AGENTCTL_OLLAMA_START": text}).settings.ollama.start is False


def test_a_whole_number_serves_as_seconds(place: Place) -> None:
    place.write("user", "[timeouts]\nconnect = 7\n")
    assert place.load({"AGENTCTL_TIMEOUTS_IDLE": "9"}).settings.timeouts.connect == 7.0


def test_numbers_may_have_underscores_in_text(place: Place) -> None:
    environ = {"AGENTCTL_LIMITS_INPUT_BYTES": "1_000_000"}
    assert place.load(environ).settings.limits.input_bytes == 1_000_000


@pytest.mark.parametrize(
    "text",
    [
        '[ollama]\nhost = "h"\n',
        'ollama.host = "h"\n',
        '"ollama"."host" = "h"\n',
        'ollama = { host = "h" }\n',
        '\ufeff[log]\r\n[ollama]\r\nhost = "h"\r\n',
    ],
)
def test_ways_to_write_the_same_in_toml(place: Place, text: str) -> None:
    place.write("user", text)
    assert place.load().settings.ollama.host == "h"


def test_only_one_variable_is_no_setting(place: Place) -> None:
    assert place.load({"AGENTCTL_HOME": "/x", "HOME": "/y"}).values == place.load().values


# What is refused, where it stands, and what was meant


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        ("[ollama]\nhots = 1\n", 2, "unknown key ollama.hots (did you mean ollama.host?)"),
        ("# x\n\nmodle = 'a'\n", 3, "unknown key modle (did you mean model?)"),
        ('"ollama.host" = "h"\n', 1, 'unknown key "ollama.host" (did you mean ollama.host?)'),
        ('"\\u001b[2J" = 1\n', 1, 'unknown key "\\u001b[2J"'),
        ("a = [\n1,\n]\n\n[zzz]\n", 1, "unknown key a"),
        ("ollama = 5\n", 1, "ollama is a table, with the keys ollama.host, "),
        ("[[ollama]]\nhost = 'h'\n", 1, "ollama is a table, with the keys ollama.host, "),
        ("[model]\nname = 'a'\n", 2, "model is a value, not a table"),
        ("[log.level]\n", 1, "log.level must be one of debug, info, warning, error, not {}"),
        ("model = ['a']\n", 1, "model must be text, not ['a']"),
        ("model = 2020-01-01\n", 1, "model must be text, not datetime.date(2020, 1, 1)"),
        ('[ollama]\n\nstart = "yes"\n', 3, "ollama.start must be true or false, not 'yes'"),
        ("[ollama]\nstart = 1\n", 2, "ollama.start must be true or false, not 1"),
        (
            "[ollama]\ncontext_window = 8192.0\n",
            2,
            "ollama.context_window must be a whole number above 0, not 8192.0",
        ),
        ("[timeouts]\nidle = true\n", 2, "timeouts.idle must be a number above 0, not True"),
        ("[timeouts]\nidle = inf\n", 2, "timeouts.idle must be a number above 0, not inf"),
        (f"ollama.context_window = 0x{'f' * 5000}\n", 1, "ollama.context_window "),
        (f"model = 0x{'f' * 5000}\n", 1, "model "),
        (
            "embedded.gpu_layers = -2\n",
            1,
            "embedded.gpu_layers must be a whole number of at least -1, not -2",
        ),
        ('x = """\n[log]\nlevel = 1\n"""\n[log]\nlevel = 1\n', 1, "unknown key x"),
        ("daemon.port = 70000\n", 1, "daemon.port must be at most 65535, not 70000"),
        ("model = ' '\n", 1, "model must be a name, not ' '"),
        ("[downloads]\nhub = 'nowhere'\n", 2, "hub must be an http or https address, not "),
        ("openai.base_url = 'localhost:8000'\n", 1, "must be an http or https address, or empty"),
        ("daemon.notify = 'bogus'\n", 1, "must be desktop, file:PATH, command:WORDS, or empty"),
        ("tui.keys = 'app.quit=f10, foo=bar'\n", 1, "must be pairs of a name and a key, such as "),
        ("[log]\nlevel = 'debgu'\n", 2, "not 'debgu' (did you mean debug?)"),
    ],
)
def test_a_wrong_key_or_value_is_named_with_its_line(
    place: Place, text: str, line: int, message: str
) -> None:
    path = place.write("user", text)
    error = place.refusal()
    assert error.message.startswith(f"{path}:{line}: ")
    assert message in error.message
    assert (error.exit_code, error.hint) == (78, "agentctl config edit")


@pytest.mark.parametrize(
    ("data", "line"),
    [
        (b"model = 'a\n", 1),
        (b"model = 'a'\n\nhost = \n", 3),
        (b"model = 'a'\nmodel = 'b'\n", 2),
        (b"model = 'a'\nx = [1,\n", 2),
        (b"model = 'a'\n# \xff\n", 2),
        (b"x = " + b"[" * 5000, 1),
        (b"x = " + b"9" * 5000, 1),
    ],
)
def test_broken_toml_is_named_with_its_line(place: Place, data: bytes, line: int) -> None:
    place.paths.settings.write_bytes(data)
    error = place.refusal()
    assert error.message.startswith(f"{place.paths.settings}:{line}: ")
    assert error.hint == f"correct line {line} of {place.paths.settings}"


def test_a_wrong_variable_is_named(place: Place) -> None:
    error = place.refusal({"AGENTCTL_OLLAMA_HOTS": "x"})
    assert error.message == (
        "environment variable AGENTCTL_OLLAMA_HOTS: unknown key AGENTCTL_OLLAMA_HOTS"
        " (did you mean AGENTCTL_OLLAMA_HOST?)"
    )
    assert error.hint == "unset AGENTCTL_OLLAMA_HOTS"


@pytest.mark.parametrize("text", ["", "x", "1e3", "0", "-5", "8192.0", "٣x"])
def test_a_variable_of_the_wrong_type_is_named(place: Place, text: str) -> None:
    error = place.refusal({"AGENTCTL_OLLAMA_CONTEXT_WINDOW": text})
    assert error.message == (
        "environment variable AGENTCTL_OLLAMA_CONTEXT_WINDOW: ollama.context_window"
        f" must be a whole number above 0, not {text!r}"
    )


def test_bytes_that_are_no_text_are_refused(place: Place) -> None:
    assert "model must be text" in place.refusal({"AGENTCTL_MODEL": "\udcff"}).message


def test_a_wrong_line_of_dotenv_is_named(place: Place) -> None:
    path = place.write("dotenv", "OTHER=1\nAGENTCTL_OLLAMA_START=on\nAGENTCTL_OLLAMA_START=maybe\n")
    error = place.refusal()
    assert error.message == f"{path}:3: ollama.start must be true or false, not 'maybe'"
    assert error.hint == f"correct it in {path}"


@given(st.sampled_from(list(key_types())), st.text())
def test_any_text_is_a_value_or_a_configuration_error(key: str, text: str) -> None:
    with suppress(ConfigError):
        merge_layers([DEFAULT, Layer("environment", {key: text}, is_text=True)])


# What a project may not do

LEAVES = "only the user may set"


@pytest.mark.parametrize(
    "key", ["ollama.host", "openai.base_url", "downloads.hub", "downloads.index"]
)
def test_a_project_may_not_send_anything_to_another_machine(place: Place, key: str) -> None:
    path = place.write("project", f"\n{key} = 'https://example.com'\n")
    error = place.refusal()
    assert error.message == (
        f"{path}:2: only the user may set {key} to 'https://example.com', not a project's file"
    )
    assert error.hint == f"if you trust it: agentctl config set {key} https://example.com"


@pytest.mark.parametrize("source", ["project", "dotenv"])
def test_a_project_may_not_allow_cloud_models(place: Place, source: str) -> None:
    lines = {
        "project": "ollama.allow_cloud = true\n",
        "dotenv": "AGENTCTL_OLLAMA_ALLOW_CLOUD=yes\n",
    }
    place.write(source, lines[source])
    assert LEAVES in place.refusal().message


def test_a_project_may_forbid_cloud_models(place: Place) -> None:
    place.write("user", "ollama.allow_cloud = true\n")
    place.write("project", "ollama.allow_cloud = false\n")
    assert place.load().settings.ollama.allow_cloud is False


def test_a_project_may_not_choose_which_secret_is_sent(place: Place) -> None:
    place.write("dotenv", "AGENTCTL_OPENAI_API_KEY_ENV=GITHUB_TOKEN\n")
    assert "only the user may set openai.api_key_env to 'GITHUB_TOKEN'" in place.refusal().message


@pytest.mark.parametrize("key", ["model", "embedded.model"])
def test_a_project_may_not_have_its_own_file_loaded(place: Place, key: str) -> None:
    place.write("project", f"{key} = './evil.GGUF'\n")
    assert LEAVES in place.refusal().message


def test_a_project_may_choose_a_model(place: Place) -> None:
    place.write("project", "model = 'qwen3:4b'\n")
    assert place.load().settings.model == "qwen3:4b"


def test_a_project_may_repeat_what_the_user_trusts(place: Place) -> None:
    place.write("user", "ollama.host = 'http://10.0.0.5:11434'\n")
    place.write("project", "ollama.host = 'http://10.0.0.5:11434'\n")
    place.write("dotenv", "AGENTCTL_OPENAI_API_KEY_ENV=OPENAI_API_KEY\n")
    assert place.load().settings.ollama.host == "http://10.0.0.5:11434"


def test_the_user_may_do_all_of_it(place: Place) -> None:
    place.write("user", "ollama = {host = 'http://example.com', allow_cloud = true}\n")
    assert place.load({"AGENTCTL_OPENAI_API_KEY_ENV": "X"}).settings.openai.api_key_env == "X"


def test_a_hint_is_safe_to_paste(place: Place) -> None:
    place.write("project", "ollama.host = 'http://x/; rm -rf ~'\n")
    assert place.refusal().hint.endswith("config set ollama.host 'http://x/; rm -rf ~'")
    path = place.write("project", 'ollama.host = "http://x/\\u001b[2J"\n')
    assert place.refusal().hint == f"remove it from {path}"


# What belongs together


def test_the_shipped_file_explains_every_key_in_order() -> None:
    lines = shipped("default.toml").read_text(encoding="utf-8").splitlines()
    assert list(DEFAULT.values) == list(key_types())
    for key in key_types():
        before = lines[line_of(shipped("default.toml"), key) - 2]
        assert before.startswith("#"), key


def test_the_example_of_dotenv_names_only_what_exists() -> None:
    text = (Path(__file__).parents[2] / ".env.example").read_text(encoding="utf-8")
    known = {"AGENTCTL_HOME", *map(variable_name, key_types())}
    assert set(re.findall(r"AGENTCTL_\w+(?==)", text)) <= known
