"""The command `kernelgan-benchmark`: its files, its lines, its exit status."""

import errno
import json
import os
import re
import subprocess
import sys
from urllib.parse import unquote

import helpers
import pytest

from kernelgan_jax.app import kernel_files
from kernelgan_jax.benchmark import cli, commands, make_test_set, read_test_set


def test_evaluate(data, tmp_path, capsys, plugs):
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
    links = re.findall(r'(?:src|href)="([^"]+)"', (out / "x2.html").read_text())
    assert len(links) > 3 * 2 * 2
    assert all((out / unquote(link)).exists() for link in links)
    assert cli.main(command) == 0  # Everything has been measured.
    assert ", seed" not in capsys.readouterr().out


def test_div2krk_in_one_command(data, tmp_path, capsys):
    """As it is published: gt/img_1_gt.png, lr_x2/im_1.png, gt_k_x4/kernel_1.mat, ..."""
    theirs = tmp_path / "DIV2KRK"
    names = [("hr", "gt/img_{}_gt.png")]
    for scale in (2, 4):
        names.append((f"lr_x{scale}", f"lr_x{scale}/im_{{}}.png"))
        names.append((f"gt_k_x{scale}", f"gt_k_x{scale}/kernel_{{}}.mat"))
    for part, name in names:
        for number, path in enumerate(sorted((data / part).iterdir()), 9):
            target = theirs / name.format(number)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(path.read_bytes())
            if (
                part == "gt_k_x4"
            ):  # Of images as small as these, the kernel is too large.
                kernel_files.write_mat(target, helpers.gaussian(4))
    assert cli.main([
        "evaluate", f"--data={theirs}", f"--output_dir={tmp_path}/out", "--sr=bicubic",
        "--systems=bicubic,true",
    ]) == 0  # fmt: skip
    text = (tmp_path / "out/table.md").read_text()
    for scale in (2, 4):
        assert f"x{scale}, 3 images" in text and f"| x{scale}, PSNR-Y, dB" in text
        images = read_test_set(theirs, scale).cases
        assert [case.name for case in images] == ["9", "10", "11"]
    rows = map(json.loads, (tmp_path / "out/runs.jsonl").read_text().splitlines())
    true = [row for row in rows if (row["kind"], row["system"]) == ("kernel", "true")]
    assert len(true) == 6 and all(row["kernel_psnr"] is None for row in true)
    assert capsys.readouterr().err == ""


def test_names_that_look_like_div2krks(images, tmp_path):
    names = ["swim_2", "im_1", "img_1", "5²", "a|b #1.x"]
    names += ["\udcff"] if sys.platform == "linux" else []  # No text at all.
    make_test_set(images(tmp_path / "odd", *names), tmp_path / "set", scales=[2])
    out = tmp_path / "out"
    assert cli.main(["evaluate", f"--data={tmp_path}/set", f"--output_dir={out}",
                     "--systems=bicubic,constant", "--sr=none"]) == 0  # fmt: skip
    links = re.findall(r'(?:src|href)="([^"]+)"', (out / "x2.html").read_text())
    links = [unquote(link, errors="surrogateescape") for link in links]
    assert links and all((out / link).exists() for link in links)
    assert "a\\|b #1.x" in (out / "table.md").read_text()


def test_a_config_file_and_finished_results(data, tmp_path, capsys):
    (tmp_path / "wide.py").write_text(
        "from kernelgan_jax import Config\n"
        "def get_config():\n"
        "    return Config(estimator='constant', constant={'variance': 4.0})\n"
    )
    assert cli.main([
        "evaluate", f"--data={data}", f"--output_dir={tmp_path}/out", "--scales=2",
        "--systems=none", f"--system={tmp_path}/wide.py", f"--results=best={data}/hr",
        "--sr=bicubic",
    ]) == 0  # fmt: skip
    printed = capsys.readouterr().out
    assert "| wide.py + bicubic |" in printed
    page = (tmp_path / "out/x2.html").read_text()
    assert "best" in page and "best +" not in page  # They are images already.
    assert printed.count("x2 best, ") == 6 and printed.count("no difference") == 3


def test_systems_that_do_not_know_the_scale(images, tmp_path, capsys):
    hr = images(tmp_path / "in", "a", size=(90, 90))
    make_test_set(hr, tmp_path / "set", scales=[3])
    command = ["evaluate", f"--data={tmp_path}/set", f"--output_dir={tmp_path}/out",
               "--sr=none"]  # fmt: skip
    assert cli.main([*command, "--systems=kernelgan,bicubic,bicubic_kernel"]) == 0
    printed = capsys.readouterr()
    assert "kernelgan: does not know this scale" in printed.out
    assert "| bicubic kernel |" in printed.out and "| KernelGAN" not in printed.out
    assert cli.main([*command, "--systems=kernelgan"]) == 1
    assert "nothing that could be measured" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("names", "taken"),
    [("", {"00", "02", "05", "08"}), ("--images=01,03", {"01", "03"})],
)
def test_quick_takes_images_all_over_the_set(images, tmp_path, names, taken):
    hr = images(tmp_path / "in", *(f"{i:02}" for i in range(9)), size=(24, 24))
    make_test_set(hr, tmp_path / "set", scales=[2])
    out = tmp_path / "out"
    command = ["evaluate", f"--data={tmp_path}/set", f"--output_dir={out}", "--quick",
               "--systems=bicubic"]  # fmt: skip
    assert cli.main([*command, *filter(None, [names])]) == 0
    lines = (out / "runs.jsonl").read_text().splitlines()
    assert {json.loads(line)["image"] for line in lines} == taken


@pytest.mark.parametrize(
    ("flags", "seeds"), [([], 3), (["--quick"], 1), (["--quick", "--seeds=2"], 2)]
)
def test_numbers_of_seeds(own_data, tmp_path, monkeypatch, flags, seeds):
    found = []

    def stop(*_, **settings):
        found.append(settings["seeds"])
        raise ValueError("enough")

    monkeypatch.setattr(commands, "run_benchmark", stop)
    command = ["evaluate", f"--data={own_data}", f"--output_dir={tmp_path / 'out'}"]
    assert cli.main([*command, "--scales=2", *flags]) == 2
    assert found == [seeds]


@pytest.mark.parametrize("is_read", [True, False])
def test_lines_on_images(own_data, tmp_path, monkeypatch, capsys, is_read):
    """Names reach the terminal without codes; `| head -1` ends no measurement."""
    reported = []

    def measure(*_, report, **__):
        for name in ("a\x1b[31m", "b\nc", "d\udcff"):
            report(f"x2 bicubic, {name}")
            reported.append(name)
        raise ValueError("enough")

    monkeypatch.setattr(commands, "run_benchmark", measure)
    command = ["evaluate", f"--data={own_data}", f"--output_dir={tmp_path / 'out'}"]
    if not is_read:
        monkeypatch.setattr(sys, "stdout", helpers.Gone())
    assert cli.main([*command, "--scales=2"]) == 2
    assert len(reported) == 3
    printed = capsys.readouterr()
    assert printed.err == "error: enough\n"
    if is_read:
        lines = ["a\\x1b[31m", "b\\nc", "d\\udcff"]
        assert printed.out.splitlines() == [f"x2 bicubic, {line}" for line in lines]


def test_faults_give_status_1(own_data, tmp_path, capsys):
    for name in ("one", "two"):
        (own_data / f"gt_k_x2/{name}.mat").unlink()
    out = tmp_path / "out"
    status = cli.main([
        "evaluate", f"--data={own_data}", f"--output_dir={out}", "--systems=bicubic",
        "--scales=2",
    ])  # fmt: skip
    printed = capsys.readouterr()
    assert status == 1
    assert printed.err.count("error: ") == 2 and "2 failed" in printed.out
    assert "x2, 1 images" in (out / "table.md").read_text()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["evaluate"], "--data"),
        (["evaluate", "--data=nowhere"], "is no test set"),
        (["evaluate", "--data=nowhere", "--scales=2"], "has no lr_x2"),
        (["evaluate", "--data=nowhere", "--scales=two"], "such as 2,4"),
        (["evaluate", "--data=nowhere", "--systems=magic"], "--systems=magic"),
        (["evaluate", "--data=nowhere", "--systems=none"], "no system"),
        (["evaluate", "--data=nowhere", "--system=nowhere.py:f"], "nowhere.py"),
        (
            ["evaluate", "--data=a", "--systems=bicubic", "--sr_weights=usrnet=a.npz"],
            "--sr_weights=usrnet=a.npz is for kernels, and --systems names none",
        ),
        (
            ["evaluate", "--data=a", "--systems=bicubic", "--deblur"],
            "--deblur is for kernels, and --systems names none",
        ),
        (["evaluate", "--data=nowhere", "--results=a"], "NAME=FOLDER"),
        (["evaluate", "--data=nowhere", "--results=a=nowhere"], "no such folder"),
        (["evaluate", "--data=nowhere", "--results=flow=."], "two systems named flow"),
        (["evaluate", "--data=nowhere", "--sistem=a"], "--sistem"),
        (["degrade", "--hr=a.png"], "--output_dir"),
        (["degrade", "--hr=a.png", "--output_dir=b", "--scales=0"], "--scales"),
        (["degrade", "--hr=a.png", "--output_dir=b", "--seed=-1"], "seed is -1"),
        ([], "COMMAND"),
    ],
)
def test_mistakes_give_status_2_and_one_line(
    arguments, words, capsys, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    try:
        status = cli.main(arguments)
    except SystemExit as exit:
        status = exit.code
    error = capsys.readouterr().err
    assert status == 2
    assert words in error and error.count("\n") == 1 and error.startswith("error: ")
    assert not list(tmp_path.rglob("*.*"))


@pytest.mark.parametrize(
    "name, scale, reason",
    [
        ("absent.npz", 2, "absent.npz: No such file or directory"),
        ("text.npz", 2, "text.npz: is not a file of USRNet"),
        ("x{scale}.npz", 4, "x4.npz: No such file or directory"),
    ],
)
def test_weights_are_read_before_kernels_are_estimated(
    data, tmp_path, capsys, monkeypatch, name, scale, reason
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "text.npz").write_text("nothing")
    (tmp_path / "x2.npz").write_bytes(helpers.usrnet_file().read_bytes())
    assert cli.main([
        "evaluate", f"--data={data}", "--output_dir=out", "--systems=true",
        f"--sr_weights=usrnet={name}",
    ]) == 2  # fmt: skip
    error = capsys.readouterr().err
    assert error.startswith(f"error: --sr_weights=usrnet={name}, x{scale}: {reason}")
    assert error.count("\n") == 1 and not (tmp_path / "out").exists()


def test_a_full_disk_names_the_set(images, tmp_path, monkeypatch, capsys):
    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(kernel_files, "write_mat", full)
    (image,) = images(tmp_path, "a")
    command = ["degrade", f"--hr={image}", f"--output_dir={tmp_path}/set"]
    assert cli.main([*command, "--scales=2"]) == 2
    expected = f"error: {tmp_path}/set: cannot be written: {os.strerror(errno.ENOSPC)}"
    assert capsys.readouterr().err == f"{expected}\n"


def test_a_set_among_its_hr_images_is_not_degraded(images, tmp_path, capsys):
    images(tmp_path, "a")
    command = ["degrade", f"--hr={tmp_path}/**", f"--output_dir={tmp_path}/SET"]
    for _ in range(2):
        assert cli.main([*command, "--scales=2"]) == 0
        printed = capsys.readouterr()
        assert printed.out.startswith("1 images at x2 -> ") and printed.err == ""


def test_degrade(images, tmp_path, capsys):
    images(tmp_path / "in", "a", "b")
    (tmp_path / "in/c.png").write_bytes(b"no image")
    command = ["degrade", f"--hr={tmp_path}/in", f"--output_dir={tmp_path}/set"]
    assert cli.main([*command, "--scales=2,3", "--protocol=disk"]) == 1
    printed = capsys.readouterr()
    assert "2 images at x2, x3, 1 failed" in printed.out and "c.png" in printed.err
    assert len(read_test_set(tmp_path / "set", 3).cases) == 2


def test_a_missing_hr_folder_is_named_before_other_settings(data, tmp_path, capsys):
    command = ["degrade", f"--hr={tmp_path}/nowhere", f"--output_dir={data}"]
    assert cli.main([*command, "--seed=7"]) == 1
    line = f"error: {tmp_path}/nowhere: no such file or folder; check the path\n"
    assert capsys.readouterr().err == line


def test_a_set_whose_blur_varies_is_refused(images, tmp_path, capsys):
    images(tmp_path / "in", "a", "b")
    data = tmp_path / "set"
    command = ["degrade", f"--hr={tmp_path}/in", f"--output_dir={data}", "--scales=2"]
    assert cli.main([*command, "--protocol=varying"]) == 0
    out = f"--output_dir={tmp_path}/out"
    assert cli.main(["evaluate", f"--data={data}", out]) == 2
    line = f"error: {data}: the blur of its images varies, and one kernel is measured"
    error = capsys.readouterr().err
    assert error.startswith(line) and error.count("\n") == 1


def test_it_runs_as_a_module():
    done = subprocess.run(
        [sys.executable, "-m", "kernelgan_jax.benchmark", "--help"],
        capture_output=True, text=True, cwd=helpers.ROOT,
    )  # fmt: skip
    assert done.returncode == 0 and "degrade" in done.stdout
