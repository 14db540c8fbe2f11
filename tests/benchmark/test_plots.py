"""Figures of made-up rows."""

import numpy as np
import pytest

from kernelgan_jax.app import figures
from kernelgan_jax.app.images import image_files
from kernelgan_jax.benchmark import SYSTEMS, KernelRow, plots
from kernelgan_jax.benchmark.summaries import RatedKernel


def kernel_row(system, **values):
    return KernelRow(scale=2, system=system, image="a", seed=0, fingerprint="",
                     files={}, seconds=None, memory=None, **values)  # fmt: skip


CONFIDENCE = {
    "level": "high",
    "reason": "",
    "expected_kernel_psnr": 60.0,
    "expected_covariance_error": 0.1,
    "expected_sr_loss": 0.2,
    "standard_deviations": {"longer": 0.1, "shorter": 0.2, "angle": None},
}


@pytest.mark.parametrize(
    ("values", "files"),
    [
        ({}, []),
        ({"widths": (2.0, 1.0, 80.0), "true_widths": (2.1, 1.1, -85.0)},
         ["x2_widths.png"]),
        ({"confidence": CONFIDENCE, "kernel_psnr": 61.0, "covariance_error": 0.1},
         ["x2_confidence.png"]),
    ],
)  # fmt: skip
def test_figures_with_something_to_show_are_written(tmp_path, values, files):
    systems = list(SYSTEMS.values())
    plots.write(tmp_path, [kernel_row("spectral", **values)], systems, 2)
    assert [path.name for path in tmp_path.iterdir()] == files
    for file in files:
        assert image_files.read(tmp_path / file).pixels.std() > 0


def test_kernels_that_are_not_estimated_are_not_drawn(tmp_path):
    values = {"widths": (2.0, 1.0, 80.0), "true_widths": (2.0, 1.0, 80.0)}
    rows = [kernel_row("true", **values), kernel_row("bicubic_kernel", **values)]
    plots.write(tmp_path, rows, list(SYSTEMS.values()), 2)
    assert not list(tmp_path.iterdir())


@pytest.fixture
def panels(monkeypatch):
    """The panels of the figures that are drawn, in place of files."""
    found = []
    monkeypatch.setattr(figures, "save", lambda figure, _: found.extend(figure.axes))
    return found


def test_the_points_and_bars_of_the_widths(panels, tmp_path):
    """90 degrees are -90: an angle is drawn next to the true one; the direction of
    kernels that are nearly round is left out."""
    rows = [
        kernel_row("spectral", widths=(2.0, 1.0, 80.0), true_widths=(2.1, 1.1, -85.0),
                   confidence=CONFIDENCE),
        kernel_row("spectral", widths=(2.0, 1.9, 80.0), true_widths=(2.1, 2.0, 10.0)),
    ]  # fmt: skip
    plots.write(tmp_path, rows, [SYSTEMS["spectral"]], 2)
    longer, _, angle = panels
    x, y = longer.lines[0].get_data()
    assert list(x) == [2.1, 2.1] and list(y) == [2.0, 2.0]
    (bars,) = longer.collections
    assert np.ptp(bars.get_segments()[0][:, 1]) == pytest.approx(0.2)
    x, y = angle.lines[0].get_data()
    assert list(x) == [-85.0] and list(y) == [-100.0]


def test_the_points_of_the_confidence(panels, tmp_path, monkeypatch):
    rated = [
        RatedKernel("high", 60.0, 61.0, 0.1, 0.1, 0.2, 0.3),
        RatedKernel("low", 50.0, 49.0, 0.1, 0.1, 2.0, None),
    ]
    monkeypatch.setattr(plots, "rated_kernels", lambda *_: rated)
    plots.write(tmp_path, [], [SYSTEMS["spectral"]], 2)
    left, right = panels
    assert [list(values) for values in left.lines[0].get_data()] == [[60, 50], [61, 49]]
    drawn = [[list(v) for v in line.get_data()] for line in right.lines[:3]]
    assert drawn == [[[0.2], [0.3]], [[], []], [[], []]]
