"""The doctor: looks at the machine, the models and the data, and says what mends each finding."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from pathlib import Path
from typing import TypeVar

from agentctl.core import doctor_checks
from agentctl.core.backends.threads import run_in_thread
from agentctl.core.config import Settings, default_settings, load_config
from agentctl.core.doctor_checks import AGAIN, Check, Patient
from agentctl.core.errors import AgentctlError, ConfigError
from agentctl.core.paths import Paths

T = TypeVar("T")


async def run_checks(
    paths: Paths, environ: Mapping[str, str], directory: Path, *, deadline_s: float = 3.0
) -> list[Check]:
    """Every check, in a fixed order. None raises, and none is waited for longer than `deadline_s`.

    A broken configuration is one of the findings; the other checks then use the defaults.
    """
    settings, configuration = await _configuration(paths, environ, directory, deadline_s)
    patient = Patient(paths, environ, directory, settings, deadline_s)
    others = await asyncio.gather(
        *(_bounded(name, check(patient), deadline_s) for name, check in _CHECKS.items())
    )
    return [doctor_checks.check_python(), configuration, *others]


async def _configuration(
    paths: Paths, environ: Mapping[str, str], directory: Path, deadline_s: float
) -> tuple[Settings, Check]:
    """The settings in force, or the defaults when they cannot be read, and the finding."""
    name = "configuration"
    try:
        config = await _within(
            deadline_s, run_in_thread(lambda: load_config(paths, environ, directory))
        )
    except ConfigError as error:
        check = Check(name, "error", error.message, error.hint)
    except TimeoutError:
        check = Check(name, "error", f"{directory} or {paths.config} cannot be read", AGAIN)
    else:
        sources = [each for each in dict.fromkeys(config.origins.values()) if each != "default"]
        detail = f"set in {', '.join(sources)}" if sources else "all defaults"
        return config.settings, Check(name, "ok", detail)
    return default_settings(), check


async def _bounded(name: str, work: Awaitable[Check], deadline_s: float) -> Check:
    try:
        return await _within(deadline_s, work)
    except TimeoutError:
        return Check(name, "warning", f"no result within {deadline_s:g} s", f"try again: {AGAIN}")
    except AgentctlError as error:
        return Check(name, "error", error.message, error.hint or AGAIN)
    except OSError as error:
        return Check(name, "error", str(error), f"make {error.filename} accessible to you")
    except Exception as error:  # noqa: BLE001 - a doctor must not die of what it looks for
        return Check(name, "error", f"{type(error).__name__}: {error}", f"{AGAIN} --debug")


async def _within(deadline_s: float, work: Awaitable[T]) -> T:
    """Raises TimeoutError after `deadline_s`; unlike asyncio.wait_for, also when `work` resists."""
    task = asyncio.ensure_future(work)
    done, _ = await asyncio.wait({task}, timeout=deadline_s)
    if not done:
        task.cancel()
        raise TimeoutError
    return task.result()


def _threaded(check: Callable[[Patient], Check]) -> Callable[[Patient], Awaitable[Check]]:
    return lambda patient: run_in_thread(partial(check, patient))


_CHECKS: dict[str, Callable[[Patient], Awaitable[Check]]] = {
    "folders": _threaded(doctor_checks.check_folders),
    "disk": _threaded(doctor_checks.check_disk),
    "memory": _threaded(doctor_checks.check_memory),
    "gpu": _threaded(doctor_checks.check_gpu),
    "ollama": doctor_checks.check_ollama,
    "embedded": _threaded(doctor_checks.check_embedded),
    "database": _threaded(doctor_checks.check_database),
    "agents": _threaded(doctor_checks.check_agents),
    "sandbox": _threaded(doctor_checks.check_sandbox),
}
