"""The benchmark: test sets, systems and what is measured, tables, the command."""

import dataclasses
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from urllib.parse import unquote

import jax
import numpy as np
import pytest
from test_degrade import write_images

from kernelgan_jax.benchmark.systems import Answer, Estimator
from kernelgan_jax.estimators.patch_recurrence import estimate_by_recurrence
from kernelgan_jax.pixels import to_unit
from kernelgan_jax.resize import bicubic_resize
from kernelgan_jax.app import image_files
from kernelgan_jax.app import kernel_files
from kernelgan_jax.benchmark import cli
from kernelgan_jax.benchmark import plots
from kernelgan_jax.benchmark import tables
from kernelgan_jax import blur_kernels
from kernelgan_jax import kernels
from kernelgan_jax import metrics
from kernelgan_jax import Config
from kernelgan_jax import estimate_kernel
from kernelgan_jax.benchmark import SYSTEMS
from kernelgan_jax.benchmark import System
from kernelgan_jax.benchmark import degrade
from kernelgan_jax.benchmark import evaluate
from kernelgan_jax.benchmark import finished
from kernelgan_jax.benchmark import from_file
from kernelgan_jax.benchmark import read

CHEAP = [SYSTEMS[name] for name in ("bicubic", "constant", "true")]


@pytest.fixture
def data(tmp_path):
    """A test set of three images, at x2 and x4."""
    hr = write_images(tmp_path / "in", "one", "two", "10", size=(96, 112))
    degrade(hr, tmp_path / "set")
    return tmp_path / "set"


def write(path, pixels):
    path.parent.mkdir(parents=True, exist_ok=True)
    image_files.write_png(path, image_files.Image(pixels))


# --- Test sets ---


def test_a_test_set_is_read(data):
    found = read(data, 2)
    assert [case.name for case in found.cases] == ["10", "one", "two"]
    assert not found.problems
    case = found.cases[1]
    assert case.lr().shape == (48, 56, 3) and case.hr().shape == (96, 112, 3)
    assert case.kernel().shape == (11, 11)
    assert [case.name for case in read(data, 2, ["two"]).cases] == ["two"]


def test_names_that_look_like_div2krks(data, tmp_path):
    """In our own layout names are names; numbers in them may be of any script."""
    hr = write_images(tmp_path / "odd", "swim_2", "im_1", "img_1", "5²", "a|b #1.x",
                      size=(64, 64))  # fmt: skip
    degrade(hr, tmp_path / "odd_set", scales=[2])
    found = read(tmp_path / "odd_set", 2)
    assert {case.name for case in found.cases} == {path.stem for path in hr}
    out = tmp_path / "out"
    assert cli.main(["evaluate", f"--data={tmp_path}/odd_set", f"--output_dir={out}",
                     "--systems=bicubic,constant", "--sr=none"]) == 0  # fmt: skip
    page = (out / "x2.html").read_text()
    links = re.findall(r'(?:src|href)="([^"]+)"', page)
    assert links and all((out / unquote(link)).exists() for link in links)
    assert "a\\|b #1.x" in (out / "table.md").read_text()


def test_the_layout_of_div2krk(data, tmp_path):
    """gt/img_1_gt.png, lr_x2/im_1.png, gt_k_x2/kernel_1.mat; sorted by number."""
    theirs = tmp_path / "DIV2KRK"
    for i, case in enumerate(read(data, 2).cases):
        number = (10, 9, 100)[i]
        for part, name, path in (
            ("gt", f"img_{number}_gt.png", case.hr_path),
            ("lr_x2", f"im_{number}.png", case.lr_path),
            ("gt_k_x2", f"kernel_{number}.mat", case.kernel_path),
        ):
            (theirs / part).mkdir(parents=True, exist_ok=True)
            (theirs / part / name).write_bytes(path.read_bytes())
    found = read(theirs, 2)
    assert [case.name for case in found.cases] == ["9", "10", "100"]
    assert not found.problems


def break_set(data):
    """Each image another fault; returns what is to be said of it."""
    hr, lr, k = data / "hr", data / "lr_x2", data / "gt_k_x2"
    for name in "abcdefg":
        write(hr / f"{name}.png", image_files.read(hr / "one.png").pixels)
        write(lr / f"{name}.png", image_files.read(lr / "one.png").pixels)
        kernel_files.write_mat(k / f"{name}.mat", np.ones((3, 3)))
    (k / "a.mat").unlink()
    write(hr / "b.png", image_files.read(hr / "one.png").pixels[:-8])
    (lr / "c.png").write_bytes(b"nothing")
    np.save(k / "d.npy", np.ones((3, 3)))
    kernel_files.write_mat(k / "e.mat", np.zeros((3, 3)))
    (hr / "f.png").unlink()
    np.save(k / "g.npy", np.ones((2, 3, 3)))
    (k / "g.mat").unlink()
    return {
        "a": "has no kernel at x2",
        "b": "LR is 56x48x3 and HR 112x88x3, which do not match at x2",
        "c": "c.png",
        "d": "there are",
        "e": "sum",
        "f": "has no HR image",
        "g": "shape",
    }


def test_faults_of_a_test_set(data):
    faults = break_set(data)
    found = read(data, 2)
    assert [case.name for case in found.cases] == ["10", "one", "two"]
    for name, words in faults.items():
        mine = [p for p in found.problems if re.search(rf"\b{name}(\.png)?:", p)]
        assert mine and words in mine[0] and "\n" not in mine[0], name
    assert "no such image" in read(data, 2, ["three"]).problems[-1]
    with pytest.raises(ValueError, match="has no lr_x3"):
        read(data, 3)


def test_hr_sides_that_the_scale_does_not_divide(data, tmp_path):
    """Both ways of DIV2K: an LR image of ceil or of floor of the sides."""
    case = read(data, 4).cases[0]
    for cut in (1, 3):
        write(case.hr_path, case.hr()[: 96 - cut, : 112 - cut])
        found = evaluate(data, tmp_path / f"{cut}", scale=4, systems=CHEAP[:1])
        assert not found.problems and len(found.rows) == 3


# --- Measuring ---


def rows_of(found, kind, system):
    return [r for r in found.rows if r["kind"] == kind and r["system"] == system]


def test_what_is_measured(data, tmp_path):
    """Against the metrics themselves, on the files that are kept."""
    found = evaluate(data, tmp_path / "out", scale=2, systems=CHEAP, method="bicubic")
    assert not found.problems
    assert len(rows_of(found, "kernel", "constant")) == 3  # no seeds
    assert len(rows_of(found, "sr", "bicubic")) == 3
    for case in read(data, 2).cases:
        (row,) = [r for r in rows_of(found, "sr", "bicubic") if r["image"] == case.name]
        sr = image_files.read(tmp_path / f"out/x2/sr/bicubic/seed0/{case.name}.png").pixels
        unit, hr = to_unit(sr), to_unit(case.hr())
        expected = np.clip(bicubic_resize(to_unit(case.lr()), 2), 0, 1)
        assert np.abs(unit - expected).max() < 0.51 / 255
        assert row["psnr_y"] == pytest.approx(
            metrics.psnr_y(unit, hr, scale=2), abs=0.01
        )
        assert row["ssim_y"] == pytest.approx(
            metrics.ssim_y(unit, hr, scale=2), abs=1e-3
        )
        assert row["lr_psnr_y"] > 30 and row["seconds"] >= 0
        (row,) = [
            r for r in rows_of(found, "kernel", "constant") if r["image"] == case.name
        ]
        kernel = np.load(tmp_path / f"out/x2/kernels/constant/seed0/{case.name}_x2.npy")
        assert row["kernel_psnr"] == metrics.kernel_psnr(kernel, case.kernel())
        assert row["covariance_error"] == metrics.covariance_error(
            kernel, case.kernel()
        )
    assert all(r["kernel_psnr"] is None for r in rows_of(found, "kernel", "true"))
    for line in (tmp_path / "out/runs.jsonl").read_text().splitlines():
        json.loads(line, parse_constant=pytest.fail)  # Strict JSON.


class Counter:
    """An estimator that counts its calls, and fails where told to."""

    def __init__(self, batch=1, fails=(), size=5):
        self.calls, self.fails, self.size = [], fails, size
        self.system = System(
            "counter", "Counter", Estimator("counter", self.run, batch=lambda: batch,
                                            seeded=True)
        )  # fmt: skip

    def run(self, requests):
        self.calls.append([(r.name, r.seed) for r in requests])
        if any(r.name in self.fails for r in requests):
            raise RuntimeError("two\nlines")
        variances = (1.0 + r.seed for r in requests)
        return [
            Answer(blur_kernels.gaussian(self.size, variances=(v, v), scale=r.scale))
            for r, v in zip(requests, variances, strict=True)
        ]


def test_batches_and_seeds(data, tmp_path):
    counter = Counter(batch=2)
    options = dict(scale=2, systems=[counter.system], method="bicubic", seeds=2)
    found = evaluate(data, tmp_path / "out", **options)
    assert counter.calls == [
        [("10", 0), ("one", 0)], [("two", 0)], [("10", 1), ("one", 1)], [("two", 1)]
    ]  # fmt: skip
    assert len(rows_of(found, "kernel", "counter")) == 6
    assert {r["seed"] for r in rows_of(found, "sr", "counter")} == {0}
    found = evaluate(data, tmp_path / "out", **options, sr_seeds=2)
    assert len(rows_of(found, "sr", "counter")) == 6 and len(counter.calls) == 4


def test_it_goes_on_where_it_stopped(data, tmp_path):
    counter = Counter()
    options = dict(scale=2, systems=[counter.system], method="bicubic", seeds=1)

    class Stop(BaseException):
        pass

    def stop(line):
        if "one" in line:
            raise Stop

    with pytest.raises(Stop):
        evaluate(data, tmp_path / "out", **options, say=stop)
    file = tmp_path / "out/runs.jsonl"
    file.write_text(file.read_text() + '{"kind": "ker')  # killed while writing
    said = []
    found = evaluate(data, tmp_path / "out", **options, say=said.append)
    assert [name for ((name, _),) in counter.calls] == ["10", "one", "two"]
    assert len(found.rows) == 6
    again = evaluate(data, tmp_path / "out", **options, say=said.append)
    assert len(counter.calls) == 3 and again.rows == found.rows
    # Files that are gone or are others are made again.
    (tmp_path / "out/x2/kernels/counter/seed0/two_x2.npy").unlink()
    np.save(tmp_path / "out/x2/kernels/counter/seed0/one_x2.npy", np.ones((3, 3)))
    evaluate(data, tmp_path / "out", **options)
    assert [name for ((name, _),) in counter.calls[3:]] == ["one", "two"]
    # What the measurements depend on has changed: that image is measured again.
    del counter.calls[3:]
    case = read(data, 2).cases[0]
    write(case.lr_path, case.lr()[:, ::-1])
    evaluate(data, tmp_path / "out", **options)
    assert [name for ((name, _),) in counter.calls[3:]] == ["10"]


@pytest.mark.parametrize("batch", [1, 3])
def test_a_failure_is_named_and_the_others_go_on(data, tmp_path, batch):
    counter = Counter(batch=batch, fails=("one",))
    options = dict(scale=2, systems=[counter.system], method="bicubic", seeds=1)
    found = evaluate(data, tmp_path / "out", **options)
    (problem,) = found.problems
    assert problem == "counter, one, seed 0: RuntimeError: two lines"
    assert {r["image"] for r in rows_of(found, "sr", "counter")} == {"10", "two"}
    counter.fails = ()
    found = evaluate(data, tmp_path / "out", **options)
    assert not found.problems and len(rows_of(found, "sr", "counter")) == 3


def test_failed_estimates_are_replaced_for_sr():
    """As in the command: by the bicubic kernel; and they are counted."""
    jumps = SYSTEMS["kernelgan"].estimator.jumps
    kernel = blur_kernels.gaussian(5, variances=(1.0, 1.0), scale=2)
    (jump,) = jumps(2, Answer(kernel, reason="it diverged"))
    assert jump.kernel.max() == pytest.approx(blur_kernels.bicubic(2).max())
    np.testing.assert_allclose(
        kernels.centre_of_mass(jump.kernel), kernels.alignment(jump.kernel.shape, 2)
    )
    (jump,) = jumps(2, Answer(kernel))
    assert jump.kernel is kernel and len(jump.widths) == 3
    first, last = jumps(4, Answer(kernels.kernel_x4(kernel), kernel))
    assert first.kernel is kernel and (first.scale, last.scale) == (2, 4)
    (jump,) = SYSTEMS["true"].estimator.jumps(2, Answer(kernel))
    assert jump.widths == (1.0,)


def test_michaeli_and_irani_at_x4(tmp_path):
    """The x2 kernel of the image, composed; too small an image is named."""
    hr = write_images(tmp_path / "in", "large", size=(144, 160))
    hr += write_images(tmp_path / "in", "small", size=(96, 112))
    degrade(hr, tmp_path / "set", scales=[4])
    found = evaluate(
        tmp_path / "set", tmp_path / "out", scale=4,
        systems=[SYSTEMS["michaeli_irani"]], method="none",
    )  # fmt: skip
    (problem,) = found.problems
    assert "michaeli_irani, small" in problem and "at least 31" in problem
    folder = tmp_path / "out/x4/kernels/michaeli_irani/seed0"
    k2, k4 = (np.load(folder / f"large_x{scale}.npy") for scale in (2, 4))
    large = read(tmp_path / "set", 4, ["large"]).cases[0].lr()
    np.testing.assert_array_equal(k2, estimate_by_recurrence(large))
    np.testing.assert_array_equal(k4, kernels.kernel_x4(k2))


def test_systems_that_do_not_know_the_scale_are_left_out(tmp_path, capsys):
    hr = write_images(tmp_path / "in", "a", size=(96, 96))
    degrade(hr, tmp_path / "set", scales=[3])
    command = ["evaluate", f"--data={tmp_path}/set", f"--output_dir={tmp_path}/out",
               "--sr=none"]  # fmt: skip
    assert cli.main([*command, "--systems=kernelgan,bicubic,constant"]) == 0
    printed = capsys.readouterr()
    assert "kernelgan: does not know this scale" in printed.out
    assert "| constant Gaussian" in printed.out and "| KernelGAN" not in printed.out
    assert cli.main([*command, "--systems=kernelgan"]) == 1
    assert "nothing that could be measured" in capsys.readouterr().err


def test_what_is_infinite_or_cannot_be_measured(tmp_path):
    """The HR image as a result; an impulse as kernel; images too small for a shift."""
    hr = write_images(tmp_path / "in", "a", "b", size=(64, 64))
    hr += write_images(tmp_path / "in", "tiny", size=(32, 32))
    degrade(hr, tmp_path / "set", scales=[4])
    impulse = np.zeros((5, 5))
    impulse[2, 2] = 1
    kernel_files.write_mat(tmp_path / "set/gt_k_x4/b.mat", impulse)
    best = finished("best", tmp_path / "set/hr")
    found = evaluate(
        tmp_path / "set", tmp_path / "out", scale=4, method="bicubic",
        systems=[best, SYSTEMS["constant"]],
    )  # fmt: skip
    assert not found.problems and len(found.rows) == 3 * 4
    rows = {r["image"]: r for r in rows_of(found, "sr", "best")}
    assert rows["a"]["psnr_y"] is None and rows["a"]["ssim_y"] == 1
    assert rows["tiny"]["shift"] is None and rows["tiny"]["lr_psnr_y"] is None
    rows = {r["image"]: r for r in rows_of(found, "kernel", "constant")}
    assert rows["b"]["covariance_error"] is None and rows["b"]["kernel_psnr"] > 30
    text = tables.markdown(found.rows, [best, SYSTEMS["constant"]], 4)
    assert "| constant Gaussian" in text and "nan" not in text and "inf" not in text


def test_kernelgan_is_run_as_by_the_command(tmp_path):
    """A config file as a system: the kernel is that of estimate_kernel, bit for bit."""
    hr = write_images(tmp_path / "in", "a", "b", size=(176, 176))
    degrade(hr, tmp_path / "set", scales=[2])
    (tmp_path / "short.py").write_text(
        "from ml_collections import ConfigDict\n"
        "from kernelgan_jax import Config\n"
        "def get_config():\n"
        "    return ConfigDict(Config(iterations=4).asdict())\n"
    )
    (system,) = from_file(str(tmp_path / "short.py"))
    found = evaluate(
        tmp_path / "set", tmp_path / "out", scale=2, systems=[system], method="none",
        seeds=2,
    )  # fmt: skip
    assert len(found.rows) == 4 and not found.problems
    assert all("warm start" in row["reason"] for row in found.rows)
    image = read(tmp_path / "set", 2).cases[1].lr()
    expected = estimate_kernel(jax.random.key(1), image, config=Config(iterations=4))
    kept = np.load(tmp_path / "out/x2/kernels/short/seed1/b_x2.npy")
    size = len(expected.kernel)
    pad = (len(kept) - size) // 2  # Kernels of a batch are of one size.
    np.testing.assert_array_equal(kept[pad : pad + size, pad : pad + size],
                                  expected.kernel)  # fmt: skip


# --- The user's own systems ---

PLUGS = """
import numpy as np
from neighbour import SIZE
from kernelgan_jax import kernels

def kernel(image, *, scale, seed):
    return kernels.gaussian(SIZE, variances=(2.0 + seed, 2.0), scale=scale)

def image(image, *, scale, seed):
    return image.repeat(scale, 0).repeat(scale, 1)

def both(image, *, scale, seed):
    enlarged = image.repeat(scale, 0).repeat(scale, 1)
    return kernel(image, scale=scale, seed=seed), enlarged

def method(image, kernel, *, scale, seed):
    assert kernel.shape == (11, 11), "not the true kernel"
    return image.repeat(scale, 0).repeat(scale, 1) / 255

def wrong(image, *, scale, seed):
    return image

def nothing(image, *, scale, seed):
    return None
"""


@pytest.fixture
def plugs(tmp_path):
    (tmp_path / "neighbour.py").write_text("SIZE = 9\n")
    path = tmp_path / "plugs.py"
    path.write_text(PLUGS)
    return path


def test_a_kernel_estimator_of_the_user(data, plugs, tmp_path):
    (system,) = from_file(f"{plugs}:kernel")
    found = evaluate(
        data, tmp_path / "out", scale=2, systems=[system], method="bicubic", seeds=2
    )
    assert not found.problems and len(found.rows) == 6 + 3
    kept = np.load(tmp_path / "out/x2/kernels/kernel/seed1/one_x2.npy")
    np.testing.assert_allclose(
        kept, blur_kernels.gaussian(9, variances=(3.0, 2.0), scale=2), rtol=1e-12
    )


@pytest.mark.parametrize(("name", "has_kernels"), [("image", False), ("both", True)])
def test_images_of_the_user(data, plugs, tmp_path, name, has_kernels):
    (system,) = from_file(f"{plugs}:{name}")
    found = evaluate(data, tmp_path / "out", scale=2, systems=[system], seeds=2)
    assert not found.problems
    kernel_rows = rows_of(found, "kernel", name)
    # What makes images alone is not run for the seeds of kernels.
    assert len(kernel_rows) == (6 if has_kernels else 3)
    assert all((r["kernel_psnr"] is not None) == has_kernels for r in kernel_rows)
    case = read(data, 2).cases[1]
    row = rows_of(found, "sr", name)[1]
    assert (
        row["seconds"] == kernel_rows[1]["seconds"]
    )  # of the function, not of reading
    expected = to_unit(case.lr()).repeat(2, 0).repeat(2, 1)
    hr = to_unit(case.hr())
    assert row["psnr_y"] == metrics.psnr_y(expected, hr, scale=2)


def test_an_sr_method_of_the_user(data, plugs, tmp_path):
    """It gets KernelGAN's kernel and the true one, in a row each."""
    ours, true = from_file(f"{plugs}:method")
    assert ours.estimator is SYSTEMS["kernelgan"].estimator
    ours = dataclasses.replace(ours, estimator=Counter(size=11).system.estimator)
    found = evaluate(data, tmp_path / "out", scale=2, systems=[ours, true])
    assert not found.problems
    assert all(len(rows_of(found, "sr", system.name)) == 3 for system in (ours, true))


def test_an_edit_of_what_a_plug_imports_is_seen(data, plugs, tmp_path):
    options = dict(scale=2, method="none", seeds=1)
    psnr = []
    for size in (9, 5):
        (tmp_path / "neighbour.py").write_text(f"SIZE = {size}\n")
        sys.modules.pop("neighbour", None)
        shutil.rmtree(tmp_path / "__pycache__", ignore_errors=True)
        found = evaluate(
            data, tmp_path / "out", systems=from_file(f"{plugs}:kernel"), **options
        )
        psnr.append(found.rows[0]["kernel_psnr"])
    assert psnr[0] != psnr[1]


def test_a_plug_may_have_the_name_of_a_standard_module(tmp_path):
    import random

    path = tmp_path / "random.py"
    path.write_text("def f(image, *, scale, seed): return None\n")
    from_file(f"{path}:f")
    assert sys.modules["random"] is random


@pytest.mark.parametrize(
    ("name", "words"), [("wrong", "it must be 112x96"), ("nothing", "there is nothing")]
)
def test_wrong_answers_of_the_user(data, plugs, tmp_path, name, words):
    (system,) = from_file(f"{plugs}:{name}")
    found = evaluate(data, tmp_path / "out", scale=2, systems=[system], seeds=1)
    assert len(found.problems) == 3 and all(words in p for p in found.problems)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{}/missing.py:f", "no such file"),
        ("{}/plugs.py:missing", "has no function missing"),
        ("{}/plugs.py", "name a function"),
        ("{}/broken.py:f", "SyntaxError"),
        ("{}/config.py", "no_setting"),
    ],
)
def test_systems_that_cannot_be_loaded(plugs, text, words):
    (plugs.parent / "broken.py").write_text("def f(:")
    (plugs.parent / "config.py").write_text(
        "from ml_collections import ConfigDict\n"
        "def get_config():\n"
        "    return ConfigDict({'no_setting': 1})\n"
    )
    with pytest.raises(ValueError, match=words):
        from_file(text.format(plugs.parent))


# --- Finished results ---


def test_finished_results(data, tmp_path):
    """In the layouts of this command, of the reference, and flat."""
    cases = read(data, 4).cases
    folder = tmp_path / "theirs"
    k2 = blur_kernels.gaussian(9, variances=(2.0, 2.0), scale=2)
    k4 = kernels.kernel_x4(k2)
    sr = [np.repeat(np.repeat(c.lr(), 4, 0), 4, 1) for c in cases]
    for file, kernel in (("kernel_x2", k2), ("kernel_x4", k4)):
        kernel_path = folder / cases[0].name / file
        kernel_path.parent.mkdir(parents=True, exist_ok=True)
        kernel_files.write(kernel_path, kernel)
    write(folder / cases[0].name / "sr_x4.png", sr[0])
    write(folder / cases[0].name / "kernel.png", sr[0][:50])
    write(folder / f"ZSSR_{cases[1].name}.png", sr[1])
    kernel_files.write_mat(folder / f"{cases[2].name}.mat", k4)
    system = finished("theirs", folder)
    found = evaluate(
        data, tmp_path / "out", scale=4, systems=[system], method="bicubic"
    )
    assert not found.problems
    psnr = {r["image"]: r["kernel_psnr"] for r in rows_of(found, "kernel", "theirs")}
    expected = metrics.kernel_psnr(k4, cases[0].kernel(), scale=4)
    assert psnr[cases[0].name] == pytest.approx(expected)
    assert psnr[cases[1].name] is None and psnr[cases[2].name] > 0
    assert len(rows_of(found, "sr", "theirs")) == 3
    assert all(row["seconds"] is None for row in rows_of(found, "kernel", "theirs"))
    assert "(2 of 3)" in tables.markdown(found.rows, [system], 4)
    # Images are measured also where no kernel is to be used.
    found = evaluate(data, tmp_path / "out", scale=4, systems=[system], method="none")
    assert len(rows_of(found, "sr", "theirs")) == 2


def test_whose_results_a_file_holds(tmp_path):
    """The longest name that it bears; a folder counts if it is a name or a scale."""
    hr = write_images(tmp_path / "in", "baby", "baby_2", "2", size=(64, 64))
    degrade(hr, tmp_path / "set", scales=[2, 4])
    folder = tmp_path / "theirs"
    for file, variance in (("x2/baby_2.npy", 1.0), ("x4/baby_2.npy", 2.0),
                           ("run_2/baby.npy", 3.0), ("x2/2.npy", 4.0)):  # fmt: skip
        (folder / file).parent.mkdir(parents=True, exist_ok=True)
        kernel = blur_kernels.gaussian(9, variances=(variance,) * 2, scale=2)
        np.save(folder / file, kernel)
    # A benchmark's own output below is not taken for results.
    (folder / "benchmark").mkdir()
    (folder / "benchmark/runs.jsonl").touch()
    np.save(folder / "benchmark/baby.npy", np.ones((3, 3)))
    found = evaluate(
        tmp_path / "set", tmp_path / "out", scale=2, method="none",
        systems=[finished("theirs", folder)],
    )  # fmt: skip
    assert not found.problems
    for name, variance in (("baby", 3.0), ("baby_2", 1.0), ("2", 4.0)):
        kept = np.load(tmp_path / f"out/x2/kernels/theirs/seed0/{name}_x2.npy")
        expected = blur_kernels.gaussian(9, variances=(variance,) * 2, scale=2)
        np.testing.assert_allclose(kept, expected)


def test_faults_of_finished_results(data, tmp_path):
    cases = read(data, 2).cases
    folder = tmp_path / "theirs"
    write(folder / f"a_{cases[0].name}.png", np.zeros((96, 112, 3), np.uint8))
    write(folder / f"b_{cases[0].name}.png", np.zeros((96, 112, 3), np.uint8))
    write(folder / f"{cases[1].name}.png", np.zeros((50, 50, 3), np.uint8))
    np.save(folder / f"{cases[2].name}_a.npy", np.ones((3, 3)))
    np.save(folder / f"{cases[2].name}_b.npy", np.ones((3, 3)))
    found = evaluate(
        data, tmp_path / "out", scale=2, systems=[finished("theirs", folder)]
    )
    words = ("several super-resolved images", "has no kernel and no", "several kernels")
    assert len(found.problems) == 3
    assert all(w in p for w, p in zip(words, found.problems, strict=True))
    with pytest.raises(ValueError, match="no such folder"):
        finished("theirs", tmp_path / "nowhere")


# --- Tables ---


def row(kind, system, image, seed, **values):
    common = {"scale": 2, "seconds": 1.0 + seed, "memory": 100 + seed, "reason": ""}
    common |= {"confidence": None}
    return common | dict(kind=kind, system=system, image=image, seed=seed) | values


def test_tables():
    """Numbers worked out by hand."""
    rows = [
        row("kernel", "kernelgan", image, seed, kernel_psnr=psnr, covariance_error=0.1)
        for image, values in (("a", (50.0, 54.0)), ("b", (60.0, 60.0)))
        for seed, psnr in enumerate(values)
    ]
    rows[0]["reason"] = "diverged"
    rows += [
        row("kernel", "single_layer", i, 0, kernel_psnr=50.0, covariance_error=0.3)
        for i in "ab"
    ]
    for system, gain in (("bicubic", 0.0), ("kernelgan", 1.0)):
        rows += [
            row("sr", system, image, 0, psnr_y=psnr, ssim_y=0.8, lr_psnr_y=40.0,
                shift=[0.1, -0.2])
            for image, psnr in (("a", 30.0 + gain), ("b", 32.0 + 2 * gain))
        ]  # fmt: skip
    text = tables.markdown(rows, list(SYSTEMS.values()), 2)
    lines = [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in text.splitlines()
    ]
    assert lines[0][0] == "x2, 2 images"
    found = {tuple(line[:1]): line for line in lines[:5]}
    assert found[("KernelGAN + ZSSR",)] == [
        "KernelGAN + ZSSR", "32.50 ± 2.12", "0.8000 ± 0.0000", "+1.50, +1.00", "",
        "40.0", "0.20", "1.00", "100",
    ]  # fmt: skip
    assert [
        "KernelGAN", "56.00 ± 5.66", "50.00", "2.00", "10, 10", "1 of 4", "1.50", "101"
    ] in lines  # fmt: skip
    claim = "the deep linear generator beats the single layer"
    assert [claim, "", "", "+6.00 ± 4.00", "2 of 2"] in lines
    assert ["a", "50.0", "50.0, 54.0"] in lines
    assert ["a", "30.00", "31.00"] in lines


def test_what_the_confidence_was_worth(tmp_path):
    """Worked out by hand; and its plot."""
    rows = []
    for i, (level, expected, psnr, gap) in enumerate(
        [("high", 60.0, 61.0, 0.1), ("high", 58.0, 57.0, 0.9), ("low", 50.0, 49.0, 2.0)]
    ):
        said = {"level": level, "kernel_psnr": expected, "covariance_error": 0.1 * i,
                "sr_loss": 0.2 + 0.3 * i**2}  # fmt: skip
        rows += [
            row("kernel", "spectral", f"{i}", 0, kernel_psnr=psnr, confidence=said,
                covariance_error=0.2 * i, widths=None, true_widths=None),
            row("sr", "spectral", f"{i}", 0, psnr_y=30.0 - gap),
            row("sr", "true", f"{i}", 0, psnr_y=30.0),
        ]  # fmt: skip
    chosen = [SYSTEMS["spectral"], SYSTEMS["true"]]
    text = tables._confidence(rows, chosen, 2)
    cells = [
        [cell.strip() for cell in line.strip("|").split("|")][1:]
        for line in text.splitlines()[2:]
    ]
    assert cells == [
        [
            "all",
            "3",
            "55.67",
            "56.00",
            "20",
            "10",
            "1.00",
            "0.70",
            "1 of 3",
            "1.00, 1.00, 1.00",
        ],
        ["high", "2", "59.00", "59.00", "10", "5", "0.50", "0.35", "1 of 2", ""],
        ["low", "1", "49.00", "50.00", "40", "20", "2.00", "1.40", "0 of 1", ""],
    ]
    plots.write(tmp_path, rows, chosen, 2)
    assert [p.name for p in tmp_path.iterdir()] == ["x2_confidence.png"]


# --- The command ---


def test_the_command(data, tmp_path, capsys, plugs):
    out = tmp_path / "out"
    command = [
        "evaluate", f"--data={data}", f"--output_dir={out}", "--systems=bicubic",
        f"--system={plugs}:both", "--seeds=1",
    ]  # fmt: skip
    assert cli.main(command) == 0
    printed = capsys.readouterr().out
    text = (out / "table.md").read_text()
    assert "x2, 3 images" in text and "x4, 3 images" in text
    assert text.partition("\n\n")[2].strip() in printed
    assert (out / "x2_widths.png").exists() and (out / "x4_widths.png").exists()
    page = (out / "x2.html").read_text()
    links = re.findall(r'(?:src|href)="([^"]+)"', page)
    assert len(links) > 3 * 2 * 2
    assert all((out / unquote(link)).exists() for link in links)
    assert cli.main(command) == 0  # It is all there.
    assert ", seed" not in capsys.readouterr().out


def test_quick_takes_images_all_over_the_set(tmp_path, capsys):
    names = [f"{i:02}" for i in range(9)]
    hr = write_images(tmp_path / "in", *names, size=(64, 64))
    degrade(hr, tmp_path / "set", scales=[2])
    out = tmp_path / "out"
    assert cli.main([
        "evaluate", f"--data={tmp_path}/set", f"--output_dir={out}", "--quick",
        "--systems=bicubic",
    ]) == 0  # fmt: skip
    done = {
        json.loads(x)["image"]
        for x in (out / "runs.jsonl").read_text().split("\n")
        if x
    }
    assert done == {"00", "02", "05", "08"}


def test_faults_give_status_1(data, tmp_path, capsys):
    faults = break_set(data)
    out = tmp_path / "out"
    status = cli.main([
        "evaluate", f"--data={data}", f"--output_dir={out}", "--systems=bicubic",
        "--scales=2",
    ])  # fmt: skip
    printed = capsys.readouterr()
    assert status == 1
    assert printed.err.count("error: ") == len(faults)
    assert f"{len(faults)} failed" in printed.out
    assert "x2, 3 images" in (out / "table.md").read_text()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["evaluate"], "--data"),
        (["evaluate", "--data=nowhere"], "is no test set"),
        (["evaluate", "--data=nowhere", "--scales=2"], "has no lr_x2"),
        (["evaluate", "--data=nowhere", "--scales=two"], "as 2,4"),
        (["evaluate", "--data=nowhere", "--systems=magic"], "--systems=magic"),
        (["evaluate", "--data=nowhere", "--systems=none"], "no system"),
        (["evaluate", "--data=nowhere", "--system=nowhere.py:f"], "nowhere.py"),
        (["evaluate", "--data=nowhere", "--results=a"], "NAME=FOLDER"),
        (["evaluate", "--data=nowhere", "--results=a=nowhere"], "no such folder"),
        (["evaluate", "--data=nowhere", "--sistem=a"], "--sistem"),
        (["degrade", "--hr=a.png"], "--output_dir"),
        (["degrade", "--hr=a.png", "--output_dir=b", "--scales=1"], "--scales"),
        (["degrade", "--hr=a.png", "--output_dir=b", "--seed=-1"], "seed is -1"),
        ([], "COMMAND"),
    ],
)
def test_mistakes_give_status_2_and_one_line(arguments, words, capsys, tmp_path,
                                             monkeypatch):  # fmt: skip
    monkeypatch.chdir(tmp_path)
    try:
        status = cli.main(arguments)
    except SystemExit as exit:
        status = exit.code
    error = capsys.readouterr().err
    assert status == 2
    assert words in error and error.count("\n") == 1 and error.startswith("error: ")
    assert not list(tmp_path.rglob("*.*"))


def test_degrade_as_a_command(tmp_path, capsys):
    write_images(tmp_path / "in", "a", "b")
    (tmp_path / "in/c.png").write_bytes(b"no image")
    command = ["degrade", f"--hr={tmp_path}/in", f"--output_dir={tmp_path}/set"]
    assert cli.main([*command, "--scales=2,3", "--protocol=disk"]) == 1
    printed = capsys.readouterr()
    assert "2 images at x2, x3, 1 failed" in printed.out and "c.png" in printed.err
    assert len(read(tmp_path / "set", 3).cases) == 2


def test_it_runs_as_a_module():
    done = subprocess.run(
        [sys.executable, "-m", "kernelgan_jax.benchmark", "--help"],
        capture_output=True, text=True, cwd=Path(__file__).parents[1],
    )  # fmt: skip
    assert done.returncode == 0 and "degrade" in done.stdout
