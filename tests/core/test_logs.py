"""The log file: one JSON object a line, no secrets, and never in the way."""

import json
import logging
import multiprocessing
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from agentctl.core.config import Log
from agentctl.core.logs import LogFile, set_up_logging
from agentctl.core.paths import Paths, find_paths
from tests.support.rights import has_mode

INFO = Log("info", 1_000_000)
DEBUG = Log("debug", 1_000_000)


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    return find_paths({"AGENTCTL_HOME": str(tmp_path / "home")})


@pytest.fixture(autouse=True)
def logger_as_it_was() -> Iterator[None]:
    logger = logging.getLogger("agentctl")
    before = (logger.level, logger.propagate, list(logger.handlers))
    yield
    logger.level, logger.propagate, logger.handlers = before
    logging.Logger.manager._clear_cache()  # type: ignore[attr-defined]  # levels are cached


def logger_with(
    paths: Paths, settings: Log = INFO, environ: Mapping[str, str] | None = None
) -> logging.Logger:
    set_up_logging(paths, settings, environ or {})
    return logging.getLogger("agentctl.test")


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="ascii").splitlines()]


class Capture(LogFile):
    """Keeps the lines instead of writing them."""

    def __init__(self, *secrets: str) -> None:
        super().__init__(Path("unused"), DEBUG, secrets)
        self.written = ""

    def _append(self, line: bytes) -> None:
        self.written += line.decode()


def text_logged(message: str, /, *secrets: str, **extra: object) -> str:
    capture = Capture(*secrets)
    record = logging.makeLogRecord({"name": "agentctl", "msg": message, **extra})
    capture.handle(record)
    return capture.written


# What a line holds


def test_a_record_is_one_line_of_json(paths: Paths) -> None:
    logger_with(paths).info("pulled %s\nwhole", "m", extra={"bytes": 5, "parts": ["a", None, 0.5]})
    (line,) = lines(paths.log)
    assert line.pop("time").endswith("+00:00")
    assert line == {
        "level": "info",
        "logger": "agentctl.test",
        "message": "pulled m\nwhole",
        "bytes": 5,
        "parts": ["a", None, 0.5],
    }


def test_an_exception_comes_with_its_traceback(paths: Paths) -> None:
    try:
        [].pop()
    except IndexError:
        logger_with(paths).exception("failed")
    (line,) = lines(paths.log)
    assert line["exception"].startswith("Traceback")
    assert line["exception"].endswith("IndexError: pop from empty list")


@pytest.mark.parametrize(
    ("level", "written"),
    [
        ("debug", ["debug", "info", "warning", "error"]),
        ("info", ["info", "warning", "error"]),
        ("warning", ["warning", "error"]),
        ("error", ["error"]),
    ],
)
def test_records_below_the_level_are_dropped(paths: Paths, level: Any, written: list[str]) -> None:
    logger = logger_with(paths, Log(level, 1_000_000))
    for each in ("debug", "info", "warning", "error"):
        getattr(logger, each)(each)
    assert [line["level"] for line in lines(paths.log)] == written


def test_prompts_and_answers_are_written_at_debug_only(paths: Paths) -> None:
    logger_with(paths, INFO).info("answered", extra={"content": "a prompt"})
    logger_with(paths, DEBUG).info("answered", extra={"content": "a prompt"})
    assert ["content" in line for line in lines(paths.log)] == [False, True]


@given(
    st.text(),
    st.dictionaries(
        st.text(min_size=1),
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary(),
            lambda each: st.lists(each) | st.tuples(each, each) | st.dictionaries(st.text(), each),
            max_leaves=5,
        ),
    ),
)
def test_any_record_is_one_line_of_json(message: str, extra: dict[str, object]) -> None:
    standard = logging.makeLogRecord({}).__dict__
    own = {name: value for name, value in extra.items() if name not in standard}
    written = text_logged("%s", args=(message,), **own)
    assert written.splitlines() == [written.removesuffix("\n")]
    assert isinstance(json.loads(written), dict)


# What never reaches the file


# Brackets aside, so that no secret can be pieced together with "[redacted]".
SECRET = st.text(st.characters(exclude_characters="[]", exclude_categories=["Cs"]), min_size=6).map(
    str.strip
)


def strings_in(value: object) -> list[str]:
    if isinstance(value, dict):
        return [text for pair in value.items() for each in pair for text in strings_in(each)]
    if isinstance(value, list):
        return [text for each in value for text in strings_in(each)]
    return [str(value)]


@given(SECRET, st.text(), st.text())
def test_a_secret_of_the_environment_is_never_written(secret: str, before: str, after: str) -> None:
    assume(len(secret) >= 6 and secret not in "[redacted]")
    assume(not any(secret in text for text in strings_in(json.loads(text_logged("none", x=1)))))
    text = f"{before}{secret}{after}"
    nothing: dict[str, str] = {}
    try:
        nothing[text]
    except KeyError as error:
        written = text_logged(
            "%s",
            secret,
            args=(text,),
            x={"shown": repr(text), "raised": [error], text: (text, text)},
            exc_info=(KeyError, error, error.__traceback__),
        )
    assert not any(secret in each for each in strings_in(json.loads(written)))


@pytest.mark.parametrize(
    "name", ["OPENAI_API_KEY", "HF_TOKEN", "aws_secret_access_key", "PGPASSWORD", "MY_CREDENTIALS"]
)
def test_variables_are_known_as_secret_by_their_name(paths: Paths, name: str) -> None:
    logger_with(paths, environ={name: "hunter22", "HOME": "/home/me"}).info("hunter22 /home/me")
    assert lines(paths.log)[0]["message"] == "[redacted] /home/me"


def test_a_number_may_be_a_secret() -> None:
    assert "31415926" not in text_logged("x", "31415926", port=31415926)


def test_words_too_short_to_be_secrets_stay(paths: Paths) -> None:
    logger_with(paths, environ={"USE_KEYRING": "true"}).info("true")
    assert lines(paths.log)[0]["message"] == "true"


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("Authorization: Bearer abc.def-ghi==, next", "Authorization: [redacted], next"),
        ("authorization: Basic dXNlcjpwYXNz", "authorization: [redacted]"),
        ("{'Authorization': 'Bearer abc'}", "{'Authorization': '[redacted]'}"),
        ("[(b'Authorization', b'Basic abc')]", "[(b'Authorization', b'[redacted]')]"),
        ("X-Api-Key: 12345", "X-Api-Key: [redacted]"),
        ("sent bearer abc123 to it", "sent bearer [redacted] to it"),
        ("GET /v1?api_key=abc&n=1", "GET /v1?api_key=[redacted]&n=1"),
        ('{"password": "abc", "n": 1}', '{"password": "[redacted]", "n": 1}'),
        ("the key sk-proj-abcdefgh1234 is wrong", "the key sk-[redacted] is wrong"),
        ("ghp_abcdefghijkl and hf_abcdefghijkl", "ghp_[redacted] and hf_[redacted]"),
        ("http://me:p@ss@example.com/x", "http://[redacted]@example.com/x"),
        ("task-12345678 openai.api_key_env OPENAI_API_KEY", None),
        ("prompt_tokens=5 first_token: 300, see http://example.com/a@b", None),
    ],
)
def test_what_looks_like_a_secret_is_redacted(text: str, written: str | None) -> None:
    assert json.loads(text_logged(text))["message"] == (written or text)


def test_fields_named_like_secrets_are_redacted() -> None:
    fields = json.loads(
        text_logged(
            "x", api_key="abc", headers=[("Authorization", "abc")], more={"Password": "abc"}
        )
    )
    assert fields["api_key"] == "[redacted]"
    assert fields["headers"] == [["Authorization", "[redacted]"]]
    assert fields["more"] == {"Password": "[redacted]"}


# The file


def test_nothing_is_opened_before_the_first_record(paths: Paths) -> None:
    logger = logger_with(paths)
    logger.debug("below the level")
    assert not paths.state.exists()


def test_only_the_owner_may_read_it(paths: Paths) -> None:
    logger_with(paths).info("x")
    assert has_mode(paths.log, 0o600)
    assert has_mode(paths.state, 0o700)


def test_setting_up_twice_writes_each_record_once(paths: Paths) -> None:
    logger_with(paths)
    logger_with(paths).info("x")
    assert len(lines(paths.log)) == 1


def test_other_libraries_handlers_see_nothing(
    paths: Paths, capsys: pytest.CaptureFixture[str]
) -> None:
    logger_with(paths).error("x")
    assert capsys.readouterr() == ("", "")


def test_a_full_file_is_rotated_and_three_are_kept(paths: Paths) -> None:
    logger = logger_with(paths, Log("info", 1_000))
    for number in range(60):
        logger.info("number %02d", number)
    files = [paths.log, *(Path(f"{paths.log}.{n}") for n in (1, 2, 3))]
    assert sorted(paths.state.iterdir()) == files
    assert all(each.stat().st_size <= 1_000 for each in files)
    assert all(has_mode(each, 0o600) for each in files)
    kept = [line["message"] for each in reversed(files) for line in lines(each)]
    assert kept == [f"number {number:02}" for number in range(60 - len(kept), 60)]


def test_a_record_larger_than_the_limit_is_written_whole(paths: Paths) -> None:
    logger = logger_with(paths, Log("info", 100))
    logger.info("a" * 500)
    logger.info("b" * 500)
    assert lines(paths.log)[0]["message"] == "b" * 500
    assert lines(Path(f"{paths.log}.1"))[0]["message"] == "a" * 500


def test_a_file_that_vanished_is_made_again(paths: Paths) -> None:
    logger = logger_with(paths)
    logger.info("a")
    paths.log.unlink()
    paths.state.rmdir()
    logger.info("b")
    assert [line["message"] for line in lines(paths.log)] == ["b"]


def write_many(paths: Paths, settings: Log, name: str, count: int) -> None:
    logger = logger_with(paths, settings)
    for number in range(count):
        logger.info("%s %d", name, number)


def run_writers(paths: Paths, settings: Log, count: int) -> None:
    context = multiprocessing.get_context("spawn")
    writers = [
        context.Process(target=write_many, args=(paths, settings, name, count)) for name in "ab"
    ]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
        assert writer.exitcode == 0


def test_several_processes_write_whole_lines(paths: Paths) -> None:
    run_writers(paths, INFO, 200)
    messages = [line["message"] for line in lines(paths.log)]
    assert sorted(messages) == sorted(f"{name} {n}" for name in "ab" for n in range(200))


def test_several_processes_rotate_without_losing_a_line(paths: Paths) -> None:
    size = 120  # bytes a line, at most
    run_writers(paths, Log("info", 160 * size), 200)
    files = [each for each in paths.state.iterdir() if each.suffix != ".lock"]
    messages = [line["message"] for each in files for line in lines(each)]
    assert sorted(messages) == sorted(f"{name} {n}" for name in "ab" for n in range(200))
    assert len(files) > 1


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
def test_a_full_disk_is_not_the_programs_problem(
    paths: Paths, capsys: pytest.CaptureFixture[str]
) -> None:
    paths.state.mkdir(parents=True)
    paths.log.symlink_to("/dev/full")
    logger_with(paths).error("x")
    assert capsys.readouterr() == ("", "")


def test_a_folder_that_cannot_be_made_is_not_the_programs_problem(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "home").write_text("a file where the folder should be")
    logger_with(find_paths({"AGENTCTL_HOME": str(tmp_path / "home")})).error("x")
    assert capsys.readouterr() == ("", "")


def test_a_record_that_cannot_be_shown_is_not_the_programs_problem(
    paths: Paths, capsys: pytest.CaptureFixture[str]
) -> None:
    endless: list[object] = []
    endless.append(endless)
    logger = logger_with(paths)
    logger.info("%d", "not a number")
    logger.info("x", extra={"endless": endless})
    logger.info("the next one")
    assert [line["message"] for line in lines(paths.log)] == ["the next one"]
    assert capsys.readouterr() == ("", "")
