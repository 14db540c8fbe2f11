"""The command: what it writes, what it says, and its exit status."""

import json
import os
import subprocess
import sys
from pathlib import Path

import jax
import numpy as np
import pytest
import scipy.io
from PIL import ExifTags
from PIL import Image as pillow

from kernelgan_jax.app.figures import save_kernel_figure
from kernelgan_jax.app.flags import Options, parse
from kernelgan_jax.config import BEST, Config, SRConfig
from kernelgan_jax.estimate import KernelEstimate
from kernelgan_jax.pixels import from_unit, to_unit
from kernelgan_jax.resize import bicubic_resize
from kernelgan_jax.app import cli
from kernelgan_jax.app import compilation_cache
from kernelgan_jax.app import image_files
from kernelgan_jax.app import results
from kernelgan_jax import blur_kernels
from kernelgan_jax.estimators import run
from kernelgan_jax import kernels
from kernelgan_jax import super_resolution

ROOT = Path(__file__).parent.parent
# One set of settings for all tests, so that the training is compiled once.
TINY = (
    f"--config={ROOT / 'configs' / 'x4_paper.py'}",
    "--config.iterations=3",
    "--config.generator_kernels=(5, 3)",
    "--config.generator_channels=4",
    "--config.discriminator_channels=4",
    "--config.discriminator_blocks=1",
    "--sr=none",
)

# ml_collections loads config files in a way that Python 3.15 will drop.
pytestmark = pytest.mark.filterwarnings("ignore:.*load_module:DeprecationWarning")


@pytest.fixture(autouse=True)
def no_cache(monkeypatch):
    """Leaves JAX's settings, and the caches of whoever runs the tests, alone."""
    monkeypatch.setattr(cli, "keep_compilations", lambda: None)


@pytest.fixture
def no_training(monkeypatch):
    """Fails the test if training starts."""
    monkeypatch.setattr(run, "find", lambda *_, **__: pytest.fail("trained"))


@pytest.fixture
def fake_training(monkeypatch):
    """An estimate without training, where a test is about something else."""
    kernel = np.full((3, 3), 1 / 9)
    names = "generator discriminator bicubic sum boundary centre sparsity".split()
    history = {f"{name}_loss": np.ones(3) for name in names}
    estimate = KernelEstimate(kernel, None, kernel, history, True, "")
    monkeypatch.setattr(
        run, "find", lambda prepared, *_, **__: [estimate] * len(prepared)
    )

    def enlarge(key, pixels, jumps, **_):
        return bicubic_resize(to_unit(pixels), jumps[-1].scale)

    monkeypatch.setattr(super_resolution, "super_resolve", enlarge)
    return estimate


def save_image(path, seed=0, size=96):
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 256, (size, size, 3), np.uint8)
    pillow.fromarray(pixels).save(path)
    return path


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A run of one image, with the tiny settings; its output folder."""
    folder = tmp_path_factory.mktemp("trained")
    image = save_image(folder / "photo.png")
    options = parse([*TINY, f"--image={image}", f"--output_dir={folder / 'out'}"])
    assert cli.run(options) == 0
    return folder


def folders(path):
    return sorted(p.name for p in path.iterdir() if p.is_dir())


def lines(text):
    return text.splitlines()


# --- What it writes ---

X4_FILES = {"kernel.png", "report.json"} | {
    f"kernel_x{scale}.{kind}" for scale in (2, 4) for kind in ("npy", "mat")
}


def test_results_of_one_image(trained):
    folder = trained / "out" / "photo"
    assert {p.name for p in folder.iterdir()} == X4_FILES
    for name in ("kernel_x2", "kernel_x4"):
        kernel = np.load(folder / f"{name}.npy")
        assert kernel.sum() == pytest.approx(1, abs=1e-3)
        mat = scipy.io.loadmat(folder / f"{name}.mat")["Kernel"]
        np.testing.assert_array_equal(mat, kernel)
    found = json.loads((folder / "report.json").read_text())
    assert found["config"]["scale"] == 4
    assert found["config"]["iterations"] == found["steps"] == 3
    assert found["seed"] == 0


def test_a_kernel_depends_on_the_seed_and_not_on_other_images(
    trained, tmp_path, capsys
):
    image = trained / "photo.png"
    other = save_image(tmp_path / "other.png", seed=1)
    first = (trained / "out" / "photo" / "kernel_x2.npy").read_bytes()
    for seed, same in ((0, True), (1, False)):
        arguments = (f"--image={other}", f"--image={image}", f"--seed={seed}")
        out = tmp_path / str(seed)
        assert cli.main([*TINY, *arguments, f"--output_dir={out}"]) == 0
        assert ((out / "photo" / "kernel_x2.npy").read_bytes() == first) == same
    said, complained = capsys.readouterr()
    assert complained == ""  # No progress bar, as this is no terminal.
    first, *shown = lines(said)[: len(lines(said)) // 2]
    assert first.startswith("2 images, ")
    assert shown[0].startswith(f"{other}: ")
    assert shown[1].endswith(f" -> {tmp_path / '0' / 'photo'}")
    titles = ["widths", "angle", "seconds", "converged", "confidence", "image"]
    assert shown[3].split() == titles
    assert [row.split()[-1] for row in shown[4:6]] == [str(other), str(image)]
    assert shown[6] == f"2 of 2 images done -> {tmp_path / '0' / 'manifest.jsonl'}"


def test_images_of_one_name_do_not_overwrite_each_other(tmp_path, fake_training):
    for folder, size in (("x", 90), ("y", 92)):
        save_image(tmp_path / folder / "a.png", size=size)
    out = tmp_path / "out"
    arguments = [str(tmp_path / "x"), f"--image={tmp_path / 'y'}"]
    assert cli.main([*arguments, f"--output_dir={out}"]) == 0
    sizes = {
        folder.name: json.loads((folder / "report.json").read_text())["image"]["width"]
        for folder in out.iterdir()
        if folder.is_dir()
    }
    # Images named by --image come before those without a flag.
    assert sizes == {"a": 92, "a_2": 90}


def test_globs_folders_and_arguments_without_a_flag(tmp_path, fake_training):
    for name in ("x/a.png", "x/b.png", "y/c.png", "d.png"):
        save_image(tmp_path / name)
    arguments = (f"--image={tmp_path / 'x' / '*.png'}", f"--image={tmp_path / 'y'}")
    status = cli.main(
        [*arguments, str(tmp_path / "d.png"), f"--output_dir={tmp_path / 'out'}"]
    )
    assert status == 0
    assert folders(tmp_path / "out") == list("abcd")


def test_the_spectrum_at_scale_3(tmp_path, capsys):
    image = ROOT / "examples" / "images" / "chelsea.png"
    config = f"--config={ROOT / 'configs' / 'x3.py'}"
    arguments = [config, f"--image={image}", f"--output_dir={tmp_path}", "--sr=none"]
    assert cli.main(arguments) == 0
    folder = tmp_path / "chelsea"
    assert {p.name for p in folder.iterdir()} == {
        "kernel_x3.npy", "kernel_x3.mat", "kernel.png", "report.json",
    }  # fmt: skip
    found = json.loads((folder / "report.json").read_text())
    measures = found["kernel_x3"]
    aligned = kernels.alignment(measures["shape"], 3)
    assert measures["centre_of_mass"] == pytest.approx(aligned, abs=0.05)
    assert max(measures["shape"]) < 33  # without margin
    level = found["confidence"]["level"]
    assert level in ("high", "medium", "low")
    assert f", confidence {level}" in capsys.readouterr().out
    # Nothing of the other scale is left when the folder is used again.
    assert cli.main([*arguments, "--config.scale=2"]) == 0
    assert "kernel_x3.npy" not in {p.name for p in folder.iterdir()}


# --- Super-resolution ---

TINY_SR = (
    "--config.sr.iterations=20",
    "--config.sr.layers=3",
    "--config.sr.channels=4",
)


def test_a_known_kernel_super_resolves_and_all_of_the_file_survives(
    tmp_path, no_training
):
    pixels = np.random.default_rng(0).integers(0, 2**16, (40, 36, 3), np.uint16)
    alpha = np.full((40, 36), 30000, np.uint16)
    exif = pillow.Exif()
    exif[ExifTags.Base.Artist] = "me"
    image = image_files.Image(pixels, alpha, b"a profile", exif.tobytes(), "")
    image_files.write_png(tmp_path / "a.png", image)
    np.save(tmp_path / "k.npy", blur_kernels.gaussian(9, variances=(2, 1), scale=2))
    out = tmp_path / "out"
    arguments = (f"--image={tmp_path / 'a.png'}", f"--output_dir={out}")
    status = cli.main([*arguments, f"--kernel={tmp_path / 'k.npy'}", *TINY_SR])
    assert status == 0
    assert {p.name for p in (out / "a").iterdir()} == {
        "sr_x2.png", "comparison.png", "report.json",
    }  # fmt: skip
    result = image_files.read(out / "a" / "sr_x2.png")
    assert result.pixels.shape == (80, 72, 3) and result.pixels.dtype == np.uint16
    np.testing.assert_array_equal(result.alpha, np.full((80, 72), 30000))
    assert (result.icc_profile, result.exif) == (b"a profile", exif.tobytes())
    found = json.loads((out / "a" / "report.json").read_text())["super_resolution"]
    assert found["kernel"] == str(tmp_path / "k.npy")
    assert found["method"] == "zssr_fast"
    assert found["note"].startswith("from crops smaller than 128, as the image is")


def test_the_estimated_kernel_at_scale_4_is_gradual(tmp_path):
    image = save_image(tmp_path / "a.png")
    arguments = (f"--image={image}", f"--output_dir={tmp_path}")
    assert cli.main([*TINY[:-1], *TINY_SR, *arguments]) == 0
    written = {p.name for p in (tmp_path / "a").iterdir()}
    assert written == X4_FILES | {"sr_x4.png", "comparison.png"}
    assert written <= set(results.FILES)
    assert image_files.read(tmp_path / "a" / "sr_x4.png").pixels.shape == (384, 384, 3)


def test_gray_bicubic_needs_no_kernel(tmp_path, no_training):
    pixels = np.random.default_rng(0).integers(0, 256, (9, 12), np.uint8)
    pillow.fromarray(pixels).save(tmp_path / "a.png")
    flags = ("--sr=bicubic", "--sr_kernel=bicubic")
    arguments = (f"--image={tmp_path / 'a.png'}", f"--output_dir={tmp_path}", *flags)
    assert cli.main([*arguments]) == 0
    result = image_files.read(tmp_path / "a" / "sr_x2.png").pixels
    expected = bicubic_resize(to_unit(pixels), 2)[..., None]
    np.testing.assert_array_equal(result, from_unit(expected, np.uint8))


@pytest.mark.parametrize(
    "name, content, expected",
    [
        ("k.npy", np.zeros((3, 3)), "sums to 0"),
        ("k.npy", np.ones((0, 0)), "not empty"),
        ("k.npy", np.full((3, 3), np.inf), "not finite"),
        ("k.npy", b"rubbish", "damaged or no kernel"),
        ("k.mat", b"rubbish", "damaged or no kernel"),
        ("k.txt", b"1", "must be a .npy or a .mat file"),
        ("k.npy", None, "No such file"),
        (
            "k.npy",
            blur_kernels.gaussian(13, variances=(2, 1), scale=4),
            "--config.scale=4",
        ),
    ],
)
def test_bad_kernel_files_are_one_line(
    tmp_path, capsys, no_training, name, content, expected
):
    path = tmp_path / name
    if isinstance(content, bytes):
        path.write_bytes(content)
    elif content is not None:
        np.save(path, content)
    assert cli.main([f"--kernel={path}", "a.png"]) == 2
    (line,) = lines(capsys.readouterr().err)
    assert expected in line and str(path) in line


def test_a_kernel_larger_than_the_image_is_one_line(tmp_path, capsys, no_training):
    np.save(tmp_path / "k.npy", np.ones((41, 3)))
    image = save_image(tmp_path / "a.png", size=40)
    arguments = (f"--kernel={tmp_path / 'k.npy'}", f"--output_dir={tmp_path}")
    assert cli.main([*arguments, str(image)]) == 1
    (line,) = lines(capsys.readouterr().err)
    assert "larger than the image" in line


# --- What goes wrong with an image ---


def test_bad_images_are_a_line_each_and_the_others_go_on(
    tmp_path, capsys, fake_training
):
    (tmp_path / "bad.png").write_bytes(b"\x89PNG\r\n\x1a\nrubbish")
    (tmp_path / "empty").mkdir()
    good = save_image(tmp_path / "good.png")
    names = ("missing.png", "empty", "no*.png", "bad.png")
    arguments = [f"--image={tmp_path / name}" for name in names]
    out = tmp_path / "out"
    assert cli.main([*arguments, f"--image={good}", f"--output_dir={out}"]) == 1
    said, complained = capsys.readouterr()
    assert len(lines(complained)) == len(names)
    for line, name in zip(lines(complained), names, strict=True):
        assert line.startswith(f"error: {tmp_path / name}: ")
    assert [line.split(":")[0] for line in lines(said)[1:-1]] == [str(good)]
    assert lines(said)[-1].startswith("1 of 2 images done, 1 failed -> ")
    assert folders(out) == ["good"]


def test_an_image_that_is_too_small(tmp_path, capsys):
    for flags, size in ((["--sr=none"], 31), (TINY, 79)):
        small = save_image(tmp_path / "small.png", size=size)
        arguments = [f"--image={small}", f"--output_dir={tmp_path / 'out'}"]
        assert cli.main([*flags, *arguments]) == 1
        (line,) = lines(capsys.readouterr().err)
        assert line.startswith(f"error: {small}: image is {size}x{size} pixels")


def test_no_image_at_all_leaves_no_output_folder(tmp_path, capsys, no_training):
    out = tmp_path / "out"
    missing = tmp_path / "missing.png"
    assert cli.main([f"--image={missing}", f"--output_dir={out}"]) == 1
    assert len(lines(capsys.readouterr().err)) == 1
    assert not out.exists()


def test_an_unexpected_error_is_a_line_and_the_others_go_on(
    tmp_path, capsys, monkeypatch, fake_training
):
    images = [
        save_image(tmp_path / name, size=size)
        for name, size in (("a.png", 90), ("b.png", 96), ("c.png", 96))
    ]

    def train(prepared, *_, **__):
        if any(one.image.shape[0] == 90 for one in prepared):
            raise RuntimeError("out of\nmemory")
        return [fake_training] * len(prepared)

    monkeypatch.setattr(run, "find", train)
    status = cli.main([*map(str, images), f"--output_dir={tmp_path / 'out'}"])
    said, complained = capsys.readouterr()
    assert status == 1
    assert complained == f"error: {images[0]}: RuntimeError: out of memory\n"
    assert lines(said)[1].startswith(f"{images[1]}: kernel")


def test_not_converged_is_said_and_no_failure(
    tmp_path, capsys, monkeypatch, fake_training
):
    estimate = fake_training._replace(converged=False, reason="it diverged")
    monkeypatch.setattr(run, "find", lambda *_, **__: [estimate])
    image = save_image(tmp_path / "a.png")
    assert cli.main([str(image), f"--output_dir={tmp_path / 'out'}"]) == 0
    assert "NOT CONVERGED (it diverged)" in capsys.readouterr().out


def test_an_interrupt_keeps_what_is_finished(
    tmp_path, capsys, monkeypatch, fake_training
):
    images = [save_image(tmp_path / name) for name in ("a.png", "b.png")]
    save = save_kernel_figure

    def interrupt_second(path, run, estimate):
        if run.path == images[1]:
            raise KeyboardInterrupt
        save(path, run, estimate)

    monkeypatch.setattr(results, "_save_figure", interrupt_second)
    out = tmp_path / "out"
    assert cli.main([*map(str, images), f"--output_dir={out}"]) == 130
    assert len(lines(capsys.readouterr().err)) == 1
    assert folders(out) == ["a"]
    assert (out / "a" / "report.json").exists()


def test_quiet_says_errors_only(tmp_path, capsys, fake_training):
    images = [save_image(tmp_path / name) for name in ("a.png", "b.png")]
    out = f"--output_dir={tmp_path / 'out'}"
    assert cli.main([*map(str, images), out, "--quiet"]) == 0
    assert capsys.readouterr() == ("", "")
    assert cli.main([*map(str, images), "missing.png", out, "--quiet"]) == 1
    said, complained = capsys.readouterr()
    assert said == "" and len(lines(complained)) == 1


@pytest.mark.parametrize("flags, shown", [((), True), (("--quiet",), False)])
def test_progress_on_a_terminal(
    tmp_path, capsys, monkeypatch, fake_training, flags, shown
):
    losses = dict(generator_loss=0.25, discriminator_loss=0.5, bicubic_loss=0.125)

    def train(*_, progress, **__):
        progress(0, 2000, losses)
        return [fake_training]

    monkeypatch.setattr(run, "find", train)
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    image = save_image(tmp_path / "a.png")
    assert cli.main([str(image), *flags, f"--output_dir={tmp_path / 'out'}"]) == 0
    bar = capsys.readouterr().err
    assert ("2000/3000" in bar and "G=0.25, D=0.5, bicubic=0.125" in bar) == shown


# --- What goes wrong with the output ---


def test_an_impossible_output_folder_is_found_before_training(
    tmp_path, capsys, no_training
):
    image = save_image(tmp_path / "a.png")
    (tmp_path / "file").write_text("")
    for out in (tmp_path / "file", tmp_path / "file" / "out"):
        assert cli.main([f"--image={image}", f"--output_dir={out}"]) == 1
        (line,) = lines(capsys.readouterr().err)
        assert line.startswith(f"error: {out}: cannot be written: ")


@pytest.mark.skipif(
    not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write anywhere"
)
@pytest.mark.parametrize("name", ["", "a"], ids=["output folder", "image's folder"])
def test_a_read_only_folder_is_found_before_training(
    tmp_path, capsys, no_training, name
):
    image = save_image(tmp_path / "a.png")
    out = tmp_path / "out"
    (out / "a").mkdir(parents=True)
    (out / name).chmod(0o500)
    try:
        assert cli.main([f"--image={image}", f"--output_dir={out}"]) == 1
    finally:
        (out / name).chmod(0o700)
    (line,) = lines(capsys.readouterr().err)
    assert line.startswith(f"error: {out / name}: cannot be written: ")


def test_a_file_in_the_place_of_an_image_s_folder(tmp_path, capsys, no_training):
    image = save_image(tmp_path / "a.png")
    out = tmp_path / "out"
    out.mkdir()
    (out / "a").write_text("")
    assert cli.main([f"--image={image}", f"--output_dir={out}"]) == 1
    (line,) = lines(capsys.readouterr().err)
    assert line.startswith(f"error: {out / 'a'}: cannot be written: ")


# --- Flags ---


def parsed(*arguments):
    return parse([*arguments, "a.png"])


def test_defaults():
    assert parsed() == Options(["a.png"], BEST, Path("results"), 0, False)


def test_overrides_keep_their_types():
    config = parsed(
        "--config.generator_kernels=(13,)",
        "--config.bicubic_weight=3",
        "--config.warm_start=per_channel",
        "--config.iterations",
        "7",
    ).config
    assert config == Config(
        estimator="spectral",
        generator_kernels=(13,),
        bicubic_weight=3.0,
        warm_start="per_channel",
        iterations=7,
    )
    assert isinstance(config.bicubic_weight, float)


SPECTRAL = {"estimator": "spectral"}


@pytest.mark.parametrize(
    "name, changed",
    [
        ("x2", SPECTRAL),
        ("x3", SPECTRAL | {"scale": 3}),
        ("x4", SPECTRAL | {"scale": 4}),
        ("x2_spectral", SPECTRAL | {"sr": SRConfig(method="none")}),
        ("x2_paper", {}),
        ("x4_paper", {"scale": 4}),
        (
            "real",
            SPECTRAL
            | {"border": 0, "sr": SRConfig(noise_scale=1.0, back_projections=0)},
        ),
        ("ablation_single_layer", {"generator_kernels": (13,)}),
        (
            "x2_flow",
            {
                "prior": "flow",
                "iterations": 600,
                "decay_every": 300,
                "generator_learning_rate": 1e-3,
                "bicubic_weight": 0.0,
                "bicubic_floor": 0.0,
                "sum_weight": 0.0,
                "boundary_weight": 0.0,
                "centre_weight": 0.0,
                "sparsity_weight": 0.0,
            },
        ),
    ],
)
def test_config_files(name, changed):
    path = ROOT / "configs" / f"{name}.py"
    assert f"python main.py --config=configs/{name}.py --image=" in path.read_text()
    assert parsed(f"--config={path}").config == Config(**changed)
    override = parsed(f"--config={path}", "--config.noise=1")
    assert override.config == Config(**changed, noise=1.0)


def test_the_flow_as_generator(tmp_path):
    photo = save_image(tmp_path / "photo.png")
    out = tmp_path / "out"
    arguments = [
        f"--config={ROOT / 'configs' / 'x2_flow.py'}",
        "--config.iterations=3",
        "--config.crops=2",
        "--config.discriminator_channels=4",
        "--config.discriminator_blocks=1",
        "--sr=none",
        f"--image={photo}",
        f"--output_dir={out}",
    ]
    assert cli.main(arguments) == 0
    kernel = np.load(out / photo.stem / "kernel_x2.npy")
    longer, shorter, _ = kernels.widths(kernel)
    assert 1.2 < shorter <= longer < 2.2  # it starts at a round Gaussian


def test_a_config_file_with_only_some_settings(tmp_path):
    path = tmp_path / "mine.py"
    path.write_text("def get_config():\n    return {'iterations': 5}\n")
    assert parsed(f"--config={path}").config == Config(iterations=5)


@pytest.mark.parametrize(
    "arguments, expected",
    [
        (["--config.iteratons=5"], "config.iteratons; did you mean config.iterations?"),
        (["--config.iterations=abc"], "--config.iterations=abc: "),
        (["--config.iterations=0"], "config.iterations is 0; it must be at least 1"),
        (["--config.generator_kernels=(a,)"], "it must be positive integers"),
        (["--config=absent.py"], "No such file or directory: 'absent.py'"),
        (["--imag=a.png"], "'imag'. Did you mean: image ?"),
        (["--seed=-1"], "--seed=-1: -1 is not an integer in the range"),
        (["--output_dir"], "Missing value for flag --output_dir"),
        ([], "no image: "),
    ],
)
def test_usage_errors_are_one_line(capsys, no_training, arguments, expected):
    assert cli.main(arguments) == 2
    said, complained = capsys.readouterr()
    assert said == ""
    (line,) = lines(complained)
    assert line.startswith("error: ") and expected in line


@pytest.mark.parametrize(
    "program, expected",
    [
        (
            "def get_config():\n    return {'iters': 5}",
            "did you mean config.iterations?",
        ),
        ("def get_config():\n    return 1 / 0", "division by zero"),
        ("def get_config(:", "SyntaxError"),
        ("def get_config():\n    raise ValueError('too\\nbad')", "bad"),
    ],
)
def test_config_files_that_do_not_work_are_one_line(
    tmp_path, capsys, program, expected
):
    path = tmp_path / "mine.py"
    path.write_text(program)
    assert cli.main([f"--config={path}", "a.png"]) == 2
    (line,) = lines(capsys.readouterr().err)
    assert expected in line


def test_a_field_of_a_wrong_type_in_a_config_file(tmp_path, capsys):
    path = tmp_path / "mine.py"
    path.write_text(
        "from ml_collections import ConfigDict\n"
        "from kernelgan_jax.config import Config\n"
        "def get_config():\n"
        "    config = ConfigDict(Config().asdict())\n"
        "    config.iterations = 'many'\n"
        "    return config\n"
    )
    assert cli.main([f"--config={path}", "a.png"]) == 2
    (line,) = lines(capsys.readouterr().err)
    assert "iterations" in line and "many" in line


def test_help_shows_all_our_flags_and_settings_and_no_others(capsys):
    assert cli.main(["--image=a.png", "--help"]) == 0
    text = capsys.readouterr().out
    assert len(lines(text)) < 100 and max(map(len, lines(text))) <= 88
    shown = {word.strip(":") for word in text.split() if word.startswith("--")}
    flags = {"--image", "--config", "--output_dir", "--seed", "--quiet"}
    flags |= {"--sr", "--kernel", "--sr_kernel", "--batch_size", "--shard"}
    flags |= {"--resume", "--noresume", "--figures", "--nofigures", "--cluster"}
    assert {flag for flag in shown if "=" not in flag and "." not in flag} == flags
    settings = BEST.asdict()
    default = settings | {f"sr.{n}": v for n, v in settings.pop("sr").items()}
    for name in default:
        assert f"--config.{name}={str(default[name])}" in text.replace('"', "")
    assert "Each image starts from it anew" in " ".join(text.split())


# --- Entry points ---


@pytest.mark.parametrize(
    "command", [["-m", "kernelgan_jax"], [str(ROOT / "main.py")]], ids=["-m", "main.py"]
)
def test_entry_points(command, tmp_path):
    environment = os.environ | {
        "PYTHONPATH": str(ROOT),
        "XDG_CACHE_HOME": str(tmp_path),
    }
    done = subprocess.run(
        [sys.executable, *command, "--image=missing.png"],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1
    assert done.stdout == ""
    expected = "error: missing.png: no such file or folder; check the path\n"
    assert done.stderr == expected


# --- The compilation cache ---


@pytest.fixture
def cache_dir():
    """The setting of JAX, put back after the test."""
    names = (
        "jax_compilation_cache_dir",
        "jax_persistent_cache_min_compile_time_secs",
        "jax_persistent_cache_min_entry_size_bytes",
    )
    before = {name: getattr(jax.config, name) for name in names}
    yield lambda: jax.config.jax_compilation_cache_dir
    for name, value in before.items():
        jax.config.update(name, value)


def test_compilations_are_kept_among_the_user_s_caches(
    tmp_path, monkeypatch, cache_dir
):
    jax.config.update("jax_compilation_cache_dir", None)
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    compilation_cache.keep_compilations()
    assert cache_dir() == str(tmp_path / "kernelgan_jax")
    assert (tmp_path / "kernelgan_jax").is_dir()


def test_a_cache_that_the_user_chose_stays(tmp_path, monkeypatch, cache_dir):
    jax.config.update("jax_compilation_cache_dir", "mine")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    compilation_cache.keep_compilations()
    assert cache_dir() == "mine"
    assert list(tmp_path.iterdir()) == []


def test_no_cache_is_no_error(tmp_path, monkeypatch, cache_dir):
    jax.config.update("jax_compilation_cache_dir", None)
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    monkeypatch.setattr(sys, "platform", "linux")
    compilation_cache.keep_compilations()
    assert cache_dir() is None


@pytest.mark.parametrize(
    "platform, parent",
    [
        ("linux", "home/.cache"),
        ("darwin", "home/Library/Caches"),
        ("win32", "home/AppData/Local"),
    ],
)
def test_cache_folders(monkeypatch, platform, parent):
    monkeypatch.setattr(sys, "platform", platform)
    monkeypatch.setattr(Path, "home", lambda: Path("home"))
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.delenv("LOCALAPPDATA", raising=False)
    assert compilation_cache.cache_folder() == Path(parent) / "kernelgan_jax"
