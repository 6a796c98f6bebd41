"""What the machine has, and what fits."""

import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentctl.core.hardware import Fit, Gpu, Memory, free_disk, gpus, memory, model_fits

GB = 10**9


def gpu(total: int, used: int = 0) -> Gpu:
    return Gpu("a GPU", total * GB, used * GB, None, None)


def test_memory_is_told_in_bytes() -> None:
    now = memory()

    assert 0 < now.available <= now.total


def test_gpus_are_told_without_noise(capfd: pytest.CaptureFixture[str]) -> None:
    for card in gpus():
        assert 0 <= card.memory_used <= card.memory_total

    assert capfd.readouterr() == ("", "")


@pytest.mark.skipif(sys.platform == "win32", reason="made with POSIX paths")
def test_free_disk_is_told_for_a_folder_that_is_yet_to_be_made(tmp_path: Path) -> None:
    assert free_disk(tmp_path / "a" / "b") == pytest.approx(free_disk(tmp_path), rel=0.1)


@pytest.mark.parametrize(
    ("weights", "available", "cards", "fit"),
    [
        (1, 8, [], "yes"),
        (10, 12, [], "yes"),
        (10, 11, [], "tight"),
        (13, 4, [], "tight"),
        (14, 16, [], "no"),
        (14, 4, [gpu(24)], "yes"),
        (14, 4, [gpu(24, used=20)], "tight"),
        (14, 4, [gpu(12), gpu(12)], "yes"),
        (14, 4, [gpu(12)], "no"),
    ],
)
def test_a_model_needs_its_weights_and_a_fifth_more(
    weights: int, available: int, cards: list[Gpu], fit: Fit
) -> None:
    assert model_fits(weights * GB, Memory(16 * GB, available * GB), cards) == fit


@given(st.integers(0, 10**13), st.integers(0, 10**12), st.integers(0, 10**12))
def test_less_never_fits_worse(size: int, total: int, used: int) -> None:
    order = ["no", "tight", "yes"]
    machine = Memory(total, max(0, total - used))

    smaller = model_fits(size // 2, machine, [])

    assert order.index(smaller) >= order.index(model_fits(size, machine, []))
