"""Running systems on a test set: what is measured, kept, resumed and reported."""

import json

import helpers
import numpy as np
import pytest

from kernelgan_jax import blur_kernels, estimate_spectral, kernels, metrics
from kernelgan_jax.app import kernel_files
from kernelgan_jax.app.images import image_files
from kernelgan_jax.benchmark import (
    SYSTEMS,
    System,
    estimation,
    finished_results,
    image_pass,
    kernel_pass,
    make_test_set,
    read_test_set,
    run_benchmark,
    tables,
)
from kernelgan_jax.benchmark.rows import image_rows, kernel_rows
from kernelgan_jax.benchmark.systems import UserMethod
from kernelgan_jax.estimate import KernelEstimate
from kernelgan_jax.pixels import to_unit
from kernelgan_jax.resize import bicubic_resize
from kernelgan_jax.super_resolution import ZSSRConfig, plan, super_resolve

CHEAP = [SYSTEMS[name] for name in ("bicubic", "constant", "true")]


@pytest.fixture(scope="module")
def cheap(data, tmp_path_factory):
    """The test set evaluated with bicubic enlargement: folder and evaluation."""
    out = tmp_path_factory.mktemp("cheap")
    found = run_benchmark(data, out, scale=2, systems=CHEAP, method="bicubic")
    assert not found.problems
    return out, found


def test_the_measures_are_those_of_metrics(data, cheap):
    """On the files that are kept."""
    out, found = cheap
    assert len(kernel_rows(found.rows, system="constant")) == 3  # It has no seeds.
    assert len(image_rows(found.rows, system="bicubic")) == 3
    for case in read_test_set(data, 2).cases:
        (row,) = [row for row in image_rows(found.rows, system="bicubic")
                  if row.image == case.name]  # fmt: skip
        sr = image_files.read(out / f"x2/sr/bicubic/seed0/{case.name}.png").pixels
        unit, hr, lr = to_unit(sr), to_unit(case.hr()), to_unit(case.lr())
        expected = np.clip(bicubic_resize(lr, 2), 0, 1)
        assert np.abs(unit - expected).max() < 0.51 / 255
        assert row.psnr_y == metrics.psnr_y(expected, hr, scale=2)
        assert row.ssim_y == metrics.ssim_y(expected, hr, scale=2)
        assert row.lr_psnr_y == metrics.lr_psnr_y(expected, lr, case.kernel(), scale=2)
        np.testing.assert_allclose(row.shift, metrics.shift(expected, hr), atol=1e-4)
        assert row.seconds >= 0
        (row,) = [row for row in kernel_rows(found.rows, system="constant")
                  if row.image == case.name]  # fmt: skip
        kernel = np.load(out / f"x2/kernels/constant/seed0/{case.name}_x2.npy")
        assert row.kernel_psnr == metrics.kernel_psnr(kernel, case.kernel(), scale=2)
        onto = metrics.kernel_psnr(kernel, case.kernel(), scale=2, size=11)
        assert row.kernel_psnr_on_grid == onto < row.kernel_psnr
        assert row.covariance_error == metrics.covariance_error(kernel, case.kernel())
        np.testing.assert_allclose(row.widths, kernels.widths(kernel))
        np.testing.assert_allclose(row.true_widths, kernels.widths(case.kernel()))


def test_the_true_kernel_differs_from_itself_by_nothing(cheap):
    _, found = cheap
    rows = kernel_rows(found.rows, system="true")
    assert len(rows) == 3 and all(row.kernel_psnr is None for row in rows)
    assert all(row.covariance_error < 1e-9 and row.trusted for row in rows)
    assert all(row.confidence is None for row in rows)


def test_the_rows_are_kept_as_strict_json(cheap):
    out, found = cheap
    lines = (out / "runs.jsonl").read_text().splitlines()
    assert len(lines) == len(found.rows)
    for line in lines:
        json.loads(line, parse_constant=pytest.fail)


def test_the_spectral_system_is_the_library_s_estimate(images, tmp_path, monkeypatch):
    """Its confidence, noise and kernel; each image is analysed once for all systems,
    and the true kernel's super-resolution knows the noise too."""
    (tmp_path / "in").mkdir()
    photo = helpers.write_image(tmp_path / "in/photo.png", helpers.photo_uint8())
    hr = [photo, *images(tmp_path / "in", "tiny", size=(48, 48))]
    make_test_set(hr, tmp_path / "set", scales=[2], image_noise=4.0)
    analysed = []

    def analyse(image, *, scale):
        analysed.append(image.shape)
        return real(image, scale=scale)

    real = estimation.analyse
    monkeypatch.setattr(estimation, "analyse", analyse)
    systems = [SYSTEMS[name] for name in ("constant", "spectral", "true")]
    found = run_benchmark(
        tmp_path / "set", tmp_path / "out", scale=2, systems=systems, method="none"
    )
    assert sorted(analysed) == [(24, 24, 3), (75, 113, 3)]
    # An image that is too small for a spectrum is a problem of one system alone.
    assert [p.partition(":")[0] for p in found.problems] == [
        "constant, tiny, seed 0", "spectral, tiny, seed 0"
    ]  # fmt: skip
    expected = estimate_spectral(read_test_set(tmp_path / "set", 2).cases[0].lr())
    rows = {row.system: row for row in kernel_rows(found.rows) if row.image == "photo"}
    kept = np.load(tmp_path / "out/x2/kernels/spectral/seed0/photo_x2.npy")
    np.testing.assert_array_equal(kept, expected.kernel)
    assert rows["spectral"].confidence == expected.confidence.to_dict()
    assert rows["spectral"].trusted == expected.trusted
    noise = {row.noise_std for row in rows.values()}
    assert noise == {expected.noise_std} and 2 / 255 < expected.noise_std < 8 / 255
    assert rows["constant"].confidence["expected_kernel_psnr"] > 0
    assert rows["true"].confidence is None
    # The analysis is part of the time of estimates, and of nothing else.
    assert rows["spectral"].seconds > 10 * rows["true"].seconds
    tiny = [row for row in kernel_rows(found.rows) if row.image == "tiny"]
    assert [row.noise_std for row in tiny] == [0.0] * len(tiny)


def test_seeds(data, tmp_path, counter):
    ours = counter()
    options = dict(scale=2, systems=[ours.system], method="bicubic", seeds=2)
    found = run_benchmark(data, tmp_path / "out", **options)
    assert ours.calls == [
        (name, seed) for seed in (0, 1) for name in ("10", "one", "two")
    ]
    assert len(kernel_rows(found.rows)) == 6
    assert {row.seed for row in image_rows(found.rows)} == {0}
    found = run_benchmark(data, tmp_path / "out", **options, sr_seeds=2)
    assert len(image_rows(found.rows)) == 6 and len(ours.calls) == 6
    # Neither the true kernel nor the method depends on the seed.
    systems = [SYSTEMS["true"]]
    options = dict(scale=2, systems=systems, method="wiener", seeds=2, sr_seeds=2)
    found = run_benchmark(data, tmp_path / "out", **options)
    assert [row.seed for row in image_rows(found.rows)] == [0, 0, 0]


def test_batches(data, tmp_path, monkeypatch):
    """Estimators that work on a batch get several images at a time; if a batch fails,
    its images are estimated one by one."""
    batches, fails = [], [("10", "two")]

    def run_system(system, trials, analyses):
        names = tuple(case.name for case, _ in trials)
        batches.append(names)
        if names in fails or names == ("two",):
            raise RuntimeError("two\nlines")
        return estimation.run_system(system, trials, analyses)

    monkeypatch.setattr(kernel_pass, "images_at_a_time", lambda system, scale: 2)
    monkeypatch.setattr(kernel_pass, "run_system", run_system)
    options = dict(scale=2, systems=[SYSTEMS["constant"]], method="none")
    found = run_benchmark(data, tmp_path / "out", **options)
    assert batches == [("10", "one"), ("two",)]
    assert found.problems == ["constant, two, seed 0: RuntimeError: two lines"]
    fails.append(("10", "one"))
    batches.clear()
    found = run_benchmark(data, tmp_path / "other", **options)
    assert batches == [("10", "one"), ("10",), ("one",), ("two",)]
    assert len(found.rows) == 2


def test_how_many_images_a_system_gets(monkeypatch):
    monkeypatch.setattr(estimation, "batch_size", lambda config: 8)
    sizes = {
        name: estimation.images_at_a_time(system, 2)
        for name, system in SYSTEMS.items()
        if system.estimator is not None
    }
    batched = {"kernelgan", "single_layer", "flow", "wiener", "spectral"}
    assert {name for name, size in sizes.items() if size == 8} == batched
    assert {size for name, size in sizes.items() if name not in batched} == {1}


def test_it_goes_on_where_it_stopped(own_data, tmp_path, counter, write):
    ours = counter()
    options = dict(scale=2, systems=[ours.system], method="bicubic", seeds=1)

    class Stop(BaseException):
        pass

    def stop(line):
        if "one" in line:
            raise Stop

    with pytest.raises(Stop):
        run_benchmark(own_data, tmp_path / "out", **options, report=stop)
    file = tmp_path / "out/runs.jsonl"
    file.write_text(file.read_text() + '{"kind": "ker')  # It was killed while writing.
    found = run_benchmark(own_data, tmp_path / "out", **options)
    assert [name for name, _ in ours.calls] == ["10", "one", "two"]
    assert len(found.rows) == 6
    again = run_benchmark(own_data, tmp_path / "out", **options)
    assert len(ours.calls) == 3 and again.rows == found.rows
    # Files that are gone or changed are made again.
    (tmp_path / "out/x2/kernels/counter/seed0/two_x2.npy").unlink()
    np.save(tmp_path / "out/x2/kernels/counter/seed0/one_x2.npy", np.ones((3, 3)))
    run_benchmark(own_data, tmp_path / "out", **options)
    assert [name for name, _ in ours.calls[3:]] == ["one", "two"]
    # What the measurements of an image depend on has changed.
    del ours.calls[3:]
    case = read_test_set(own_data, 2).cases[0]
    write(case.lr_path, case.lr()[:, ::-1])
    run_benchmark(own_data, tmp_path / "out", **options)
    assert [name for name, _ in ours.calls[3:]] == ["10"]


def test_other_code_or_settings_are_measured_again(data, tmp_path, monkeypatch):
    options = dict(scale=2, method="none")
    lines = []

    def measured(config):
        lines.clear()
        run_benchmark(data, tmp_path, **options, report=lines.append, systems=[
            System("ours", "Ours", "constant", config)
        ])  # fmt: skip
        return len(lines)

    default = SYSTEMS["constant"].entry.config()
    other = SYSTEMS["constant"].entry.config(variance=2.0)
    assert [measured(config) for config in (None, default, other)] == [3, 0, 3]
    monkeypatch.setattr(
        "kernelgan_jax.benchmark.store.provenance", lambda: "other code"
    )
    assert measured(other) == 3


def test_a_failure_is_named_and_the_others_go_on(data, tmp_path, counter):
    ours = counter(fails=("one",))
    options = dict(scale=2, systems=[ours.system], method="bicubic", seeds=1)
    found = run_benchmark(data, tmp_path / "out", **options)
    (problem,) = found.problems
    assert problem == "counter, one, seed 0: RuntimeError: two lines"
    assert {row.image for row in image_rows(found.rows)} == {"10", "two"}
    ours.fails = ()
    found = run_benchmark(data, tmp_path / "out", **options)
    assert not found.problems and len(image_rows(found.rows)) == 3


@pytest.mark.parametrize(
    "estimate",
    [
        {},
        {"trusted": True},
        {"failure": "it diverged"},
        {"intermediate": ((2, np.full((4, 4), 1 / 16)),)},
        {"noise_std": 0.02},
    ],
)
def test_super_resolution_gets_the_estimate_as_it_was(
    data, tmp_path, counter, monkeypatch, estimate
):
    """What it does with it is decided by `super_resolution.plan` alone: nothing that
    `plan` reads is lost between the two passes."""
    planned = []

    def instead(key, image, found, **options):
        planned.append(plan(found, scale=options["scale"], method=options["method"]))
        return np.zeros((image.shape[0] * 4, image.shape[1] * 4, 3), np.float32)

    monkeypatch.setattr(image_pass, "super_resolve", instead)
    ours = counter(estimate=estimate)
    found = run_benchmark(
        data, tmp_path, scale=4, systems=[ours.system], seeds=1, names=["one"]
    )
    assert not found.problems
    kernel = blur_kernels.gaussian(5, variances=(1.0, 1.0), scale=4)
    expected = plan(KernelEstimate(kernel, 4, **estimate))
    (plan_found,) = planned
    assert plan_found._replace(stages=()) == expected._replace(stages=())
    for stage, wanted in zip(plan_found.stages, expected.stages, strict=True):
        np.testing.assert_array_equal(stage.kernel, wanted.kernel)
        assert (stage.scale, stage.widths) == (wanted.scale, wanted.widths)


@pytest.mark.parametrize("failure", ["", "it diverged"])
def test_methods_of_the_user_get_the_bicubic_kernel_of_failed_estimates(
    data, tmp_path, counter, failure
):
    """Aligned as all others are; and failed estimates are counted."""
    given = []

    def method(image, kernel, scale, seed):
        given.append(kernel)
        return image.repeat(scale, 0).repeat(scale, 1)

    ours = counter(estimate={"failure": failure}).system
    system = System(
        "counter", "Counter", ours.estimator, method=UserMethod(method, "1")
    )
    found = run_benchmark(data, tmp_path, scale=2, systems=[system], seeds=1)
    assert not found.problems and len(given) == 3
    peak = blur_kernels.bicubic(2).max() if failure else kernels.normalise(
        blur_kernels.gaussian(5, variances=(1.0, 1.0), scale=2)).max()  # fmt: skip
    assert given[0].max() == pytest.approx(peak)
    np.testing.assert_allclose(
        kernels.centre_of_mass(given[0]),
        kernels.alignment(given[0].shape, 2),
        atol=0.05,  # A small Gaussian is cut off unevenly.
    )
    text = tables.markdown(found.rows, [system], 2)
    assert ("3 of 3" if failure else "0 of 3") in text


def test_settings_of_the_method(images, tmp_path, monkeypatch):
    """A system's own are used; the image is that of `super_resolve`."""
    hr = images(tmp_path / "in", "a", size=(72, 60))
    make_test_set(hr, tmp_path / "set", scales=[2])
    config = ZSSRConfig(**helpers.TINY_ZSSR)
    kernel = np.full((4, 4), 1 / 16)
    system = System("box", "box", "given", lambda case: _given(kernel),
                    method_config=config)  # fmt: skip
    found = run_benchmark(tmp_path / "set", tmp_path / "out", scale=2, systems=[system],
                          method="zssr_fast")  # fmt: skip
    assert not found.problems
    (case,) = read_test_set(tmp_path / "set", 2).cases
    expected = super_resolve(
        helpers.jax.random.key(0),
        case.lr(),
        kernel,
        scale=2,
        config=config,
        method="zssr_fast",
    )
    kept = image_files.read(tmp_path / "out/x2/sr/box/seed0/a.png").pixels
    np.testing.assert_array_equal(kept, np.rint(255 * expected))


def _given(kernel):
    return SYSTEMS["true"].entry.config(kernel=kernel)


def test_systems_that_do_not_know_the_scale_are_left_out(images, tmp_path):
    hr = images(tmp_path / "in", "a", size=(90, 96))
    make_test_set(hr, tmp_path / "set", scales=[3])
    lines = []
    found = run_benchmark(
        tmp_path / "set", tmp_path / "out", scale=3, method="none",
        systems=[SYSTEMS["kernelgan"], SYSTEMS["true"]], report=lines.append,
    )  # fmt: skip
    assert lines[0] == "x3 kernelgan: does not know this scale; left out"
    assert {row.system for row in found.rows} == {"true"} and not found.problems


def test_what_is_infinite_or_cannot_be_measured(images, tmp_path, counter):
    """The HR image as a result; an impulse as kernel; images too small for a shift."""
    hr = images(tmp_path / "in", "a", "b", size=(64, 64))
    hr += images(tmp_path / "in", "tiny", size=(32, 32))
    make_test_set(hr, tmp_path / "set", scales=[4])
    impulse = np.zeros((5, 5))
    impulse[2, 2] = 1
    kernel_files.write_mat(tmp_path / "set/gt_k_x4/b.mat", impulse)
    systems = [finished_results("best", tmp_path / "set/hr"), counter().system]
    found = run_benchmark(
        tmp_path / "set", tmp_path / "out", scale=4, method="bicubic", systems=systems,
        seeds=1,
    )  # fmt: skip
    assert not found.problems and len(found.rows) == 3 * 4
    rows = {row.image: row for row in image_rows(found.rows, system="best")}
    assert rows["a"].psnr_y is None and rows["a"].ssim_y == 1
    assert rows["tiny"].shift is None and rows["tiny"].lr_psnr_y is None
    rows = {row.image: row for row in kernel_rows(found.rows, system="counter")}
    assert rows["b"].covariance_error is None and rows["b"].kernel_psnr > 20
    text = tables.markdown(found.rows, systems, 4)
    assert "| Counter" in text and "nan" not in text and "inf" not in text


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"seeds": 0}, "seeds is 0"),
        ({"sr_seeds": 0}, "sr_seeds is 0"),
        ({"seeds": 1, "sr_seeds": 2}, "sr_seeds is 2; it must be from 1 to seeds, 1"),
        ({"method": "magic"}, "method is 'magic'"),
        ({"scale": 3}, "has no lr_x3"),
    ],
)
def test_bad_arguments(data, tmp_path, options, words):
    with pytest.raises(ValueError, match=words):
        run_benchmark(data, tmp_path / "out", **({"scale": 2} | options))
    assert not (tmp_path / "out").exists()
