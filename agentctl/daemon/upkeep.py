"""What a daemon does by itself, again and again: look, measure, verify, tidy up."""

import asyncio
import logging
import os
from collections.abc import Awaitable, Callable
from datetime import timedelta
from pathlib import Path

from agentctl.core.config import Config
from agentctl.core.errors import AgentctlError, ConfigError
from agentctl.core.moments import moment_text
from agentctl.core.storage import translated_errors
from agentctl.daemon.host import Host

# Seconds between two looks at what others have changed in the database, and at the settings.
_CHANGES_S, _SETTINGS_S = 0.5, 2.0
# A third of the half minute within which a dead model server is to be up again.
_HEALTH_S = 10.0
_INDEX_S = 3600.0
# Hours of this machine's clock: nobody works, and backups have not begun.
_VERIFY_HOUR, _PRUNE_HOUR, _SUMMARY_HOUR = 3, 4, 4

logger = logging.getLogger(__name__)


class Upkeep:
    """The periodic jobs of one host.

    `load` reads the settings anew, `announce` says with which of them the daemon works.
    """

    def __init__(
        self,
        host: Host,
        load: Callable[[], Config],
        announce: Callable[[Config], None],
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._host = host
        self._load = load
        self._announce = announce
        self._sleep = sleep
        self._announced = host.config.settings
        self._seen_settings = self._settings_files()
        self._seen_database = -1

    def begin(self) -> None:
        self._measure_regularly()
        scheduler = self._host.scheduler
        scheduler.every("model health", _HEALTH_S, self._check_models)
        scheduler.every("index refresh", _INDEX_S, self._refresh_index)
        scheduler.daily("knowledge verification", _VERIFY_HOUR, self._verify)
        scheduler.daily("history pruning", _PRUNE_HOUR, self._prune)
        scheduler.daily("summaries", _SUMMARY_HOUR, self._summarise)
        self._host.in_background(self._follow_changes())
        self._host.in_background(self._follow_settings())
        # The first look is not to wait for its turn.
        self._host.in_background(self._check_models())

    def _measure_regularly(self) -> None:
        interval = self._host.config.settings.monitor.interval
        self._host.scheduler.every("resources", interval, self._host.measure)

    async def _check_models(self) -> None:
        await self._host.supervisor.check()

    async def _refresh_index(self) -> None:
        async with self._host.workspace() as workspace:
            await workspace.refresh_index()

    async def _verify(self) -> None:
        async with self._host.workspace() as workspace:
            report = await workspace.verify_documents()
        if report.problems:
            first = report.problems[0]
            message = f"{len(report.problems)} problems in the knowledge base; the first: {first}"
            self._host.journal.write("warning", "knowledge", message)

    async def _prune(self) -> None:
        settings = self._host.config.settings
        before = self._host.now() - timedelta(days=settings.tasks.history_days)
        text = moment_text(before, "seconds")
        self._host.tasks.prune(text)
        self._host.journal.prune(text)

    async def _summarise(self) -> None:
        if not self._host.config.settings.tasks.summarise_sessions:
            return
        async with self._host.workspace() as workspace:
            count = await workspace.summarise_sessions()
        if count:
            self._host.journal.write("info", "daemon", f"{count} conversations were summarised")

    async def _follow_changes(self) -> None:
        """What commands write while the daemon runs is acted on at once."""
        while True:
            try:
                self._act_on_changes()
            except Exception:
                # An outer edge: the next look may find all well again.
                logger.exception("changes could not be acted on")
                self._seen_database = -1
            await self._sleep(_CHANGES_S)

    def _act_on_changes(self) -> None:
        with translated_errors():
            version = self._host.connection.execute("PRAGMA data_version").fetchone()[0]
        if version != self._seen_database:
            self._seen_database = version
            self._host.feed.tell({"type": "changed"})
            self._host.scheduler.sync()
            self._host.watcher.sync()

    async def _follow_settings(self) -> None:
        """Settings that were changed are used from then on; broken ones leave the old in force."""
        while True:
            await self._sleep(_SETTINGS_S)
            files = self._settings_files()
            if files == self._seen_settings:
                continue
            try:
                await self._act_on_settings()
                self._seen_settings = files
            except (AgentctlError, OSError) as error:
                # A full disk, say, or a locked database: the next look tries it again.
                logger.warning("changed settings could not be taken: %s", error)

    async def _act_on_settings(self) -> None:
        try:
            config = self._load()
        except ConfigError as error:
            message = f"{error.message}; the settings of before stay in force"
            self._host.journal.write("warning", "settings", message)
            await self._host.notify("agentctl: the settings are broken", message)
        else:
            if config.settings != self._host.config.settings:
                before = self._host.config.settings.monitor
                await self._host.use_settings(config)
                if config.settings.monitor != before:
                    self._measure_regularly()
            if config.settings != self._announced:
                self._announce(config)
                self._announced = config.settings

    def _settings_files(self) -> list[tuple[str, int, int]]:
        folder = self._host.paths.config
        return [
            (str(path), status.st_mtime_ns, status.st_size)
            for path in sorted((self._host.paths.settings, folder / ".env"))
            if (status := _status(path)) is not None
        ]


def _status(path: Path) -> os.stat_result | None:
    try:
        return path.stat()
    except OSError:
        return None
