"""What a run leaves behind: the files, their names, and that they appear together."""

import dataclasses
import errno
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import scipy.io
from PIL import Image as pillow

from kernelgan_jax.app.figures import KERNEL_LOSSES
from kernelgan_jax.app.image_files import Image
from kernelgan_jax.app.report import Run, SuperResolved
from kernelgan_jax.app.terminal import summary, summary_line, table
from kernelgan_jax.config import Config
from kernelgan_jax.estimate import Confidence, KernelEstimate
from kernelgan_jax.app import kernel_files
from kernelgan_jax.app import results
from kernelgan_jax import blur_kernels
from kernelgan_jax import kernels

KERNEL = blur_kernels.gaussian(15, variances=(4.0, 1.0), angle=np.pi / 6, scale=2)


def make_run(
    kernel=KERNEL, kernel_x4=None, pixels=None, reason="", loss=0.25, name="a"
):
    """A run as `cli` makes it, without the training."""
    names = "generator discriminator bicubic sum boundary centre sparsity".split()
    history = {f"{n}_loss": np.full(7, loss, np.float32) for n in names}
    if pixels is None:
        pixels = np.zeros((20, 30, 3), np.uint8)
    return Run(
        path=Path(f"{name}.png"),
        image=Image(pixels, None, None, None, "a note"),
        config=Config(scale=2 if kernel_x4 is None else 4),
        seed=3,
        estimate=KernelEstimate(kernel, kernel_x4, kernel, history, not reason, reason),
        seconds=12.345,
    )


def written(folder, **options):
    results.write(folder, make_run(**options))
    return folder


def strict(path):
    """Reads JSON as other languages do: without NaN."""

    def refuse(name):
        raise ValueError(name)

    return json.loads(path.read_text(), parse_constant=refuse)


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


# --- Names ---


def names(*paths):
    folders = results.folders([Path(p) for p in paths], Path("out"))
    assert all(folder.parent == Path("out") for folder in folders)
    return [folder.name for folder in folders]


def test_folders_bear_the_stems():
    assert names("x/a.png", "x/b.tar.png") == ["a", "b.tar"]


def test_equal_stems_are_numbered():
    assert names("x/a.png", "y/a.png", "a.jpg") == ["a", "a_2", "a_3"]


@pytest.mark.parametrize(
    "paths", [("a.png", "y/a.png", "a_2.png"), ("a_2.png", "a.png", "y/a.png")]
)
def test_a_number_never_takes_the_name_of_another_image(paths):
    chosen = dict(zip(paths, names(*paths), strict=True))
    assert chosen == {"a.png": "a", "y/a.png": "a_3", "a_2.png": "a_2"}


def test_names_that_a_file_system_takes_for_the_same():
    assert names("A.png", "a.jpg") == ["A", "a_2"]
    assert names("caf\u00e9.png", "cafe\u0301.png")[1].endswith("_2")


# --- Files ---


def test_files_of_scale_2(tmp_path):
    folder = written(tmp_path / "a")
    expected = {"kernel_x2.npy", "kernel_x2.mat", "kernel.png", "report.json"}
    assert set(contents(folder)) == expected
    assert list(tmp_path.iterdir()) == [folder]


def test_both_kernels_are_saved_bit_for_bit(tmp_path):
    x4 = kernels.kernel_x4(KERNEL)
    folder = written(tmp_path / "a", kernel_x4=x4)
    for name, kernel in (("kernel_x2", KERNEL), ("kernel_x4", x4)):
        npy = np.load(folder / f"{name}.npy")
        mat = scipy.io.loadmat(folder / f"{name}.mat")["Kernel"]
        assert npy.dtype == mat.dtype == kernel.dtype
        np.testing.assert_array_equal(npy, kernel)
        np.testing.assert_array_equal(mat, kernel)


def test_report(tmp_path):
    found = strict(written(tmp_path / "a") / "report.json")
    image = dict(width=30, height=20, channels=3, dtype="uint8", note="a note")
    assert found["image"] == {"path": "a.png", **image}
    assert found["converged"] is True and found["reason"] == ""
    assert found["kernel_x2"]["shape"] == [15, 15]
    assert found["kernel_x2"]["sum"] == pytest.approx(1)
    assert found["kernel_x2"]["centre_of_mass"] == pytest.approx([7.5, 7.5], abs=0.01)
    widths = found["kernel_x2"]["widths"]
    assert widths["longer"] == pytest.approx(2, abs=0.02)
    assert widths["shorter"] == pytest.approx(1, abs=0.02)
    assert widths["angle"] == pytest.approx(30, abs=1)
    assert "kernel_x4" not in found
    assert found["final_losses"]["bicubic_loss"] == 0.25
    assert (found["steps"], found["seconds"], found["seed"]) == (7, 12.345, 3)
    settings = Config().asdict()
    settings["generator_kernels"] = list(settings["generator_kernels"])
    assert found["config"] == settings
    assert found["device"]["platform"] == "cpu" or found["device"]["kind"]
    packages = "kernelgan_jax jax jaxlib flax optax numpy scipy python".split()
    assert sorted(found["versions"]) == sorted(packages)
    assert found["versions"]["numpy"] == np.__version__


@pytest.mark.parametrize("loss", [np.nan, np.inf, 0.0])
def test_a_diverged_training_is_reported_too(tmp_path, loss):
    options = dict(kernel=np.zeros((13, 13)), reason="no kernel was found", loss=loss)
    found = strict(written(tmp_path / "a", **options) / "report.json")
    assert (found["converged"], found["reason"]) == (False, "no kernel was found")
    assert found["kernel_x2"]["widths"] is None
    expected = loss if np.isfinite(loss) else None
    assert found["final_losses"]["generator_loss"] == expected


@pytest.mark.parametrize(
    "pixels",
    [np.zeros((20, 30, 1), np.uint8), np.full((3000, 25, 3), 65535, np.uint16)],
    ids=["grey", "large 16-bit"],
)
def test_figure(tmp_path, pixels):
    # A name that is no formula, and has a letter that the font lacks.
    folder = written(tmp_path / "a", pixels=pixels, name="$x_{y$ \u732b \udcff")
    with pillow.open(folder / "kernel.png") as figure:
        assert figure.size == (1600, 500)
        assert len(figure.convert("RGB").getcolors(10**6)) > 100


def test_confidence_in_report_figure_and_table(tmp_path):
    samples = np.stack(
        [KERNEL, blur_kernels.gaussian(15, variances=(3.0, 1.2), scale=2)]
    )
    said = Confidence("low", "a $reason", 55.0, np.inf, 0.3, 0.1, 0.2, 5.0, samples)
    run = make_run()
    run = dataclasses.replace(
        run,
        estimate=run.estimate._replace(confidence=said, history={}, noise=0.02),
    )
    results.write(tmp_path / "a", run)
    found = strict(tmp_path / "a" / "report.json")
    assert found["confidence"] == {
        "level": "low",
        "reason": "a $reason",
        "expected_kernel_psnr": 55.0,
        "expected_covariance_error": None,
        "expected_sr_loss": 0.3,
        "standard_deviations": {"longer": 0.1, "shorter": 0.2, "angle": 5.0},
    }
    assert (found["noise"], found["steps"], found["final_losses"]) == (0.02, 0, {})
    with pillow.open(tmp_path / "a" / "kernel.png") as figure:
        assert figure.size == (1100, 500)  # without losses
    summary = summary(tmp_path / "a", run)
    assert ", confidence low: a $reason, " in summary_line(summary)
    assert table([summary]).splitlines()[1].split()[-2:] == ["low", "a.png"]


# --- Together, or not at all ---


@pytest.mark.parametrize("shape", [(20, 30, 3), (200, 150, 1), (9, 9, 3)])
@pytest.mark.parametrize("with_kernel", [False, True])
def test_comparison(tmp_path, shape, with_kernel):
    pixels = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    enlarged = Image(pixels.repeat(2, 0).repeat(2, 1))
    sr = SuperResolved(
        enlarged, KERNEL if with_kernel else None, "$k.npy", 1.0, "a $note"
    )
    run = dataclasses.replace(make_run(pixels=pixels), estimate=None, sr=sr)
    results.write(tmp_path, run)
    assert sorted(contents(tmp_path)) == ["comparison.png", "report.json", "sr_x2.png"]
    figure = np.asarray(pillow.open(tmp_path / "comparison.png").convert("L"))
    assert figure.shape[1] > 1000 and figure.std() > 10
    line = summary_line(summary(tmp_path, run))
    assert "super-resolved a $note" in line


def test_a_rerun_replaces_its_own_files_and_no_others(tmp_path):
    folder = written(tmp_path / "a", kernel_x4=kernels.kernel_x4(KERNEL))
    (folder / "mine.txt").write_text("keep")
    written(folder, kernel=KERNEL.T)
    assert {p.name for p in folder.iterdir()} == {
        "kernel_x2.npy",
        "kernel_x2.mat",
        "kernel.png",
        "report.json",
        "mine.txt",
    }
    np.testing.assert_array_equal(np.load(folder / "kernel_x2.npy"), KERNEL.T)


def test_a_full_disk_leaves_the_earlier_results(tmp_path, monkeypatch):
    folder = written(tmp_path / "a")
    before = contents(folder)

    def full(path, *_, **__):
        Path(path).write_bytes(b"half")
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(kernel_files, "write_mat", full)
    with pytest.raises(results.OutputError) as caught:
        written(folder, kernel=KERNEL.T)
    reason = os.strerror(errno.ENOSPC)
    assert str(caught.value) == f"{folder}: cannot be written: {reason}"
    assert contents(folder) == before
    assert list(tmp_path.iterdir()) == [folder]


def test_the_report_comes_last_and_goes_first(tmp_path, monkeypatch):
    folder = written(tmp_path / "a")
    replace, moved = os.replace, []

    def stop_at_the_second(source, target):
        if moved:
            raise KeyboardInterrupt
        moved.append(target)
        replace(source, target)

    monkeypatch.setattr(os, "replace", stop_at_the_second)
    with pytest.raises(KeyboardInterrupt):
        written(folder, kernel=KERNEL.T)
    assert len(moved) == 1
    assert not (folder / "report.json").exists()


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs SIGKILL")
def test_a_killed_run_leaves_nothing_half_written(tmp_path):
    folder = written(tmp_path / "a")
    before = contents(folder)
    program = f"""
import os, signal, sys
sys.path[:0] = {sys.path!r}
from pathlib import Path
import test_report
test_report.report._save_figure = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
test_report.written(Path({str(folder)!r}), kernel=test_report.KERNEL.T)
"""
    killed = subprocess.run([sys.executable, "-c", program])
    assert killed.returncode == -signal.SIGKILL
    assert contents(folder) == before
    (left,) = (path for path in tmp_path.iterdir() if path != folder)
    assert left.name.startswith(".")

    # Another run may still be at work on what is young.
    results.prepare(tmp_path)
    assert left.exists()
    long_ago = time.time() - 2 * 3600
    os.utime(left, (long_ago, long_ago))
    results.prepare(tmp_path)
    assert list(tmp_path.iterdir()) == [folder]


def test_check_writable_takes_no_file_for_a_folder(tmp_path):
    (tmp_path / "a").write_text("")
    with pytest.raises(results.OutputError, match="a: cannot be written: "):
        results.check_writable(tmp_path / "a")
    results.check_writable(tmp_path / "absent")
    assert not (tmp_path / "absent").exists()


# --- The terminal ---


def test_summary_line():
    line = summary_line(summary(Path("out/a"), make_run()))
    assert line == "a.png: kernel 2.00 × 1.00 px at 30°, 12.3 s -> out/a"


def test_summary_line_says_that_it_did_not_converge():
    run = make_run(kernel=np.zeros((13, 13)), reason="no kernel was found")
    line = summary_line(summary(Path("out/a"), run))
    assert line.startswith("a.png: NOT CONVERGED (no kernel was found)")


@pytest.mark.parametrize("shape", [(256, 256, 1), (150, 226, 3), (226, 150, 3)])
@pytest.mark.parametrize("reason", ["", "why"])
def test_nothing_of_the_figure_is_cut_off(tmp_path, shape, reason):
    written(tmp_path / "a", pixels=np.full(shape, 99, np.uint8), reason=reason)
    figure = np.asarray(pillow.open(tmp_path / "a" / "kernel.png").convert("L"))
    for edge in (figure[0], figure[-1], figure[:, 0], figure[:, -1]):
        assert edge.min() > 250  # white


def test_figure_without_kernel_losses(tmp_path):
    """A flow as generator is trained without them; the panel is empty then."""
    weights = {f"{name}_weight": 0.0 for name in KERNEL_LOSSES}
    run = dataclasses.replace(make_run(), config=Config(**weights))
    results.write(tmp_path / "without", run)
    written(tmp_path / "with")
    without, with_losses = (
        np.asarray(pillow.open(tmp_path / name / "kernel.png").convert("L"))
        for name in ("without", "with")
    )
    assert without.shape == with_losses.shape
    lower_panel = (slice(300, 480), slice(1170, 1590))
    assert without[lower_panel].mean() > with_losses[lower_panel].mean()


def known_bicubic():
    """A run with the bicubic kernel, whose second moments are 0."""
    pixels = np.zeros((20, 30, 3), np.uint8)
    enlarged = Image(pixels.repeat(2, 0).repeat(2, 1))
    sr = SuperResolved(enlarged, blur_kernels.bicubic(2), "bicubic", 1.0, "")
    return dataclasses.replace(make_run(pixels=pixels), estimate=None, sr=sr)


def test_the_bicubic_kernel_has_no_width_and_a_known_one_is_not_judged():
    summary = summary(Path("out/a"), known_bicubic())
    assert summary_line(summary) == "a.png: 13.3 s -> out/a"
    assert table([summary]).splitlines()[1].split()[:4] == [
        "-",
        "-",
        "13.3",
        "-",
    ]


def test_table():
    good = summary(Path("out/a"), make_run())
    bad = summary(
        Path("out/b"), make_run(kernel=np.zeros((9, 9)), reason="why", name="b")
    )
    lines = table([good, bad]).splitlines()
    assert [line.split()[-3:] for line in lines] == [
        ["converged", "confidence", "image"],
        ["yes", "-", "a.png"],
        ["NO", "-", "b.png"],
    ]
    assert len({line.index(line.split()[-1]) for line in lines}) == 1
