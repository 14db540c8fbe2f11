"""Tables of made-up rows, with numbers worked out by hand."""

import pytest

from kernelgan_jax.benchmark import SYSTEMS, ImageRow, KernelRow, tables


def row(kind, system, image, seed=0, **values):
    """A row; its cost depends on the seed."""
    common = dict(scale=2, system=system, image=image, seed=seed, fingerprint="",
                  files={}, seconds=1.0 + seed, memory=100 + seed)  # fmt: skip
    if kind == "kernel":
        return KernelRow(**common, **values)
    measures = dict.fromkeys(("psnr_y", "ssim_y", "lr_psnr_y", "shift"))
    return ImageRow(**common, **(measures | values))


def rated(level, expected, error, loss):
    """A confidence as rows have it."""
    return {
        "level": level,
        "expected_kernel_psnr": expected,
        "expected_covariance_error": error,
        "expected_sr_loss": loss,
    }


def cells(text):
    return [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in text.splitlines()
    ]


@pytest.fixture(scope="module")
def measured():
    """Two images, two seeds of KernelGAN's kernels, of which one failed."""
    rows = [
        row("kernel", "kernelgan", image, seed, kernel_psnr=psnr, covariance_error=0.1,
            kernel_psnr_on_grid=psnr - 7,
            failure="diverged" if (image, seed) == ("a", 0) else "")
        for image, values in (("a", (50.0, 54.0)), ("b", (60.0, 60.0)))
        for seed, psnr in enumerate(values)
    ]  # fmt: skip
    rows += [
        row("kernel", "single_layer", i, kernel_psnr=50.0, covariance_error=0.3)
        for i in "ab"
    ]
    for system, gain in (("bicubic", 0.0), ("kernelgan", 1.0)):
        rows += [
            row("sr", system, image, psnr_y=psnr, ssim_y=0.8, lr_psnr_y=40.0,
                shift=(0.1, -0.2))
            for image, psnr in (("a", 30.0 + gain), ("b", 32.0 + 2 * gain))
        ]  # fmt: skip
    return rows


def test_tables(measured):
    lines = cells(tables.markdown(measured, list(SYSTEMS.values()), 2))
    assert lines[0][0] == "x2, 2 images"
    found = {tuple(line[:1]): line for line in lines[:5]}
    assert found[("KernelGAN",)] == [
        "KernelGAN", "32.50 ± 2.12", "0.8000 ± 0.0000", "+1.50, +1.00", "",
        "40.0", "0.20", "1.00", "100",
    ]  # fmt: skip
    assert [
        "KernelGAN", "56.00 ± 5.66", "50.00", "49.00 ± 5.66", "2.00", "10, 10",
        "1 of 4", "1.50", "101"
    ] in lines  # fmt: skip
    claim = "the deep linear generator beats the single layer"
    assert [claim, "", "", "+6.00 ± 4.00", "2 of 2"] in lines
    assert ["a", "50.0", "50.0, 54.0"] in lines
    assert ["a", "30.00", "31.00"] in lines


def test_rows_of_other_scales_and_systems_are_left_out(measured):
    assert tables.markdown(measured, list(SYSTEMS.values()), 4) == "\n"
    text = tables.markdown(measured, [SYSTEMS["bicubic"]], 2)
    assert "| bicubic |" in text and "KernelGAN" not in text


def test_missing_images_and_names_with_bars(measured):
    extra = row("sr", "bicubic", "a|b", psnr_y=31.0, ssim_y=0.8)
    text = tables.markdown([*measured, extra], list(SYSTEMS.values()), 2)
    assert "32.50 ± 2.12 (2 of 3)" in text and "| a\\|b | 31.00 |" in text


def rated_rows():
    """Three kernels of the spectral system with their confidence."""
    values = [("high", 60.0, 61.0, 0.1), ("high", 58.0, 57.0, 0.9)]
    rows = []
    for i, (level, expected, psnr, gap) in enumerate(
        [*values, ("low", 50.0, 49.0, 2.0)]
    ):
        confidence = rated(level, expected, 0.1 * i, 0.2 + 0.3 * i**2)
        rows += [
            row("kernel", "spectral", f"{i}", kernel_psnr=psnr, confidence=confidence,
                covariance_error=0.2 * i),
            row("sr", "spectral", f"{i}", psnr_y=30.0 - gap),
            row("sr", "true", f"{i}", psnr_y=30.0),
        ]  # fmt: skip
    return rows


def test_confidence_against_what_was_measured():
    chosen = [SYSTEMS["spectral"], SYSTEMS["true"]]
    lines = cells(tables.markdown(rated_rows(), chosen, 2))
    start = next(i for i, line in enumerate(lines) if line[0] == "x2, confidence")
    assert [line[1:] for line in lines[start + 2 : start + 5]] == [
        ["all", "3", "55.67", "56.00", "20", "10", "1.00", "0.70", "1 of 3",
         "1.00, 1.00, 1.00"],
        ["high", "2", "59.00", "59.00", "10", "5", "0.50", "0.35", "1 of 2", ""],
        ["low", "1", "49.00", "50.00", "40", "20", "2.00", "1.40", "0 of 1", ""],
    ]  # fmt: skip


def test_kernels_without_measures_are_not_rated():
    """An infinite expectation is None in a row, and so is a missing kernel's PSNR."""
    rows = [
        row("kernel", "spectral", "a", kernel_psnr=50.0, covariance_error=0.1,
            confidence=rated("high", 60.0, None, 0.1)),
        row("kernel", "spectral", "b", kernel_psnr=None, covariance_error=0.1,
            confidence=rated("high", 60.0, 0.1, 0.1)),
        row("kernel", "spectral", "c", kernel_psnr=50.0, covariance_error=0.1),
    ]  # fmt: skip
    assert "confidence" not in tables.markdown(rows, [SYSTEMS["spectral"]], 2)
