"""Who is asked about the GPUs, and how often."""

import math
from types import SimpleNamespace

import pytest

from agentctl.core.automation.gpus import GpuReader, ask_gputil, find_gputil, open_nvml
from agentctl.core.automation.measurements import GpuUse
from tests.support.measured import gpu


def test_the_first_that_can_tell_is_asked_from_then_on() -> None:
    asked: list[str] = []

    def no_driver() -> None:
        asked.append("first")

    def second() -> object:
        asked.append("second")
        return lambda: (gpu(),)

    reader = GpuReader(no_driver, second)  # type: ignore[arg-type]  # said in short

    assert [reader.read(), reader.read()] == [(gpu(),), (gpu(),)]
    assert asked == ["first", "second"]


def test_where_nobody_can_tell_nobody_is_asked_again() -> None:
    asked: list[str] = []

    reader = GpuReader(lambda: asked.append("x"))  # type: ignore[arg-type, func-returns-value]

    assert [reader.read(), reader.read()] == [(), ()]
    assert asked == ["x"]


def test_this_machine_s_gpus_are_told_without_noise(capfd: pytest.CaptureFixture[str]) -> None:
    reader = GpuReader()

    assert reader.read() == reader.read() or open_nvml() is not None
    assert capfd.readouterr() == ("", "")


def test_gputil_is_not_even_imported_where_it_had_nothing_to_start() -> None:
    assert find_gputil(lambda _: None) is None


def test_what_gputil_tells_is_in_bytes_and_percent() -> None:
    card = SimpleNamespace(
        name="an old card", load=0.25, memoryUsed=512.0, memoryTotal=1024.0, temperature=math.nan
    )

    assert ask_gputil(lambda: [card]) == (
        GpuUse(
            name="an old card",
            util_percent=25.0,
            memory_used=512 * 1024**2,
            memory_total=1024 * 1024**2,
            temperature=None,
        ),
    )


def test_a_failure_that_gputil_reads_as_numbers_is_no_gpu() -> None:
    def fail() -> list[object]:
        raise ValueError("could not convert string to float: 'NVIDIA-SMI has failed'")

    assert ask_gputil(fail) == ()
