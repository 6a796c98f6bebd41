"""What the monitor says in words: what runs, what is wrong and the mend, what was done."""

from collections.abc import Iterator
from datetime import datetime

from textual.content import Content

from agentctl.core.automation.measurements import Amount, BackendState, SystemStats
from agentctl.core.automation.report import Report
from agentctl.render.charts import ago
from agentctl.render.ingest import count
from agentctl.render.output import human_size, printable

_NAME = 11
_SIGNS = {"healthy": "✓", "off": "-", "retrying": "!", "degraded": "✗"}
_STYLES = {"healthy": "$success", "off": "dim", "retrying": "$warning", "degraded": "$error"}
_MARKS = {"info": ("·", ""), "warning": ("!", "$warning"), "error": ("✗", "$error")}


def machine_words(stats: SystemStats, report: Report | None) -> Content:
    lines = [*_warnings(stats), *_server(stats.backend), *_machine(stats)]
    if report is not None:
        lines += _report(report)
    return Content("\n").join(lines)


def _warnings(stats: SystemStats) -> Iterator[Content]:
    for warning in stats.warnings:
        yield Content.styled(f"! {printable(warning)}", "bold $warning")


def _server(backend: BackendState) -> Iterator[Content]:
    said = "off (embedded engine)" if backend.status == "off" else backend.status
    sign = f"{_SIGNS[backend.status]} {printable(backend.name)}: {said}"
    yield _field("server", Content.styled(sign, _STYLES[backend.status]))
    if backend.detail:
        yield _field("", Content(printable(backend.detail)))
    if backend.fix:
        yield _field("", Content.assemble("try: ", (printable(backend.fix), "bold")))
    for model in backend.loaded_models:
        share = f"{model.gpu_percent:.0f} % on GPU" if model.gpu_percent else "on CPU"
        window = f", window {model.context_window:,}" if model.context_window else ""
        yield _field("loaded", Content(printable(model.name)))
        yield _field("", Content.styled(f"{human_size(model.size)}, {share}{window}", "dim"))
    if backend.status == "healthy" and not backend.loaded_models:
        yield _field("loaded", Content.styled("no model in memory", "dim"))


def _machine(stats: SystemStats) -> Iterator[Content]:
    speed = stats.speed
    yield _field(
        "answers",
        Content(
            f"{speed.tokens_per_s:.1f} tokens/s, {speed.ttft_s:.1f} s to the first"
            if speed
            else "none in the last hour"
        ),
    )
    if stats.daemon.status == "running":
        yield _field(
            "daemon", Content.styled(f"✓ runs for {ago(stats.daemon.uptime_s)}", "$success")
        )
    else:
        yield _field("daemon", Content.assemble("- none: ", ("agentctl daemon start", "bold")))
    network = stats.network
    fields = {
        "knowledge": f"{count(stats.knowledge.documents, 'document')},"
        f" {count(stats.knowledge.chunks, 'chunk')}",
        "memory": _amount(stats.memory),
        "disk": _amount(stats.disk),
        "network": f"{human_size(round(network.received_per_s))}/s in,"
        f" {human_size(round(network.sent_per_s))}/s out",
        "load": " ".join(f"{each:.2f}" for each in stats.load),
        "process": f"{human_size(stats.process.rss)}, {stats.process.cpu_percent:.0f} % CPU",
    }
    for name, text in fields.items():
        yield _field(name, Content(text))
    for gpu in stats.gpus:
        heat = f", {gpu.temperature:.0f} °C" if gpu.temperature is not None else ""
        used = f"{human_size(gpu.memory_used)} of {human_size(gpu.memory_total)}{heat}"
        yield _field("gpu", Content(f"{printable(gpu.name)}, {used}"))


def _report(report: Report) -> Iterator[Content]:
    yield Content("")
    yield Content.styled("While you were away: the last day", "bold $primary")
    if report.is_quiet:
        yield Content.styled("nothing happened", "dim")
    for line in report.lines:
        mark, style = _MARKS[line.level]
        at = f"{datetime.fromisoformat(line.time).astimezone():%a %H:%M} " if line.time else ""
        yield Content.assemble(
            (f"{mark} ", style), (at, "dim"), " ".join(printable(line.text).split())
        )
        if line.fix:
            yield Content.assemble("    ", (printable(line.fix), "bold"))


def _amount(amount: Amount) -> str:
    return f"{human_size(amount.used)} of {human_size(amount.total)}, {amount.percent:.0f} %"


def _field(name: str, value: Content) -> Content:
    return Content.assemble((name.ljust(_NAME), "dim"), value)
