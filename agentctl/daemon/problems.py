"""Errors as HTTP: which status each has, and the one shape of their body."""

from agentctl.core.errors import (
    AgentctlError,
    BackendBusy,
    BackendTimeout,
    ConfigError,
    EmbedderChanged,
    InputMissing,
    InputUnreadable,
    ModelError,
    ModelForbidden,
    ModelNotFound,
    NotFound,
    RetryError,
    SandboxMissing,
    StorageError,
    UserError,
)

# The first that fits.
_STATUSES: tuple[tuple[type[AgentctlError], int], ...] = (
    (NotFound, 404),
    (ModelNotFound, 404),
    (InputMissing, 404),
    (ModelForbidden, 403),
    (SandboxMissing, 403),
    (EmbedderChanged, 409),
    (ConfigError, 409),
    (StorageError, 507),
    (InputUnreadable, 422),
    (UserError, 400),
    (BackendBusy, 503),
    (BackendTimeout, 504),
    (RetryError, 502),
    (ModelError, 502),
)

STATUS_OF_EXIT = {2: 400, 65: 422, 66: 404, 69: 503, 75: 503, 77: 403, 78: 409, 124: 504}
"""The status of an error that came as an event, by its exit code; 502 for all others."""


def status_of(error: AgentctlError) -> int:
    return next((status for kind, status in _STATUSES if isinstance(error, kind)), 500)
