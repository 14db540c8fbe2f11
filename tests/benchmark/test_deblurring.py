"""Rows of scikit-image at scale 1."""

import helpers
import numpy as np
import pytest

from kernelgan_jax import blur_kernels
from kernelgan_jax.benchmark import SYSTEMS, cli, deblurring
from kernelgan_jax.degradation import downscale


@pytest.mark.parametrize("name", deblurring.METHODS)
def test_the_kernel_is_turned_and_placed_right(name):
    """A kernel without symmetry: its mirror image does worse, and so does nothing;
    the image is as large as before and lies where it did, up to its borders."""
    sharp = helpers.photo()[20:84, 60:130]
    path = [(-1.5, -1.0), (0.5, 1.5), (1.0, -0.5)]
    kernel = blur_kernels.path(9, points=path, scale=1)
    blurred = np.rint(255 * np.clip(downscale(sharp, kernel, 1), 0, 1)).astype(np.uint8)
    (system,) = (
        system
        for system in deblurring.with_deblurring([SYSTEMS["true"]])
        if system.name == f"true-{name}"
    )
    assert system.knows_scale(1) and not system.knows_scale(2)

    def error(used):
        found, other = (
            system.method.function(blurred, used, 1, seed) for seed in (0, 1)
        )
        assert (found != other).any() == system.method.seeded
        assert found.shape == sharp.shape and found.dtype == np.float32
        return np.abs(found - sharp).mean()

    before = np.abs(blurred / 255 - sharp).mean()
    assert error(kernel) < before
    assert error(kernel[::-1, ::-1]) > 1.4 * error(kernel)


def test_rows_at_scale_1(images, tmp_path, capsys):
    images(tmp_path / "in", "a", size=(40, 28))
    folder = tmp_path / "set"
    assert cli.main([
        "degrade", f"--hr={tmp_path}/in", f"--output_dir={folder}", "--scales=1,2",
        "--protocol=liang",
    ]) == 0  # fmt: skip
    assert cli.main([
        "evaluate", f"--data={folder}", f"--output_dir={tmp_path}/out", "--deblur",
        "--systems=bicubic,true", "--sr=bicubic",
    ]) == 0  # fmt: skip
    text = (tmp_path / "out/table.md").read_text()
    at_1, at_2 = text.split("x2, 1 images", 1)
    for title, _ in deblurring.METHODS.values():
        row = f"| true kernel + {title} |"
        assert row in at_1 and row not in at_2
