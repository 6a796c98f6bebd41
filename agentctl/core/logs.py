"""The log file: one JSON object a line, without secrets, written by any number of processes.

Each line has `time` (ISO 8601, UTC), `level`, `logger`, `message`, then the record's extra
fields, and `exception` with the traceback. Prompts, answers and whatever else the user wrote
go into the extra field `content`, which is dropped unless the level is debug:

    logger.info("answered", extra={"model": name, "content": answer})
"""

import json
import logging
import os
import re
from collections.abc import Iterable, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from itertools import pairwise
from math import isfinite
from pathlib import Path
from urllib.parse import quote

from agentctl.core.config import Log
from agentctl.core.errors import BackendBusy, StorageError
from agentctl.core.jsontypes import Json
from agentctl.core.open_files import move_over, open_to_append
from agentctl.core.paths import Paths, make_private

_KEPT_FILES = 3
_REDACTED = "[redacted]"
# Shorter values are words such as "true": to redact them would garble every line.
_SHORTEST_SECRET = 6
_SECRET_VARIABLE = re.compile(r"key|token|secret|passw|passphrase|credential", re.IGNORECASE)
_SECRET_FIELD = re.compile(
    r"authorization|api[-_]?key|access[-_]?token|password|passwd|secret|credential", re.IGNORECASE
)
_SECRET_SHAPES = (
    re.compile(
        rf"""(?i)((?:{_SECRET_FIELD.pattern})["']?\s*[:=,]\s*(?:b?["'])?)"""
        r"""(?:(?:basic|bearer|digest|token)\s+)?[^\s"'&,;}]+"""
    ),
    re.compile(r"(?i)(\bbearer\s+)[\w.~+/=-]+"),
    re.compile(r"(?<![A-Za-z0-9])((?:sk|pk|hf|gh[a-z]|github_pat|xox[a-z])[-_])[\w-]{8,}"),
    re.compile(r"(://)[^\s/?#\"']+(?=@)"),
)


def set_up_logging(paths: Paths, settings: Log, environ: Mapping[str, str]) -> None:
    """Sends what is logged under "agentctl" to the log file; once more replaces the set-up.

    Nothing is opened before the first record. The values of variables in `environ` that are
    named like keys, tokens or passwords never reach the file.
    """
    logger = logging.getLogger("agentctl")
    for handler in [each for each in logger.handlers if isinstance(each, LogFile)]:
        logger.removeHandler(handler)
    secrets = [value for name, value in environ.items() if _SECRET_VARIABLE.search(name)]
    logger.addHandler(LogFile(paths.log, settings, secrets))
    logger.setLevel(settings.level.upper())
    # What a library hangs on the root logger must not write over the screen.
    logger.propagate = False
    # What libraries log may hold what the user wrote: it goes nowhere, and not to the screen.
    if not logging.getLogger().handlers:
        logging.getLogger().addHandler(logging.NullHandler())


class LogFile(logging.Handler):
    """Appends records to a file that only its owner may read, and never raises.

    The file is opened for each line: so it may be rotated by any process at any time, and one
    appended write each keeps the lines of several processes whole.
    """

    def __init__(self, path: Path, settings: Log, secrets: Iterable[str] = ()) -> None:
        super().__init__()
        self._path = path
        self._max_bytes = settings.max_bytes
        self._keeps_content = settings.level == "debug"
        self._secrets = _any_of(secrets)
        self._standard = {*logging.makeLogRecord({}).__dict__, "taskName"}

    def emit(self, record: logging.LogRecord) -> None:
        # Whatever goes wrong here, a full disk or an odd argument, is not the program's problem.
        with suppress(Exception):
            self._append(json.dumps(self._fields(record)).encode() + b"\n")

    def _fields(self, record: logging.LogRecord) -> dict[str, Json]:
        fields: dict[str, Json] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": self._redact(record.getMessage()),
        }
        for name, value in record.__dict__.items():
            if name not in self._standard and (name != "content" or self._keeps_content):
                fields.setdefault(self._redact(name), self._clean_field(name, value))
        if record.exc_info and record.exc_info[0]:
            traceback = logging.Formatter().formatException(record.exc_info)
            fields["exception"] = self._redact(traceback)
        return fields

    def _clean_field(self, name: object, value: object) -> Json:
        return _REDACTED if _SECRET_FIELD.search(str(name)) else self._clean(value)

    def _clean(self, value: object) -> Json:
        """The value as JSON without secrets."""
        if value is None or isinstance(value, bool):
            return value
        if isinstance(value, Mapping):
            return {
                self._redact(str(name)): self._clean_field(name, each)
                for name, each in value.items()
            }
        if isinstance(value, tuple) and len(value) == 2:  # perhaps a header
            return [self._clean(value[0]), self._clean_field(*value)]
        if isinstance(value, list | tuple | set | frozenset):
            return [self._clean(each) for each in value]
        text = str(value)
        redacted = self._redact(text)
        if isinstance(value, int | float) and redacted == text and isfinite(value):
            return value
        return redacted

    def _redact(self, text: str) -> str:
        text = self._secrets.sub(_REDACTED, text)
        for shape in _SECRET_SHAPES:
            text = shape.sub(rf"\1{_REDACTED}", text)
        return text

    def _append(self, line: bytes) -> None:
        if self._is_full(line):
            self._rotate(line)
        try:
            descriptor = open_to_append(self._path)
        except FileNotFoundError:
            make_private(self._path.parent)
            descriptor = open_to_append(self._path)
        try:
            os.write(descriptor, line)
        finally:
            os.close(descriptor)

    def _is_full(self, line: bytes) -> bool:
        try:
            size = self._path.stat().st_size
        except FileNotFoundError:
            return False
        return size > 0 and size + len(line) > self._max_bytes

    def _rotate(self, line: bytes) -> None:
        """Moves agentctl.log to .1, .1 to .2 and so on; left undone while another process does."""
        from agentctl.core.file_lock import locked

        old = [self._path, *(Path(f"{self._path}.{n + 1}") for n in range(_KEPT_FILES))]
        with (
            suppress(BackendBusy, StorageError, OSError),
            locked(Path(f"{self._path}.lock"), "rotation"),
        ):
            # Between the first look and the lock it may have been done.
            if self._is_full(line):
                for source, target in reversed(list(pairwise(old))):
                    with suppress(FileNotFoundError):
                        move_over(source, target)


def _any_of(secrets: Iterable[str]) -> re.Pattern[str]:
    """Matches each secret, each line of it, and both as they look in repr, JSON and URLs."""
    texts = {part.strip() for secret in secrets for part in (secret, *secret.splitlines())}
    forms = {
        form
        for text in texts
        if len(text) >= _SHORTEST_SECRET
        for form in (text, repr(text)[1:-1], json.dumps(text)[1:-1], quote(text, safe=""))
    }
    return re.compile("|".join(map(re.escape, sorted(forms, key=len, reverse=True))) or "(?!)")
