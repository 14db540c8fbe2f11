"""The command from end to end: what it writes and prints, and its exit status."""

import errno
import json
import os
import shutil
import signal
import subprocess
import sys
import time

import helpers
import numpy as np
import pytest
import scipy.io
from app import makers
from PIL import ExifTags
from PIL import Image as pillow

from kernelgan_jax import kernels
from kernelgan_jax.app import cli, figures, manifest, result_names, results, run
from kernelgan_jax.app.flags import parse
from kernelgan_jax.app.images import image_files
from kernelgan_jax.estimate import Progress
from kernelgan_jax.pixels import from_unit, to_unit
from kernelgan_jax.resize import bicubic_resize

# One set of settings for all tests, so that the training is compiled once.
TINY = [
    "--config=x4_paper",
    *helpers.flags("kernelgan", helpers.TINY_KERNELGAN | {"iterations": 3}),
]
TINY_SR = helpers.flags("zssr", helpers.TINY_ZSSR)


def save_image(path, seed=0, size=96):
    return helpers.write_image(path, helpers.noise(size, size, 3, seed=seed))


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A run on one image with tiny settings: its image and its output folder."""
    folder = tmp_path_factory.mktemp("trained")
    image = save_image(folder / "photo.png")
    arguments = [*TINY, "--sr=none", f"--image={image}"]
    options = parse([*arguments, f"--output_dir={folder / 'out'}"])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(run, "keep_compilations", lambda: None)
        assert run.run(options) == 0
    return folder


def folders(path):
    return sorted(p.name for p in path.iterdir() if p.is_dir())


def names_in(folder):
    return {path.name for path in folder.iterdir()}


# --- What it writes ---

X4_FILES = {"kernel.png", "report.json"} | {
    f"kernel_x{scale}.{kind}" for scale in (2, 4) for kind in ("npy", "mat")
}


def test_results_of_one_image(trained):
    folder = trained / "out" / "photo"
    assert names_in(folder) == X4_FILES
    for name in ("kernel_x2", "kernel_x4"):
        kernel = np.load(folder / f"{name}.npy")
        assert kernel.sum() == pytest.approx(1, abs=1e-3)
        mat = scipy.io.loadmat(folder / f"{name}.mat")["Kernel"]
        np.testing.assert_array_equal(mat, kernel)
    found = helpers.strict_json(folder / "report.json")
    assert (found["config"]["estimator"], found["config"]["scale"]) == ("kernelgan", 4)
    assert found["config"]["kernelgan"]["iterations"] == found["steps"] == 3
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
        arguments = [*TINY, "--sr=none", *arguments, f"--output_dir={out}"]
        assert cli.main(arguments) == 0
        assert ((out / "photo" / "kernel_x2.npy").read_bytes() == first) == same
    printed, errors = capsys.readouterr()
    assert errors == ""  # There is no progress bar, as this is no terminal.
    lines = printed.splitlines()
    first, *shown = lines[: len(lines) // 2]
    assert first.startswith("2 images, ")
    assert shown[0].startswith(f"{other}: ")
    assert shown[1].endswith(f" -> {tmp_path / '0' / 'photo'}")
    titles = ["widths", "angle", "seconds", "converged", "confidence", "image"]
    assert shown[3].split() == titles
    assert [row.split()[-1] for row in shown[4:6]] == [str(other), str(image)]
    assert shown[6] == f"2 of 2 images done -> {tmp_path / '0' / 'manifest.jsonl'}"


def test_images_of_one_name_do_not_overwrite_each_other(tmp_path, estimation):
    for folder, size in (("x", 90), ("y", 92)):
        save_image(tmp_path / folder / "a.png", size=size)
    out = tmp_path / "out"
    arguments = [str(tmp_path / "x"), f"--image={tmp_path / 'y'}", "--nofigures"]
    assert cli.main([*arguments, f"--output_dir={out}"]) == 0
    sizes = {
        name: helpers.strict_json(out / name / "report.json")["image"]["width"]
        for name in folders(out)
    }
    # Images named by --image come before those without a flag.
    assert sizes == {"a": 92, "a_2": 90}


def test_globs_folders_and_arguments_without_a_flag(tmp_path, estimation):
    for name in ("x/a.png", "x/b.png", "y/c.png", "d.png"):
        save_image(tmp_path / name)
    arguments = (f"--image={tmp_path / 'x' / '*.png'}", f"--image={tmp_path / 'y'}")
    arguments = [*arguments, str(tmp_path / "d.png"), "--nofigures"]
    assert cli.main([*arguments, f"--output_dir={tmp_path / 'out'}"]) == 0
    assert folders(tmp_path / "out") == list("abcd")


def test_the_spectrum_at_scale_3(tmp_path, capsys):
    arguments = ["--config=x3", f"--image={helpers.PHOTO}", f"--output_dir={tmp_path}"]
    assert cli.main([*arguments, "--sr=none"]) == 0
    folder = tmp_path / "chelsea"
    assert names_in(folder) == {
        "kernel_x3.npy", "kernel_x3.mat", "kernel.png", "report.json",
    }  # fmt: skip
    found = helpers.strict_json(folder / "report.json")
    measures = found["kernel_x3"]
    aligned = kernels.alignment(measures["shape"], 3)
    assert measures["centre_of_mass"] == pytest.approx(aligned, abs=0.05)
    assert max(measures["shape"]) < 33  # without margin
    level = found["confidence"]["level"]
    assert level in ("high", "medium", "low")
    assert f", confidence {level}" in capsys.readouterr().out
    # Nothing of the other scale is left when the folder is used again.
    assert cli.main([*arguments, "--sr=none", "--config.scale=2"]) == 0
    assert "kernel_x2.npy" in names_in(folder)
    assert "kernel_x3.npy" not in names_in(folder)


# --- Super-resolution ---


def test_a_known_kernel_super_resolves_and_all_of_the_file_survives(tmp_path):
    pixels = helpers.noise(40, 36, 3, dtype=np.uint16)
    alpha = np.full((40, 36), 30000, np.uint16)
    exif = pillow.Exif()
    exif[ExifTags.Base.Artist] = "me"
    image = image_files.Image(pixels, alpha, b"a profile", exif.tobytes(), "")
    image_files.write_png(tmp_path / "a.png", image)
    np.save(tmp_path / "k.npy", helpers.gaussian(2))
    out = tmp_path / "out"
    arguments = (f"--image={tmp_path / 'a.png'}", f"--output_dir={out}")
    sr = helpers.flags("zssr", helpers.TINY_ZSSR | {"crop": 128})
    assert cli.main([*arguments, f"--kernel={tmp_path / 'k.npy'}", *sr]) == 0
    assert names_in(out / "a") == {"sr_x2.png", "comparison.png", "report.json"}
    result = image_files.read(out / "a" / "sr_x2.png")
    assert result.pixels.shape == (80, 72, 3) and result.pixels.dtype == np.uint16
    np.testing.assert_array_equal(result.alpha, np.full((80, 72), 30000))
    assert (result.icc_profile, result.exif) == (b"a profile", exif.tobytes())
    report = helpers.strict_json(out / "a" / "report.json")
    assert report["config"]["given"] == {"source": str(tmp_path / "k.npy")}
    found = report["super_resolution"]
    assert found["kernel"] == str(tmp_path / "k.npy")
    assert found["method"] == "zssr_fast"
    assert found["note"].startswith("from crops smaller than 128, as the image is")


def test_the_estimated_kernel_at_scale_4_is_gradual(tmp_path):
    image = save_image(tmp_path / "a.png")
    arguments = (f"--image={image}", f"--output_dir={tmp_path}")
    assert cli.main([*TINY, *TINY_SR, *arguments]) == 0
    written = names_in(tmp_path / "a")
    assert written == X4_FILES | {"sr_x4.png", "comparison.png"}
    assert written <= set(result_names.FILES)
    enlarged = image_files.read(tmp_path / "a" / "sr_x4.png").pixels
    assert enlarged.shape == (384, 384, 3)


def test_gray_bicubic_needs_no_kernel(tmp_path, no_estimation):
    pixels = helpers.noise(9, 12)
    image = helpers.write_image(tmp_path / "a.png", pixels)
    flags = ("--sr=bicubic", "--sr_kernel=bicubic")
    assert cli.main([f"--image={image}", f"--output_dir={tmp_path}", *flags]) == 0
    result = image_files.read(tmp_path / "a" / "sr_x2.png").pixels
    expected = bicubic_resize(to_unit(pixels), 2)[..., None]
    np.testing.assert_array_equal(result, from_unit(expected, np.uint8))


def test_a_kernel_larger_than_the_image_is_one_line(tmp_path, capsys, no_estimation):
    np.save(tmp_path / "k.npy", np.ones((41, 3)))
    image = save_image(tmp_path / "a.png", size=40)
    arguments = (f"--kernel={tmp_path / 'k.npy'}", f"--output_dir={tmp_path}")
    assert cli.main([*arguments, str(image)]) == 1
    assert "larger than the image" in makers.error_line(capsys)


def test_the_flow_as_generator(tmp_path):
    photo = save_image(tmp_path / "photo.png")
    out = tmp_path / "out"
    settings = {"iterations": 3, "crops": 2}
    settings |= {"discriminator_channels": 4, "discriminator_blocks": 1}
    arguments = ["--config=x2_flow", *helpers.flags("kernelgan", settings)]
    assert cli.main([*arguments, "--sr=none", str(photo), f"--output_dir={out}"]) == 0
    kernel = np.load(out / "photo" / "kernel_x2.npy")
    longer, shorter, _ = kernels.widths(kernel)
    assert 1.2 < shorter <= longer < 2.2  # It starts at a round Gaussian.


# --- What goes wrong with an image ---


def test_bad_images_are_a_line_each_and_the_others_go_on(tmp_path, capsys, estimation):
    (tmp_path / "bad.png").write_bytes(b"\x89PNG\r\n\x1a\nrubbish")
    (tmp_path / "empty").mkdir()
    good = save_image(tmp_path / "good.png")
    names = ("missing.png", "empty", "no*.png", "bad.png")
    arguments = [f"--image={tmp_path / name}" for name in names]
    out = tmp_path / "out"
    assert cli.main([*arguments, f"--image={good}", f"--output_dir={out}"]) == 1
    printed, errors = (text.splitlines() for text in capsys.readouterr())
    assert len(errors) == len(names)
    for line, name in zip(errors, names, strict=True):
        assert line.startswith(f"error: {tmp_path / name}: ")
    assert [line.split(":")[0] for line in printed[1:-1]] == [str(good)]
    assert printed[-1].startswith("1 of 2 images done, 1 failed -> ")
    assert folders(out) == ["good"]


@pytest.mark.parametrize("flags, size", [([], 31), (TINY, 83)])
def test_an_image_that_is_too_small(tmp_path, capsys, no_estimation, flags, size):
    small = save_image(tmp_path / "small.png", size=size)
    arguments = [f"--image={small}", f"--output_dir={tmp_path / 'out'}", "--sr=none"]
    assert cli.main([*flags, *arguments]) == 1
    line = makers.error_line(capsys)
    assert line.startswith(f"{small}: image is {size}x{size} pixels")


def test_no_image_at_all_leaves_no_output_folder(tmp_path, capsys, no_estimation):
    out = tmp_path / "out"
    missing = tmp_path / "missing.png"
    assert cli.main([f"--image={missing}", f"--output_dir={out}"]) == 1
    assert str(missing) in makers.error_line(capsys)
    assert not out.exists()


def test_an_unexpected_error_is_a_line_and_the_others_go_on(
    tmp_path, capsys, estimation
):
    images = [
        save_image(tmp_path / name, size=size)
        for name, size in (("a.png", 90), ("b.png", 96), ("c.png", 96))
    ]

    def estimate(keys, images, **_):
        if any(usable.image.shape[0] == 90 for usable in images):
            raise RuntimeError("out of\nmemory")
        return [makers.estimate()] * len(images)

    estimation.function = estimate
    arguments = [*map(str, images), "--nofigures"]
    status = cli.main([*arguments, f"--output_dir={tmp_path / 'out'}"])
    printed, errors = capsys.readouterr()
    assert status == 1
    assert errors == f"error: {images[0]}: RuntimeError: out of memory\n"
    assert printed.splitlines()[1].startswith(f"{images[1]}: kernel")


def test_an_estimate_that_failed_is_no_failure_of_the_run(tmp_path, capsys, estimation):
    estimation.function = lambda *_, **__: [makers.estimate(failure="it diverged")]
    image = save_image(tmp_path / "a.png")
    assert cli.main([str(image), f"--output_dir={tmp_path / 'out'}"]) == 0
    assert "NOT CONVERGED (it diverged)" in capsys.readouterr().out


def test_an_interrupt_keeps_what_is_finished(tmp_path, capsys, monkeypatch, estimation):
    images = [save_image(tmp_path / name) for name in ("a.png", "b.png")]
    draw = figures.write

    def interrupt_second(folder, result):
        if result.task.path == images[1]:
            raise KeyboardInterrupt
        draw(folder, result)

    monkeypatch.setattr(figures, "write", interrupt_second)
    out = tmp_path / "out"
    assert cli.main([*map(str, images), f"--output_dir={out}"]) == 130
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: interrupted; ")
    assert folders(out) == ["a"]
    assert (out / "a" / "report.json").exists()


def test_quiet_prints_errors_only(tmp_path, capsys, estimation):
    images = [save_image(tmp_path / name) for name in ("a.png", "b.png")]
    out = f"--output_dir={tmp_path / 'out'}"
    arguments = [*map(str, images), out, "--quiet", "--nofigures"]
    assert cli.main(arguments) == 0
    assert capsys.readouterr() == ("", "")
    assert cli.main([*arguments, "missing.png"]) == 1
    assert "missing.png" in makers.error_line(capsys)


def test_levels_of_messages(tmp_path, capsys, estimation):
    image = save_image(tmp_path / "a.png")
    arguments = [str(image), f"--output_dir={tmp_path / 'out'}", "--nofigures"]
    assert cli.main([*arguments, "--log_level=warning"]) == 0
    assert capsys.readouterr() == ("", "")
    other = [*arguments, "--noresume", "--seed=1"]
    assert cli.main([*other, "--log_level=warning"]) == 0
    printed, errors = capsys.readouterr()
    assert "with other settings (seed" in printed and errors == ""
    assert cli.main([*other, "--band=7"]) == 1  # Nothing new, so the old ones stay.
    assert "which new results replace" in capsys.readouterr().out
    assert (tmp_path / "out" / "a" / "kernel_x2.npy").exists()

    def fail(*_, **__):
        raise RuntimeError("$problem")

    estimation.function = fail
    assert cli.main([*other, "--log_level=debug"]) == 1
    lines = capsys.readouterr().err.splitlines()
    assert any(line.endswith("a.png: estimating the kernel") for line in lines)
    assert any("Traceback" in line for line in lines)
    *before, last = lines
    assert last == f"error: {image}: RuntimeError: $problem"
    assert all(line.startswith("debug: ") for line in before)
    assert cli.main([*other, "--log_level=error"]) == 1
    assert "$problem" in makers.error_line(capsys)


def test_one_image_that_was_finished_before(tmp_path, capsys, monkeypatch, estimation):
    image = save_image(tmp_path / "a.png")
    figures = [str(image), f"--output_dir={tmp_path / 'out'}"]
    arguments = [*figures, "--nofigures"]
    assert cli.main(arguments) == cli.main(arguments) == cli.main(figures) == 0
    *_, line, lacking = capsys.readouterr().out.splitlines()
    start = f"{image}: finished before with the same settings (--noresume does that "
    assert line == f"{start}again) -> {tmp_path / 'out' / 'a'}"
    assert lacking == f"{start}again), without figures -> {tmp_path / 'out' / 'a'}"
    assert estimation.sizes == [1]
    assert cli.main([*figures, "--noresume"]) == cli.main(figures) == 0
    assert estimation.sizes == [1, 1]
    report = tmp_path / "out" / "a" / "report.json"
    report.write_text(json.dumps(json.loads(report.read_text()) | {"files": 3}))
    monkeypatch.setattr(results, "is_finished", lambda *_: True)
    assert cli.main(figures) == 0
    assert capsys.readouterr().out.splitlines()[-2:] == [line, line]


@pytest.mark.parametrize("flags, shown", [((), True), (("--quiet",), False)])
def test_progress_on_a_terminal(
    tmp_path, capsys, monkeypatch, estimation, flags, shown
):
    losses = dict(generator_loss=0.25, discriminator_loss=0.5, bicubic_loss=0.125)

    def train(*_, progress, **__):
        progress(Progress(0, "kernelgan", 2000, 3000, losses))
        return [makers.estimate()]

    estimation.function = train
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    image = save_image(tmp_path / "a.png")
    assert cli.main([str(image), *flags, f"--output_dir={tmp_path / 'out'}"]) == 0
    bar = capsys.readouterr().err
    assert ("a.png, kernelgan" in bar and "2000/3000" in bar) == shown
    assert ("G=0.25, D=0.5, bicubic=0.125" in bar) == shown


# --- What goes wrong with the output ---


def test_an_impossible_output_folder_is_found_before_estimation(
    tmp_path, capsys, no_estimation
):
    image = save_image(tmp_path / "a.png")
    (tmp_path / "file").write_text("")
    (tmp_path / "link").symlink_to("nowhere")
    for name, problem in {
        "file": "is a file, not a folder; choose another one",
        "link": "is a link to nowhere, which is not there, not a folder; ",
        "file/out": "cannot be written: ",
    }.items():
        out = tmp_path / name
        assert cli.main([f"--image={image}", f"--output_dir={out}"]) == 1
        assert makers.error_line(capsys).startswith(f"{out}: {problem}")


@pytest.mark.skipif(
    not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write anywhere"
)
@pytest.mark.parametrize("name", ["", "a"], ids=["output folder", "image's folder"])
def test_a_read_only_folder_is_found_before_estimation(
    tmp_path, capsys, no_estimation, name
):
    image = save_image(tmp_path / "a.png")
    out = tmp_path / "out"
    (out / "a").mkdir(parents=True)
    (out / name).chmod(0o500)
    try:
        assert cli.main([f"--image={image}", f"--output_dir={out}"]) == 1
    finally:
        (out / name).chmod(0o700)
    line = makers.error_line(capsys)
    assert line.startswith(f"{out / name}: cannot be written: ")


def test_a_file_in_the_place_of_an_image_s_folder(tmp_path, capsys, no_estimation):
    image = save_image(tmp_path / "a.png")
    out = tmp_path / "out"
    out.mkdir()
    (out / "a").write_text("")
    assert cli.main([f"--image={image}", f"--output_dir={out}"]) == 1
    line = makers.error_line(capsys)
    assert line.startswith(f"{out / 'a'}: is a file, not a folder; ")


# --- Entry points ---


@pytest.mark.parametrize(
    "command",
    [["-m", "kernelgan_jax"], [str(helpers.ROOT / "main.py")]],
    ids=["-m", "main.py"],
)
def test_entry_points(command, tmp_path):
    environment = os.environ | {
        "PYTHONPATH": str(helpers.ROOT),
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


# --- What lies in the way, and who else is there ---


def test_names_that_collide_with_the_program_s_own_files(tmp_path, capsys, estimation):
    names = ["manifest.jsonl.png", "...png", "..png", "b\x1b[31m.png"]
    names += ["\udcff.png"] if sys.platform == "linux" else []  # No text at all.
    for i, name in enumerate(names):
        image = save_image(tmp_path / "in" / "deep" / "image.png", seed=i)
        image.rename(image.with_name(name))
    precious = tmp_path / "in" / "report.json"
    precious.write_text("mine")
    out = tmp_path / "in" / "out"
    images = [f"--image={tmp_path / 'in' / 'deep' / name}" for name in names]
    assert cli.main([*images, "--nofigures", f"--output_dir={out}"]) == 0
    expected = ["_", "__2", "b_[31m", "manifest.jsonl_"]
    assert folders(out) == sorted(expected + ["__3"] * (len(names) > 4))
    assert sorted(p.name for p in (tmp_path / "in").iterdir()) == [
        "deep", "out", "report.json",
    ]  # fmt: skip
    assert precious.read_text() == "mine"
    printed = capsys.readouterr().out
    assert printed.replace("\n", "").isprintable()


def test_a_recursive_glob_does_not_take_its_own_results(
    tmp_path, capsys, monkeypatch, estimation
):
    save_image(tmp_path / "photos" / "a.png")
    monkeypatch.chdir(tmp_path)
    for _ in range(3):
        assert cli.main(["--image=**/*.png"]) == 0
    assert estimation.sizes == [1]
    assert capsys.readouterr().err == ""


def test_images_of_one_name_in_two_runs_keep_their_results(tmp_path, estimation):
    out = f"--output_dir={tmp_path / 'out'}"
    times = (10**9, 10**9)
    for i, folder in enumerate("xy"):
        image = save_image(tmp_path / folder / "a.png", seed=i)
        data = image.read_bytes()
        image.write_bytes(data + bytes(2**16 - len(data)))
        os.utime(image, times)
        assert cli.main([str(image), out, "--nofigures", "--sr=bicubic"]) == 0
    for i, name in enumerate(("a", "a_2")):
        report = helpers.strict_json(tmp_path / "out" / name / "report.json")
        path = tmp_path / "xy"[i] / "a.png"
        assert report["owner"]["path"] == str(path)
        pixels = to_unit(image_files.read(path).pixels)
        expected = from_unit(bicubic_resize(pixels, 2), np.uint8)
        sr = image_files.read(tmp_path / "out" / name / "sr_x2.png").pixels
        np.testing.assert_array_equal(sr, expected)


def test_other_settings_in_one_folder_are_announced(tmp_path, capsys, estimation):
    image = save_image(tmp_path / "a.png")
    arguments = [str(image), f"--output_dir={tmp_path / 'out'}", "--nofigures"]
    assert cli.main(arguments) == cli.main(arguments) == 0
    assert "other settings" not in capsys.readouterr().out
    assert cli.main([*arguments, "--sr=bicubic"]) == 0
    first, *_ = capsys.readouterr().out.splitlines()
    assert first.startswith(f"{tmp_path / 'out'}: holds results of 1 of these images")
    assert "(config.sr was 'deep_wiener' and is 'bicubic')" in first


def test_an_output_folder_that_disappears_is_a_line_for_each_image(
    tmp_path, capsys, estimation
):
    images = [save_image(tmp_path / name) for name in ("a.png", "b.png")]
    out = tmp_path / "out"

    def estimate(keys, images, **_):
        shutil.rmtree(out, ignore_errors=True)
        return [makers.estimate()] * len(images)

    estimation.function = estimate
    assert cli.main([*map(str, images), "--nofigures", f"--output_dir={out}"]) == 1
    errors = capsys.readouterr().err.splitlines()
    starts = [f"error: {out / 'a'}: ", f"error: {out / 'b'}: "]
    assert [line for line in errors if line.startswith(tuple(starts))]
    assert all("cannot be written" in line for line in errors)
    assert f"error: {out / 'manifest.jsonl'}: cannot be written: " in "\n".join(errors)


def test_a_manifest_that_cannot_grow_is_a_line_and_the_images_go_on(
    tmp_path, capsys, monkeypatch, estimation
):
    images = [save_image(tmp_path / name) for name in ("a.png", "b.png")]

    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(manifest, "append_lines", full)
    out = tmp_path / "out"
    assert cli.main([*map(str, images), "--nofigures", f"--output_dir={out}"]) == 1
    assert folders(out) == ["a", "b"]
    lines = capsys.readouterr().err.splitlines()
    start = f"error: {out / 'manifest.jsonl'}: cannot be written: "
    assert len(lines) == 2 and all(line.startswith(start) for line in lines)


@pytest.mark.parametrize("name", ["SIGTERM", "SIGHUP"])
def test_signals_end_a_run_and_keep_what_is_finished(
    tmp_path, capsys, monkeypatch, estimation, name
):
    number = getattr(signal, name)

    def end(options):
        os.kill(os.getpid(), number)
        time.sleep(60)

    monkeypatch.setattr(run, "run", end)
    before = signal.signal(number, signal.SIG_DFL)  # The tests may run under nohup.
    try:
        assert cli.main(["a.png"]) == 128 + number
        line = makers.error_line(capsys)
        assert line.startswith("terminated; the results of finished")
        assert signal.getsignal(number) == signal.SIG_DFL
        # nohup ignores it, and the run goes on.
        signal.signal(number, signal.SIG_IGN)
        monkeypatch.setattr(run, "run", lambda _: os.kill(os.getpid(), number) or 0)
        assert cli.main(["a.png"]) == 0
    finally:
        signal.signal(number, before)


def test_the_home_folder_is_meant_by_a_tilde(tmp_path, monkeypatch, capsys, estimation):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    save_image(tmp_path / "in" / "a.png")
    np.save(tmp_path / "k.npy", makers.SMALL)
    flags = ["--image=~/in/*.png", "--kernel=~/k.npy", "--output_dir=~/x"]
    assert cli.main([*flags, "--nofigures"]) == 0
    assert folders(tmp_path / "x") == ["a"] and not (tmp_path / "~").exists()
    assert cli.main(["a.png", "--output_dir=~nobody-of-this-name/x"]) == 2
    assert "there is no such user" in capsys.readouterr().err


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs pipes")
def test_pipes_are_not_waited_for(tmp_path, capsys, no_estimation):
    for name in ("a.png", "k.npy", "k.mat", "c.py"):
        os.mkfifo(tmp_path / name)
    out = f"--output_dir={tmp_path / 'out'}"
    image = save_image(tmp_path / "b.png")
    for arguments, status in (
        ([f"--image={tmp_path / 'a.png'}"], 1),
        ([str(image), f"--kernel={tmp_path / 'k.npy'}"], 2),
        ([str(image), f"--kernel={tmp_path / 'k.mat'}"], 2),
        ([str(image), f"--config={tmp_path / 'c.py'}"], 2),
    ):
        assert cli.main([*arguments, out]) == status
        assert "is a pipe (FIFO)" in makers.error_line(capsys)
