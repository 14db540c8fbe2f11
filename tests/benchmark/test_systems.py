"""Systems: the package's own, those of the user's files, and finished results."""

import os
import random
import shutil
import sys

import helpers
import jax
import numpy as np
import pytest

from kernelgan_jax import Config, blur_kernels, estimate_kernel, kernels, metrics
from kernelgan_jax.app import kernel_files
from kernelgan_jax.app.images import image_files
from kernelgan_jax.benchmark import (
    SYSTEMS,
    System,
    finished_results,
    load_systems,
    make_test_set,
    read_test_set,
    run_benchmark,
    tables,
)
from kernelgan_jax.benchmark.rows import image_rows, kernel_rows
from kernelgan_jax.benchmark.systems import (
    check_names,
    kernel_titles,
    method_identity,
    method_settings,
    with_network,
)
from kernelgan_jax.benchmark.user_files import output_of
from kernelgan_jax.config import GROUPS
from kernelgan_jax.estimators import ESTIMATORS
from kernelgan_jax.estimators.spectral.config import SpectralConfig
from kernelgan_jax.pixels import to_unit
from kernelgan_jax.super_resolution import METHODS, USRNetConfig
from kernelgan_jax.super_resolution.deep_wiener import DeepWienerConfig, weights
from kernelgan_jax.super_resolution.deep_wiener.method import WEIGHTS

# --- The package's own ---


def test_the_ten_systems_are_built_from_the_registries(data):
    assert list(SYSTEMS) == [
        "bicubic", "bicubic_kernel", "constant", "michaeli_irani", "single_layer",
        "kernelgan", "flow", "wiener", "spectral", "true",
    ]  # fmt: skip
    case = read_test_set(data, 2).cases[0]
    used = set()
    for name, system in SYSTEMS.items():
        assert name == system.name
        shared = {"wiener": "spectral"}.get(name, name)
        assert system.kernel_name == shared
        assert system.method is None or system.method in METHODS
        if system.entry is not None:
            used.add(system.estimator)
            settings = system.settings(case)
            assert settings is None or type(settings) in GROUPS.values()
    assert used == set(ESTIMATORS)
    check_names(list(SYSTEMS.values()))
    assert "bicubic" not in kernel_titles(SYSTEMS.values())
    np.testing.assert_array_equal(
        np.array(SYSTEMS["true"].settings(case).kernel), case.kernel()
    )


def test_titles_tell_the_method_where_there_is_a_choice():
    titles = [SYSTEMS[name].titled("zssr_fast").title for name in SYSTEMS]
    assert titles[0] == "bicubic" and titles[1] == "bicubic kernel + ZSSR"
    assert titles[-3:-1] == [
        "spectral likelihood + Wiener filter", "spectral likelihood + ZSSR"
    ]  # fmt: skip
    true = SYSTEMS["true"].titled("deep_wiener")
    assert true.title == "true kernel + trained network"
    assert true.kernel_title == SYSTEMS["true"].titled("none").title == "true kernel"


def test_a_network_with_the_kernels_of_others():
    own = [SYSTEMS[name] for name in ("bicubic", "wiener", "spectral", "true")]
    found = with_network(own, "usrnet=nets/tiny_x{scale}.npz,noise_std=0.01")
    assert [s.name for s in found] == ["spectral-tiny-0.01", "true-tiny-0.01"]
    assert found[0].kernel_name == "spectral"
    assert found[1].titled("none").title == "true kernel + USRNet (tiny-0.01)"
    assert found[1].method_config.noise_std == 0.01
    check_names([*own, *found])
    (alone,) = with_network(own, "rdn=x{scale}/model.json")
    assert (alone.name, alone.title, alone.estimator) == ("rdn", "RDN (rdn)", None)
    (alone,) = with_network(own, "onnx=nets/mine_x{scale}.onnx")
    assert (alone.name, alone.method_config.peak) == ("mine", 1.0)
    (alone,) = with_network(own, "onnx=nets/mine_x{scale}.onnx,peak=255")
    assert alone.title == "ONNX (mine-255)"
    for text, message in (
        ("zssr=net", "it must be METHOD=FILE, of usrnet or srmd or rdn or edsr or "),
        ("usrnet", "it must be METHOD=FILE"),
        ("usrnet=net.npz,pca=3", "the method usrnet has no setting 'pca'"),
        ("usrnet=net.npz,noise_std=a", "noise_std is 'a'; it must be a number"),
    ):
        with pytest.raises(ValueError, match=message):
            with_network(own, text)


def test_settings_of_another_method_than_the_evaluation_s_are_left_out():
    """As of a config file with a network that is compared by the usual one."""
    config = USRNetConfig(weights="absent.npz")
    system = System("mine", "mine.py", "spectral", method_config=config)
    assert system.titled("deep_wiener").title == "mine.py + trained network"
    assert method_settings(system, "deep_wiener", 2) == DeepWienerConfig()


def test_a_network_of_a_config_is_known_by_what_its_file_holds(tmp_path):
    """A file that has changed is another network, though its name is the same."""
    file, config = tmp_path / "mine.npz", tmp_path / "mine.py"
    network = weights.load(WEIGHTS)
    config.write_text(
        "from kernelgan_jax import Config\n"
        f"def get_config(): return Config(deep_wiener={{'weights': {str(file)!r}}})\n"
    )

    def identity(scales, time):
        weights.save(file, network._replace(about={"scales": scales}))
        os.utime(file, (time, time))
        (system,) = load_systems(str(config))
        settings = method_settings(system, "deep_wiener", 2)
        return method_identity("deep_wiener", settings)

    before = identity([2], 1)
    assert identity([2], 2) == before
    assert identity([2, 3], 3) != before
    with pytest.raises(ValueError, match="mine.npz: was trained for scale 4, not for"):
        identity([4], 4)


def test_settings_that_ask_for_a_map_of_kernels(data):
    mapped = SpectralConfig(kernel_map="2x2")
    with pytest.raises(ValueError, match="kernel_map is '2x2'; it must be empty"):
        System("mapped", "mapped", "spectral", mapped)
    system = System("mapped", "mapped", "spectral", lambda case: mapped)
    with pytest.raises(ValueError, match="kernel_map is '2x2'; it must be empty"):
        system.settings(read_test_set(data, 2).cases[0])


def test_two_systems_of_one_name_are_refused():
    other = System("flow", "other", "constant")
    with pytest.raises(ValueError, match="two systems named flow"):
        check_names([SYSTEMS["flow"], other])
    # Kernels lie in folders of the systems' names, also if the other is not asked for.
    with pytest.raises(ValueError, match="two systems named flow"):
        check_names([other])


def test_systems_with_the_same_kernels_share_their_rows(data, tmp_path, counter):
    ours = counter()
    first = ours.system
    second = System("second", "Second", first.estimator, method="bicubic",
                    kernel_name="counter")  # fmt: skip
    found = run_benchmark(
        data, tmp_path, scale=2, systems=[first, second], seeds=1, method="bicubic"
    )
    assert len(ours.calls) == 3 and len(kernel_rows(found.rows)) == 3
    assert {row.system for row in image_rows(found.rows)} == {"counter", "second"}


def test_michaeli_and_irani_at_x4(images, tmp_path):
    """The x2 kernel of the image, composed; too small an image is named."""
    hr = images(tmp_path / "in", "large", size=(124, 160))
    hr += images(tmp_path / "in", "small", size=(96, 112))
    make_test_set(hr, tmp_path / "set", scales=[4])
    found = run_benchmark(
        tmp_path / "set", tmp_path / "out", scale=4,
        systems=[SYSTEMS["michaeli_irani"]], method="none",
    )  # fmt: skip
    (problem,) = found.problems
    assert "michaeli_irani, small" in problem and "at least 31" in problem
    folder = tmp_path / "out/x4/kernels/michaeli_irani/seed0"
    k2, k4 = (np.load(folder / f"large_x{scale}.npy") for scale in (2, 4))
    (case,) = read_test_set(tmp_path / "set", 4, names=["large"]).cases
    x2 = estimate_kernel(jax.random.key(0), case.lr(), estimator="patch_recurrence")
    np.testing.assert_array_equal(k2, x2.kernel)
    np.testing.assert_array_equal(k4, kernels.kernel_x4(k2))


# --- Config files ---


@pytest.mark.parametrize("form", ["ConfigDict(asdict(config))", "config"])
def test_kernelgan_is_run_as_by_the_library(images, tmp_path, form):
    """A config file as a system: the kernels are those of estimate_kernel, bit for bit,
    and so is the confidence."""
    hr = images(tmp_path / "in", "a", "b", size=(176, 176))
    make_test_set(hr, tmp_path / "set", scales=[2])
    (tmp_path / "short.py").write_text(
        "from dataclasses import asdict\n"
        "from ml_collections import ConfigDict\n"
        "from kernelgan_jax import Config\n"
        "def get_config():\n"
        f"    config = Config(estimator='kernelgan', "
        f"kernelgan={helpers.TINY_KERNELGAN}, sr='zssr_fast', "
        f"zssr={helpers.TINY_ZSSR})\n"
        f"    return {form}\n"
    )
    (system,) = load_systems(str(tmp_path / "short.py"))
    assert system.method_config.crop == helpers.TINY_ZSSR["crop"]
    found = run_benchmark(
        tmp_path / "set", tmp_path / "out", scale=2, systems=[system], method="none",
        seeds=2,
    )  # fmt: skip
    assert len(found.rows) == 4 and not found.problems
    assert all("warm start" in row.failure for row in found.rows)
    image = read_test_set(tmp_path / "set", 2).cases[1].lr()
    config = Config(estimator="kernelgan", kernelgan=helpers.TINY_KERNELGAN)
    expected = estimate_kernel(
        jax.random.key(1), image, estimator="kernelgan", config=config.kernelgan
    )
    kept = np.load(tmp_path / "out/x2/kernels/short/seed1/b_x2.npy")
    np.testing.assert_array_equal(kept, expected.kernel)
    (row,) = [row for row in found.rows if (row.image, row.seed) == ("b", 1)]
    assert row.confidence == expected.confidence.to_dict()
    assert row.noise_std == expected.noise_std > 0


# --- Functions of the user ---


def test_a_kernel_estimator_of_the_user(data, plugs, tmp_path):
    (system,) = load_systems(f"{plugs}:kernel")
    found = run_benchmark(
        data, tmp_path / "out", scale=2, systems=[system], method="bicubic", seeds=2
    )
    assert not found.problems and len(found.rows) == 6 + 3
    kept = np.load(tmp_path / "out/x2/kernels/kernel/seed1/one_x2.npy")
    np.testing.assert_allclose(
        kept, blur_kernels.gaussian(9, variances=(3.0, 2.0), scale=2), rtol=1e-12
    )


@pytest.mark.parametrize(("name", "seeds"), [("estimate", 1), ("anything", 2)])
def test_functions_get_only_the_keywords_that_they_take(
    data, plugs, tmp_path, name, seeds
):
    """A function without a seed is run once for each image."""
    (system,) = load_systems(f"{plugs}:{name}")
    found = run_benchmark(
        data, tmp_path / "out", scale=2, systems=[system], method="none", seeds=2
    )
    assert not found.problems and len(found.rows) == 3 * seeds


@pytest.mark.parametrize(("name", "has_kernels"), [("image", False), ("both", True)])
def test_images_of_the_user(data, plugs, tmp_path, name, has_kernels):
    (system,) = load_systems(f"{plugs}:{name}")
    found = run_benchmark(data, tmp_path / "out", scale=2, systems=[system], seeds=2)
    assert not found.problems
    rows = kernel_rows(found.rows, system=name)
    # What makes images alone is not run for the seeds of kernels.
    assert len(rows) == (6 if has_kernels else 3)
    assert all((row.kernel_psnr is not None) == has_kernels for row in rows)
    case = read_test_set(data, 2).cases[1]
    image = image_rows(found.rows, system=name)[1]
    # The time is that of the function, not of reading the image again.
    assert image.seconds == rows[1].seconds
    expected = to_unit(case.lr()).repeat(2, 0).repeat(2, 1)
    assert image.psnr_y == metrics.psnr_y(expected, to_unit(case.hr()), scale=2)


def test_an_sr_method_of_the_user(data, plugs, tmp_path, counter):
    """It gets KernelGAN's kernel and the true one, in a row each."""
    ours, true = load_systems(f"{plugs}:method")
    assert ours.source == SYSTEMS["kernelgan"].source
    assert ours.kernel_name == "kernelgan" and true.kernel_name == "true"
    own = counter(size=11).system
    ours = System(ours.name, ours.title, own.estimator, method=ours.method)
    found = run_benchmark(data, tmp_path / "out", scale=2, systems=[ours, true])
    assert not found.problems
    for system in (ours, true):
        assert len(image_rows(found.rows, system=system.name)) == 3


@pytest.mark.parametrize("name, runs", [("method", 2), ("enlarge", 1)])
def test_an_sr_method_may_leave_keywords_out(data, plugs, tmp_path, name, runs):
    """It is run once if it takes no seed."""
    _, true = load_systems(f"{plugs}:{name}")
    found = run_benchmark(
        data, tmp_path / "out", scale=2, systems=[true], seeds=2, sr_seeds=2
    )
    assert not found.problems and len(image_rows(found.rows)) == 3 * runs


def test_an_edit_of_what_a_file_imports_is_noticed(data, plugs, tmp_path):
    psnr = []
    for size in (9, 5):
        (tmp_path / "neighbour.py").write_text(f"SIZE = {size}\n")
        sys.modules.pop("neighbour", None)
        shutil.rmtree(tmp_path / "__pycache__", ignore_errors=True)
        found = run_benchmark(
            data, tmp_path / "out", scale=2, systems=load_systems(f"{plugs}:kernel"),
            method="none", seeds=1,
        )  # fmt: skip
        psnr.append(found.rows[0].kernel_psnr)
    assert psnr[0] != psnr[1]


def test_a_file_may_have_the_name_of_a_standard_module(tmp_path):
    path = tmp_path / "random.py"
    path.write_text("def f(image, *, scale, seed): return None\n")
    load_systems(f"{path}:f")
    assert sys.modules["random"] is random


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("wrong", "it must be 56x64"),
        ("nothing", "there is nothing"),
        ("leaves", "seed 0: SystemExit: 3"),
    ],
)
def test_wrong_answers_of_the_user(data, plugs, tmp_path, name, words):
    (system,) = load_systems(f"{plugs}:{name}")
    found = run_benchmark(data, tmp_path / "out", scale=2, systems=[system], seeds=1)
    assert len(found.problems) == 3 and all(words in p for p in found.problems)


def test_a_gray_image_of_the_user_may_have_two_axes():
    """What has the size of an image is no kernel."""
    for shape in ((41, 30), (20, 15)):  # Of the scale, and wrong, as of the LR image.
        found = output_of(np.full(shape, 0.5), lr_shape=(20, 15, 1), scale=2)
        assert found.estimate is None and found.image.shape == (*shape, 1)
    both = np.ones((13, 13)), np.full((40, 30), 0.5)
    found = output_of(both, lr_shape=(20, 15, 1), scale=2)
    assert found.estimate.kernel.shape == (13, 13) and found.image.shape == (40, 30, 1)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{}/missing.py:f", "no such file"),
        ("{}/plugs.py:missing", "has no function missing"),
        ("{}/plugs.py:needs_more", "a parameter sigma without default"),
        ("{}/plugs.py", "name a function"),
        ("{}/broken.py:f", "SyntaxError"),
        ("{}/config.py", "no_setting"),
        ("{}/mapped.py", "kernel_map is '2x2'; it must be empty"),
    ],
)
def test_systems_that_cannot_be_loaded(plugs, text, words):
    (plugs.parent / "broken.py").write_text("def f(:")
    (plugs.parent / "config.py").write_text(
        "from ml_collections import ConfigDict\n"
        "def get_config():\n"
        "    return ConfigDict({'no_setting': 1})\n"
    )
    (plugs.parent / "mapped.py").write_text(
        "def get_config():\n    return {'spectral': {'kernel_map': '2x2'}}\n"
    )
    with pytest.raises(ValueError, match=words):
        load_systems(text.format(plugs.parent))


def test_a_preset_is_a_system(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # as after `pip install`, where configs/ is not there
    (system,) = load_systems("real")
    assert system.name == "real" and system.estimator == "spectral"
    assert system.method_config.kernel_std == 0.2
    with pytest.raises(ValueError, match="^rael: no such file or preset, .* real, "):
        load_systems("rael")


# --- Finished results ---


def test_finished_results(data, tmp_path, write):
    """In the layouts of the command, of the reference, and flat."""
    cases = read_test_set(data, 4).cases
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
    system = finished_results("theirs", folder)
    options = {"scale": 4, "systems": [system]}
    found = run_benchmark(data, tmp_path / "out", method="bicubic", **options)
    assert not found.problems
    psnr = {row.image: row.kernel_psnr for row in kernel_rows(found.rows)}
    expected = metrics.kernel_psnr(k4, cases[0].kernel(), scale=4)
    assert psnr[cases[0].name] == pytest.approx(expected)
    assert psnr[cases[1].name] is None and psnr[cases[2].name] > 0
    assert len(image_rows(found.rows)) == 3
    assert all(row.seconds is None for row in kernel_rows(found.rows))
    assert "(2 of 3)" in tables.markdown(found.rows, [system], 4)
    # Images are measured also where no kernel is used.
    found = run_benchmark(data, tmp_path / "out", method="none", **options)
    assert len(image_rows(found.rows)) == 2


def test_what_the_command_makes_of_a_kernel_is_no_other_kernel(data, tmp_path):
    (case,) = read_test_set(data, 2, names=["one"]).cases
    folder = tmp_path / "results/one"
    folder.mkdir(parents=True)
    kernel = case.kernel()
    kernel_files.write(folder / "kernel_x2", kernel)
    kernel_files.write_export(folder, kernel, tool="usrnet", scale=2)
    np.save(folder / "refitted_kernel_x2.npy", np.ones((3, 3)))
    np.save(folder / "kernel_map_x2.npy", np.ones((2, 2, 3, 3)))
    (folder / "report.json").write_text("{}")
    found = run_benchmark(
        data, tmp_path / "out", scale=2, method="none", names=["one"],
        systems=[finished_results("ours", tmp_path / "results")],
    )  # fmt: skip
    assert not found.problems
    kept = np.load(tmp_path / "out/x2/kernels/ours/seed0/one_x2.npy")
    np.testing.assert_allclose(kept, kernel)


def test_whose_results_a_file_holds(images, tmp_path):
    """The longest name in its own; a folder counts if it is a name or a scale."""
    hr = images(tmp_path / "in", "baby", "baby_2", "2", size=(64, 64))
    make_test_set(hr, tmp_path / "set", scales=[2, 4])
    folder = tmp_path / "theirs"
    for file, variance in (("x2/baby_2.npy", 1.0), ("x4/baby_2.npy", 2.0),
                           ("run_2/baby.npy", 3.0), ("x2/2.npy", 4.0)):  # fmt: skip
        (folder / file).parent.mkdir(parents=True, exist_ok=True)
        kernel = blur_kernels.gaussian(9, variances=(variance,) * 2, scale=2)
        np.save(folder / file, kernel)
    # The output of a benchmark below the folder is not taken for results.
    (folder / "benchmark").mkdir()
    (folder / "benchmark/runs.jsonl").touch()
    np.save(folder / "benchmark/baby.npy", np.ones((3, 3)))
    system = finished_results("theirs", folder)
    # The names of all images count, also of those that are not asked for.
    for names in (["baby", "2"], ["baby_2"]):
        found = run_benchmark(
            tmp_path / "set", tmp_path / "out", scale=2, method="none",
            systems=[system], names=names,
        )  # fmt: skip
        assert not found.problems
    for name, variance in (("baby", 3.0), ("baby_2", 1.0), ("2", 4.0)):
        kept = np.load(tmp_path / f"out/x2/kernels/theirs/seed0/{name}_x2.npy")
        expected = blur_kernels.gaussian(9, variances=(variance,) * 2, scale=2)
        np.testing.assert_allclose(kept, expected)


def test_faults_of_finished_results(data, tmp_path, write):
    cases = read_test_set(data, 2).cases
    folder = tmp_path / "theirs"
    write(folder / f"a_{cases[0].name}.png", np.zeros((64, 56, 3), np.uint8))
    write(folder / f"b_{cases[0].name}.png", np.zeros((64, 56, 3), np.uint8))
    write(folder / f"{cases[1].name}.png", np.zeros((50, 50, 3), np.uint8))
    np.save(folder / f"{cases[2].name}_a.npy", np.ones((3, 3)))
    np.save(folder / f"{cases[2].name}_b.npy", np.ones((3, 3)))
    found = run_benchmark(
        data, tmp_path / "out", scale=2, systems=[finished_results("theirs", folder)]
    )
    words = ("several super-resolved images", "has no kernel and no", "several kernels")
    assert len(found.problems) == 3
    assert all(w in p for w, p in zip(words, found.problems, strict=True))
    with pytest.raises(ValueError, match="no such folder"):
        finished_results("theirs", tmp_path / "nowhere")


def test_results_that_changed_are_measured_again(data, tmp_path):
    folder = tmp_path / "theirs"
    folder.mkdir()
    for name in ("one", "two", "10"):
        np.save(folder / f"{name}.npy", np.ones((4, 4)))
    system = finished_results("theirs", folder)
    options = {"scale": 2, "systems": [system], "method": "none"}
    before = run_benchmark(data, tmp_path / "out", **options)
    np.save(folder / "one.npy", np.ones((2, 2)))
    after = run_benchmark(data, tmp_path / "out", **options)
    changed = [row.image for row in after.rows if row not in before.rows]
    assert not after.problems and changed == ["one"] and len(after.rows) == 3


def test_a_gray_result_of_a_colour_image(data, tmp_path, write):
    """A gray result of a colour image is measured as R = G = B."""
    case = read_test_set(data, 2).cases[0]
    gray = case.hr().mean(-1, keepdims=True).astype(np.uint8)
    write(tmp_path / f"theirs/{case.name}.png", gray)
    found = run_benchmark(
        data, tmp_path / "out", scale=2, names=[case.name],
        systems=[finished_results("theirs", tmp_path / "theirs")],
    )  # fmt: skip
    (row,) = image_rows(found.rows)
    read = image_files.read(tmp_path / f"out/x2/sr/theirs/seed0/{case.name}.png").pixels
    assert read.shape == (64, 56, 1) and row.psnr_y > 20
