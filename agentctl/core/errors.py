"""Every error agentctl raises on purpose.

AgentctlError
├── UserError                 the user must act: retrying changes nothing
│   ├── UsageProblem          2    wrong usage that only the verb could see
│   ├── InputUnreadable       65   not what it claims to be
│   │   ├── InputTooLarge     65   larger than the limit for one input
│   │   ├── InputEncrypted    65   it has a password
│   │   ├── InputHostile      65   reading it took more time or memory than is allowed
│   │   └── ContextOverflow   65   one message is larger than the context window
│   ├── InputMissing          66   does not exist, or may not be read
│   ├── NotFound              1    no such session, template or message
│   ├── ModelNotFound         69   no such model
│   ├── ModelIncapable        69   the model cannot do what was asked of it
│   ├── ModelForbidden        69   the model would leave this machine
│   ├── DownloadFailed        69   no source could deliver the model
│   ├── EngineMissing         69   the embedded engine needs a library that the system lacks
│   ├── StorageError          1    the database cannot be used
│   ├── SandboxMissing        77   no sandbox for code that a model wrote, and no consent
│   ├── EmbedderChanged       78   the documents were embedded by another model
│   └── ConfigError           78   names file, line and key
├── RetryError                the same call may succeed later
│   ├── BackendUnreachable    69   nothing answers at that address
│   ├── BackendBusy           75   the queue is full, or something is starting
│   ├── BackendTimeout        124  silence for longer than the limit
│   ├── BackendFailed         1    the backend answered with an error
│   └── AnswerInterrupted     1    the answer broke off before its end
└── ModelError                the model may mend it when shown the message
    ├── AnswerInvalid         1    the answer does not fit the schema
    ├── AgentStuck            1    an agent asks for the same call again and again
    └── ToolFailed            1    a tool cannot do what it was called for
"""

from typing import ClassVar


class AgentctlError(Exception):
    """Base of all of them: what is wrong, and the mend.

    Args:
        message: one line that says what is wrong.
        hint: one line with the exact next command, or what else mends it; a type's
            `usual_hint` stands in for an empty one.
    """

    slug: ClassVar[str] = "unexpected"
    exit_code: ClassVar[int] = 1
    usual_hint: ClassVar[str] = "agentctl doctor"

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint or self.usual_hint


class UserError(AgentctlError):
    """The user must act: retrying changes nothing."""


class RetryError(AgentctlError):
    """The same call may succeed later."""

    usual_hint = "try again; if it goes on: agentctl doctor"


class ModelError(AgentctlError):
    """The model may mend it when shown the message."""

    usual_hint = "ask again, or with a larger model: -m NAME"


class UsageProblem(UserError):
    slug, exit_code = "usage", 2


class InputUnreadable(UserError):
    slug, exit_code = "input-unreadable", 65


class InputTooLarge(InputUnreadable):
    slug = "input-too-large"


class InputEncrypted(InputUnreadable):
    slug = "input-encrypted"


class InputHostile(InputUnreadable):
    slug = "input-hostile"


class ContextOverflow(InputUnreadable):
    slug = "context-overflow"


class InputMissing(UserError):
    slug, exit_code = "input-missing", 66


class NotFound(UserError):
    slug = "not-found"


class ModelNotFound(UserError):
    slug, exit_code = "model-not-found", 69


class ModelIncapable(UserError):
    slug, exit_code = "model-incapable", 69


class ModelForbidden(UserError):
    slug, exit_code = "model-forbidden", 69


class DownloadFailed(UserError):
    slug, exit_code = "download-failed", 69


class EngineMissing(UserError):
    slug, exit_code = "engine-missing", 69


class StorageError(UserError):
    slug = "storage"


class SandboxMissing(UserError):
    slug, exit_code = "sandbox-missing", 77


class EmbedderChanged(UserError):
    slug, exit_code = "embedder-changed", 78
    usual_hint = "agentctl docs reindex"


class ConfigError(UserError):
    slug, exit_code = "config", 78


class BackendUnreachable(RetryError):
    slug, exit_code = "backend-unreachable", 69


class BackendBusy(RetryError):
    slug, exit_code = "backend-busy", 75


class BackendTimeout(RetryError):
    slug, exit_code = "backend-timeout", 124


class BackendFailed(RetryError):
    slug = "backend-failed"


class AnswerInterrupted(RetryError):
    slug = "answer-interrupted"


class AnswerInvalid(ModelError):
    slug = "answer-invalid"


class AgentStuck(ModelError):
    slug = "agent-stuck"
    usual_hint = "say the task in other words, or take a larger model: agentctl models list"


class ToolFailed(ModelError):
    slug = "tool-failed"
