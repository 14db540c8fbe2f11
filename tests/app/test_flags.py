"""Flags, config files and presets: what they mean, and what is refused."""

import hashlib
import os
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

import helpers
import jax
import numpy as np
import pytest
from app import makers
from ml_collections import ConfigDict

from kernelgan_jax.app import cli, configuration, kernel_files
from kernelgan_jax.app.flags import FLAGS, Options, parse
from kernelgan_jax.app.job import Job
from kernelgan_jax.config import GROUPS, Config, readers
from kernelgan_jax.estimators.kernelgan.config import FLOW, META, KernelGANConfig
from kernelgan_jax.estimators.registry import GivenConfig
from kernelgan_jax.super_resolution.deep_wiener import (
    DeepWienerConfig,
    method,
    weights,
)
from kernelgan_jax.super_resolution.zssr.config import ZSSRConfig
from kernelgan_jax.version import __version__


def config(*arguments):
    """The config of a command line."""
    return parse([*arguments, "a.png"]).job.config


def refused(capsys, *arguments):
    """The line with which a command line is refused."""
    assert cli.main([*arguments, "a.png"]) == 2
    return makers.error_line(capsys)


# --- Flags ---


def test_defaults():
    job = Job(config=Config(), seed=0, figures=True, resume=True)
    expected = Options(images=["a.png"], job=job, output_dir=Path("results"))
    assert parse(["a.png"]) == expected
    assert (expected.batch_size, expected.shard) == (None, (0, 1))
    assert (expected.cluster, expected.log_level, expected.device) == (
        None,
        "info",
        None,
    )


def test_all_flags():
    arguments = (
        "--image=a --image b --output_dir=out --seed=3 --quiet --sr=none "
        "--batch_size=5 --noresume --nofigures --shard=1/3 --cluster=ray c"
    )
    job = Job(config=Config(sr="none"), seed=3, figures=False, resume=False)
    assert parse(arguments.split()) == Options(
        images=["a", "b", "c"],
        job=job,
        output_dir=Path("out"),
        batch_size=5,
        shard=(1, 3),
        cluster="ray",
        log_level="error",
    )
    short = parse(["-o", "out", "-s", "4", "-i", "c", "--device=cpu"])
    assert (short.output_dir, short.images) == (Path("out"), ["c"])
    assert short.device == "cpu"
    assert short.job.config.scale == 4


def test_scale(capsys):
    assert config("--scale=4").scale == config("--config=x4").scale == 4
    assert config("--config=x4", "--scale=2").scale == 2
    assert "scale is 9; it must be a whole number from 1 to 8" in refused(
        capsys, "--scale=9"
    )
    line = refused(capsys, "--scale=2", "--config.scale=4")
    assert "--scale and --config.scale exclude each other" in line


def test_export():
    found = parse(["--export=zssr,usrnet", "a.png"])
    assert (found.job.exports, found.export_confidence) == (("usrnet", "zssr"), None)
    found = parse(["--export=pool", "--export_confidence=high", "a.png"])
    assert (found.job.exports, found.export_confidence) == ((), "high")
    assert parse(["--export=pool,srmd", "a.png"]).export_confidence == "low"


def test_version(capsys):
    assert cli.main(["--version"]) == 0
    assert capsys.readouterr().out == f"kernelgan-jax {__version__}\n"


def test_a_device_that_is_not_there(capsys, monkeypatch):
    def fail():
        raise RuntimeError("Unable to initialize backend")

    monkeypatch.setattr(jax, "devices", fail)
    before = jax.config.jax_platforms
    try:
        assert "--device=tpu: JAX finds no TPU here; leave" in refused(
            capsys, "--device=tpu"
        )
    finally:
        jax.config.update("jax_platforms", before)


def test_what_follows_two_dashes_is_an_image():
    assert parse(["--seed=1", "--", "--config=x", "a.png"]).images == [
        "--config=x",
        "a.png",
    ]


@pytest.mark.parametrize(
    "arguments, expected",
    [
        (["--imag=a.png"], "there is no flag --imag; did you mean --image?"),
        (["--imge"], "did you mean --image?"),
        (["--sclae=2"], "did you mean --scale?"),
        (["--confg=x2"], "did you mean --config?"),
        (["--nofigure"], "did you mean --nofigures?"),
        (["--restarts=3"], "did you mean --config.kernelgan.restarts?"),
        (["-s4"], "there is no flag -s4; did you mean -s 4?"),
        (["--zzz"], "there is no flag --zzz (--help shows all flags)"),
        (["-z"], "there is no flag -z (--help"),
        (["--scale=x"], "--scale=x: it must be a whole number"),
        (["--strength=x"], "--strength=x: it must be a number"),
        (["--quiet=maybe"], "--quiet=maybe: it must be true or false"),
        (["--config.zssr.crop=x"], "--config.zssr.crop=x: it must be a whole number"),
        (["--quiet", "--log_level=info"], "--log_level=info exclude each other"),
        (["--completion=tcsh"], "--completion=tcsh: it must be bash or zsh or fish"),
        (["--seed=-1"], "--seed=-1: -1 is not an integer in the range"),
        (["--output_dir"], "--output_dir has no value"),
        (["-o"], "-o has no value (--help"),
        (
            ["--sr=best"],
            "--sr=best: it must be bicubic or wiener or deep_wiener or "
            "deep_wiener_fast or zssr",
        ),
        (["--batch_size=0"], "--batch_size=0: it must be auto or a positive number"),
        (["--batch_size=x"], "--batch_size=x: it must be auto or a positive number"),
        (
            ["--export=usrnt"],
            "--export=usrnt: no such tool; did you mean usrnet?",
        ),
        (["--export=zssr", "--sr_kernel=bicubic"], "--export writes estimated kernels"),
        (["--export=zssr", "--pool"], "--pool and --export exclude each other"),
        (["--export_confidence=high"], "--export_confidence belongs to --export=pool"),
        (["--shard=2/2"], "--shard=2/2: it must be I/N"),
        (["--shard=1"], "--shard=1: it must be I/N"),
        (["--cluster=k8s"], "--cluster=k8s"),
        (["--output_dir=nowhere://x"], "--output_dir=nowhere://x: "),
        (["--output_dir="], "--output_dir is empty; name a folder"),
        (["--kernel="], "--kernel is empty; name a file"),
        (["--kernel=k", "--sr=bicubic"], "--kernel has no effect with --sr=bicubic"),
        (["--config"], "--config"),
    ],
)
def test_wrong_flags_are_one_line(capsys, no_estimation, arguments, expected):
    assert cli.main(["a.png", *arguments]) == 2
    assert expected in makers.error_line(capsys)


def test_a_current_folder_that_is_gone_is_one_line(tmp_path, monkeypatch, capsys):
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    assert "results: the current folder is gone;" in refused(capsys)
    assert parse(["--image=/a.png", f"-o={tmp_path}"]).output_dir == tmp_path


def test_no_image_is_one_line(capsys):
    assert cli.main([]) == 2
    assert makers.error_line(capsys).startswith("no image: ")


# --- Single settings ---


def test_single_settings_keep_their_types():
    found = config(
        "--config=x2_paper",
        "--config.kernelgan.generator_kernels=(13,)",
        "--config.kernelgan.bicubic_weight=3",
        "--config.kernelgan.warm_start=per_channel",
        "--config.kernelgan.iterations",
        "7",
        "--sr=zssr_fast",
        "--config.zssr.crop=64",
    )
    assert found == Config(
        estimator="kernelgan",
        kernelgan=KernelGANConfig(
            generator_kernels=(13,),
            bicubic_weight=3.0,
            warm_start="per_channel",
            iterations=7,
        ),
        sr="zssr_fast",
        zssr=ZSSRConfig(crop=64),
    )
    assert isinstance(found.kernelgan.bicubic_weight, float)


def test_scale_estimator_and_method():
    assert config("--config.scale=8") == Config(scale=8)
    assert config("--config.estimator=patch_recurrence", "--config.sr=none") == Config(
        estimator="patch_recurrence", sr="none"
    )
    assert config("--config.sr=zssr", "--sr=zssr") == config("--sr=zssr")


@pytest.mark.parametrize(
    "setting, expected",
    [
        (
            "iterations=500",
            "there is no setting config.iterations; did you mean config.kernelgan."
            "iterations, config.patch_recurrence.iterations or config.zssr.iterations?",
        ),
        ("kernelgan.iteratons=5", "did you mean config.kernelgan.iterations?"),
        ("kernel_gan.iterations=5", "did you mean config.kernelgan.iterations?"),
        ("generator_crop=32", "did you mean config.kernelgan.generator_crop?"),
        ("sr.iterations=5", "did you mean config.zssr.iterations?"),
        ("sr.method=zssr", "did you mean config.sr?"),
        ("sr.noise_scale=1", "did you mean config.zssr.noise_std?"),
        ("scal=3", "did you mean config.scale?"),
        ("zssr=5", "config.zssr is a group of settings; name one of them, as config."),
        ("kernelgan.iterations=abc", "--config.kernelgan.iterations=abc: "),
        ("zssr.crop=0", "config.zssr.crop is 0; it must be a whole number, at least"),
        ("scale=9", "config.scale is 9; it must be a whole number from 1 to 8"),
        ("estimator=x", "config.estimator is 'x'; it must be spectral or kernelgan"),
        ("estimator=given", "name the kernel with --kernel="),
        ("given.kernel=((1,),)", "there is no setting config.given.kernel"),
        ("given.kernel=k.mat", "; name a known kernel with --kernel="),
        ("kernel=k.mat", "config.kernel; name a known kernel with --kernel="),
    ],
)
def test_wrong_settings_are_one_line(capsys, no_estimation, setting, expected):
    assert expected in refused(capsys, f"--config.{setting}")


def test_a_setting_that_nothing_reads_is_refused(capsys, no_estimation):
    line = refused(capsys, "--config.kernelgan.iterations=500")
    assert line.startswith("config.kernelgan.iterations is 500, but nothing that is ")
    assert "a setting of kernelgan; config.estimator is 'spectral'" in line
    line = refused(capsys, "--sr=none", "--noconfig.deep_wiener.refine")
    assert line.startswith("config.deep_wiener.refine is False, but nothing that is ")


# --- Config files and presets ---

CONFIGS = {
    "x2": Config(),
    "x1": Config(scale=1),
    "x3": Config(scale=3),
    "x4": Config(scale=4),
    "x2_spectral": Config(sr="none"),
    "x2_paper": Config(estimator="kernelgan"),
    "x4_paper": Config(estimator="kernelgan", scale=4),
    "x2_flow": Config(estimator="kernelgan", kernelgan=FLOW),
    "x2_meta": Config(estimator="kernelgan", kernelgan=META),
    "real": Config(deep_wiener=DeepWienerConfig(kernel_std=0.2)),
    "ablation_single_layer": Config(
        estimator="kernelgan", kernelgan=KernelGANConfig(generator_kernels=(13,))
    ),
}


@pytest.mark.parametrize("name", CONFIGS)
def test_config_files_and_presets(name):
    path = helpers.ROOT / "configs" / f"{name}.py"
    text = path.read_text()
    assert f"python main.py --config=configs/{name}.py --image=" in text
    assert text.startswith(f'"""{configuration.preset(name).__doc__}')  # as --help has
    for source in (path, name):
        assert config(f"--config={source}") == CONFIGS[name]
        assert config("--config", str(source)) == CONFIGS[name]
    for flags in ("--sr=bicubic", "--config.sr=bicubic"):
        # What the file sets for the method that is replaced does not matter.
        assert config(f"--config={name}", flags).sr == "bicubic"


def test_each_preset_has_a_config_file():
    files = {path.stem for path in (helpers.ROOT / "configs").glob("*.py")}
    assert set(configuration.preset_names()) == files == set(CONFIGS)


def test_an_unknown_preset_lists_the_presets(capsys):
    line = refused(capsys, "--config=x9")
    assert line.startswith("--config=x9: it must be a Python file or one of ")
    assert all(name in line for name in CONFIGS)


def config_file(folder, body, *, parameters=""):
    """A config file with a function of this body."""
    path = folder / "mine.py"
    path.write_text(f"def get_config({parameters}):\n    {body}\n")
    return path


@pytest.mark.parametrize(
    "body, expected",
    [
        (
            "return {'sr': 'zssr', 'zssr': {'iterations': 50}}",
            Config(sr="zssr", zssr={"iterations": 50}),
        ),
        (
            "import ml_collections\n"
            "    return ml_collections.ConfigDict("
            "{'scale': 3, 'deep_wiener': {'strength': 0.5}})",
            Config(scale=3, deep_wiener={"strength": 0.5}),
        ),
        (
            "from kernelgan_jax import Config\n    return Config(scale=4, sr='none')",
            Config(scale=4, sr="none"),
        ),
        (
            "return {'estimator': 'kernelgan', 'kernelgan': {'generator_kernels': "
            "[9, 5]}}",
            Config(estimator="kernelgan", kernelgan={"generator_kernels": (9, 5)}),
        ),
        (
            "from kernelgan_jax.estimators import GivenConfig\n"
            "    return {'estimator': 'given', 'given': GivenConfig(kernel=((1.0,),))}",
            Config(estimator="given", given=GivenConfig(kernel=((1.0,),))),
        ),
    ],
    ids=["dict", "ConfigDict", "Config", "list", "given"],
)
def test_what_config_files_may_return(tmp_path, body, expected):
    path = config_file(tmp_path, body)
    assert config(f"--config={path}") == expected
    changed = config(f"--config={path}", "--seed=1")
    assert changed == expected


def test_an_argument_for_a_config_file(tmp_path):
    path = config_file(tmp_path, "return {'scale': int(s)}", parameters="s")
    assert config(f"--config={path}:3").scale == 3


def test_the_settings_of_presets_round_trip_through_a_config_dict(tmp_path):
    for name, expected in CONFIGS.items():
        settings = configuration.complete(ConfigDict(asdict(expected)).to_dict())
        assert Config(**settings) == expected, name


@pytest.mark.parametrize(
    "program, expected",
    [
        ("def get_config():\n    return {'iters': 5}", "config.iters; did you mean "),
        (
            "def get_config():\n    return {'zssr': {'iters': 5}}",
            "did you mean config.zssr.iterations?",
        ),
        (
            "def get_config():\n    return {'iterations': 5}",
            "did you mean config.kernelgan.iterations, ",
        ),
        ("def get_config():\n    return {'zssr': 5}", "config.zssr is 5; it must be "),
        ("def get_config():\n    return 5", "get_config() is 5; it must be a Config"),
        ("def get_config():\n    return 1 / 0", "division by zero"),
        ("def get_config(:", "SyntaxError"),
        ("import sys\nsys.exit(3)", "SystemExit: 3"),
        ("def get_config():\n    raise ValueError('too\\nbad')", "bad"),
        ("x = 1", "has no function get_config"),
        (
            "def get_config():\n    return {'zssr': {'crop': 'many'}}",
            "config.zssr.crop is 'many'; it must be a whole number",
        ),
        (
            "def get_config():\n    return {'kernelgan': {'iterations': 5}}",
            "config.kernelgan.iterations is 5, but nothing that is chosen reads it",
        ),
        (
            "def get_config():\n    return {'sr': {'method': 'none'}}",
            "config.sr is {'method': 'none'}; it must be ",
        ),
    ],
)
def test_config_files_that_do_not_work_are_one_line(
    tmp_path, capsys, program, expected
):
    path = tmp_path / "mine.py"
    path.write_text(program)
    assert expected in refused(capsys, f"--config={path}")


def test_a_missing_config_file_is_one_line(capsys):
    line = refused(capsys, "--config=absent.py")
    assert "No such file or directory: " in line and "absent.py'" in line
    assert "or one of ablation_single_layer, real, " in line


@pytest.mark.parametrize("name", ["configs/reel.py", "real.py", "configs/real", "rael"])
def test_a_missing_config_file_is_taken_for_a_misspelt_preset(
    tmp_path, monkeypatch, capsys, name
):
    monkeypatch.chdir(tmp_path)  # as after `pip install`, where configs/ is not there
    assert "; did you mean --config=real?" in refused(capsys, f"--config={name}")


@pytest.mark.parametrize(
    "flags, expected",
    [
        (["--strength=2"], "--strength: config.deep_wiener.strength is 2.0; it must"),
        (["--strength=0.5", "--sr=none"], "--strength: config.deep_wiener.strength is"),
        (["--scale=9"], "--scale: config.scale is 9; it must be a whole number from"),
        (["--scale=3", "--config=x2_paper"], "--scale: config.scale is 3; it must be"),
    ],
)
def test_a_wrong_value_of_a_short_flag_is_said_of_the_flag(capsys, flags, expected):
    assert refused(capsys, *flags).startswith(expected)


# --- What flags replace ---


@pytest.mark.parametrize(
    "flags, expected",
    [
        (["--sr_kernel=bicubic"], Config(estimator="bicubic")),
        (["--config.estimator=spectral"], Config()),
        (["--sr=none"], Config(estimator="kernelgan", kernelgan=FLOW, sr="none")),
    ],
)
def test_a_preset_s_settings_go_with_what_is_replaced(flags, expected):
    assert config("--config=x2_flow", *flags) == expected


@pytest.mark.parametrize(
    "preset, flags, setting",
    [
        ("x2_flow", ["--sr_kernel=bicubic"], "kernelgan.crops=2"),
        ("x2_flow", ["--config.estimator=spectral"], "kernelgan.crops=2"),
        ("real", ["--sr=none"], "deep_wiener.strength=0.5"),
        ("real", ["--config.sr=bicubic"], "deep_wiener.strength=0.5"),
    ],
)
def test_single_settings_of_what_is_replaced_are_refused(
    capsys, preset, flags, setting
):
    name, _, value = setting.partition("=")
    line = refused(capsys, f"--config={preset}", *flags, f"--config.{setting}")
    assert line.startswith(f"config.{name} is {value}, but nothing that is chosen ")


@pytest.mark.parametrize(
    "flags, expected",
    [
        (["--sr=zssr", "--config.sr=none"], "--sr and --config.sr exclude each other"),
        (
            ["--sr_kernel=bicubic", "--config.estimator=kernelgan"],
            "--sr_kernel=bicubic and --config.estimator exclude each other",
        ),
        (
            ["--sr_kernel=bicubic", "--kernel=k.npy"],
            "--kernel and --sr_kernel=bicubic exclude each other",
        ),
        (["--sr_kernel=bicubic", "--sr=none"], "leave out --sr=none"),
        (["--config.estimator=bicubic", "--sr=none"], "leave out --sr=none"),
        (["--sr_kernel=bicubic", "--band=2"], "--band is for kernels that are est"),
        (["--band=0"], "--band=0"),
        (["--cluster=ray", "--device=cpu"], "--device and --cluster exclude each othe"),
        (["--quality=9"], "--quality has no effect with --format=png"),
        (["--sr=none", "--format=jpg"], "--format is for super-resolved images, and"),
    ],
)
def test_flags_that_exclude_each_other(capsys, flags, expected):
    assert expected in refused(capsys, *flags)


# --- Known kernels ---


def test_short_flags_of_the_network():
    assert config("--strength=0.25").deep_wiener.strength == 0.25
    found = config("--config=x4", "--strength=1", "--config.deep_wiener.strength=1")
    assert found.deep_wiener.strength == 1


def test_weights_of_the_user(tmp_path, capsys):
    file = tmp_path / "mine.npz"
    mine = weights.load(method.WEIGHTS)._replace(about={"scales": [2, 3]})
    weights.save(file, mine)
    found = config(f"--sr_weights={file}").deep_wiener
    assert found.weights == str(file)
    assert found.weights_digest == hashlib.sha256(file.read_bytes()).hexdigest()
    line = refused(capsys, f"--sr_weights={file}", "--config.scale=4")
    assert "was trained for scale 2, 3, not for 4; use other weights or --sr=wi" in line
    (tmp_path / "text.npz").write_text("nothing")
    os.mkfifo(tmp_path / "pipe.npz")
    for name, reason in (
        ("absent.npz", "No such file"),
        ("text.npz", "is not a file of network weights"),
        ("pipe.npz", "is a pipe (FIFO)"),
    ):
        line = refused(capsys, f"--sr_weights={tmp_path / name}")
        assert line.startswith("--sr_weights: ") and reason in line
    line = refused(capsys, f"--sr_weights={file}", "--sr=wiener")
    assert "config.deep_wiener.weights" in line and "config.sr is 'wiener'" in line


def test_methods_that_need_weights(tmp_path, capsys):
    file, (weights, pca) = helpers.usrnet_file(), helpers.srmd_files(2)
    found = config("--sr=usrnet", f"--sr_weights={file}").usrnet
    assert found.weights == str(file) and len(found.weights_digest) == 64
    named = str(weights).replace("_x2", "_x{scale}")
    pca_flag = f"--config.srmd.pca={pca}"
    found = config("--sr=srmd", f"--sr_weights={named}", pca_flag).srmd
    assert found.weights == str(weights) and found.pca == str(pca)
    line = refused(capsys, "--sr=usrnet")
    assert "--sr=usrnet needs --sr_weights=FILE" in line
    line = refused(capsys, "--sr=srmd", f"--sr_weights={weights}")
    assert "config.srmd.pca is ''; it must be a file" in line
    line = refused(capsys, "--sr=usrnet", f"--sr_weights={weights}")
    assert f"--sr=usrnet: {weights}: is not a file of USRNet" in line
    line = refused(capsys, "--sr=usrnet", f"--sr_weights={tmp_path}/absent.npz")
    assert "absent.npz: No such file" in line


def test_a_network_of_onnx(tmp_path, capsys, monkeypatch):
    file = helpers.onnx_file(2)
    found = config(f"--sr_model={file}", "--config.onnx.peak=255")
    assert (found.sr, found.onnx.weights, found.onnx.peak) == ("onnx", str(file), 255)
    assert (
        found.onnx.weights_digest
        == config("--sr=onnx", f"--sr_weights={file}").onnx.weights_digest
    )
    for arguments, message in (
        ([f"--sr_model={file}", "--sr=rdn"], "--sr_model and --sr=rdn exclude each"),
        ([f"--sr_model={file}", "--scale=3"], f"{file}: is for scale 2, not 3"),
        ([f"--sr_model={helpers.usrnet_file()}"], "is not a file of ONNX"),
    ):
        assert message in refused(capsys, *arguments)
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    os.utime(file, (1, 1))  # Another file.
    assert "needs ONNX Runtime: pip install" in refused(capsys, f"--sr_model={file}")


def test_a_known_kernel_is_the_estimator_given(tmp_path):
    kernel = helpers.gaussian(2)
    np.save(tmp_path / "k.npy", kernel)
    found = config("--config=x2_flow", f"--kernel={tmp_path / 'k.npy'}")
    assert found.estimator == "given"
    np.testing.assert_array_equal(found.given.kernel, kernel)
    assert found.given.source == str(tmp_path / "k.npy")
    assert found == Config(estimator="given", given=found.given)


@pytest.mark.parametrize(
    "name, content, expected",
    [
        ("k.npy", np.zeros((3, 3)), "sums to 0"),
        ("k.npy", np.ones((0, 0)), "not empty"),
        ("k.npy", np.ones(3), "height x width"),
        ("k.npy", np.full((3, 3), np.inf), "not finite"),
        ("k.npy", b"rubbish", "damaged or not a kernel"),
        ("k.mat", b"rubbish", "damaged or not a kernel"),
        ("k.jpg", b"1", "must be a file of numbers: .npy, .npz, .mat, .csv, .txt"),
        ("k.npy", None, "No such file"),
        ("k.npy", helpers.gaussian(4, size=13), "use --config.scale=4"),
        ("kernel_x2_skimage.npy", helpers.gaussian(2), "give kernel_x2.npy, the"),
    ],
)
def test_bad_kernel_files_are_one_line(
    tmp_path, capsys, no_estimation, name, content, expected
):
    path = tmp_path / name
    if isinstance(content, bytes):
        path.write_bytes(content)
    elif content is not None:
        np.save(path, content)
    line = refused(capsys, f"--kernel={path}")
    assert line.startswith("--kernel: ") and expected in line and str(path) in line


@pytest.mark.parametrize(
    "tool, variable",
    [("usrnet", ":kernels"), ("dpir", "[0]"), ("srmd", ":kernel"), ("matlab", ":psf")],
)
def test_kernels_for_other_tools_are_refused_by_a_variables_name_too(
    tmp_path, capsys, no_estimation, tool, variable
):
    kernel_files.write_export(tmp_path, helpers.gaussian(2), tool=tool, scale=2)
    line = refused(capsys, f"--kernel={tmp_path / f'kernel_x2_{tool}.mat'}{variable}")
    assert f"was written for {tool}; give kernel_x2.npy, the" in line


# --- Messages of the library ---


@pytest.mark.parametrize(
    "message, expected",
    [
        (
            "diverged; try kernelgan.warm_start=per_channel",
            "diverged; try --config.kernelgan.warm_start=per_channel",
        ),
        ("try config.zssr.crop=64.", "try --config.zssr.crop=64."),
        ("it is --config.zssr.crop=64", "it is --config.zssr.crop=64"),
        ("use scale 4, or another", "use --config.scale=4, or another"),
        ("the method bicubic takes any size", "the method bicubic takes any size (--s"),
        ("a/kernelgan.png: too small", "a/kernelgan.png: too small"),
    ],
)
def test_the_command_adds_flags_to_messages(message, expected):
    assert configuration.name_flags(message).startswith(expected)


# --- Help, and what needs no JAX ---


def shown_help(capsys):
    assert cli.main(["--image=a.png", "--help"]) == 0
    return capsys.readouterr().out


def test_help_shows_all_our_flags_and_no_others(capsys):
    text = shown_help(capsys)
    assert max(map(len, text.splitlines())) <= 88
    shown = {word.strip(":") for word in text.split() if word.startswith("--")}
    flags = {f"--{name}" for name in FLAGS} | {"--config", "--noresume", "--nofigures"}
    assert {flag for flag in shown if "=" not in flag and "." not in flag} == flags
    assert "Each image starts from it anew" in " ".join(text.split())
    assert all(f"\n  {name}: " in text for name in configuration.preset_names())


@pytest.mark.parametrize(
    ("called", "program"),
    [
        ("/usr/bin/kernelgan-jax", "kernelgan-jax"),
        ("./main.py", "python main.py"),
        ("x/kernelgan_jax/__main__.py", "python -m kernelgan_jax"),
    ],
)
def test_help_says_how_it_was_called(capsys, monkeypatch, called, program):
    monkeypatch.setattr(sys, "argv", [called])
    assert shown_help(capsys).startswith(f"Usage: {program} [COMMAND] --image=PHOTO")


def test_help_shows_all_settings_with_who_reads_them(capsys):
    text = shown_help(capsys)
    words = " ".join(text.split())
    for group in GROUPS:
        for field in configuration.group_fields(group):
            value = str(field.default).replace('"', "")
            flag = f"--config.{group}.{field.name}={value}"
            assert flag in text.replace('"', "")
            heading = text[: text.replace('"', "").index(flag)]
            heading = heading.rpartition("Settings of ")[2].partition(":")[0]
            assert heading == " and ".join(readers(group))
            assert " ".join(field.metadata["about"].split()) in words
    for name, value in asdict(Config()).items():
        if name not in GROUPS:
            assert f"  --config.{name}={value}\n" in text


@pytest.mark.parametrize("arguments", [["--help"], ["--imag=a.png"], ["--seed=x"], []])
def test_help_and_mistakes_need_no_jax(arguments):
    """Nor NumPy, nor libraries for images and figures."""
    program = f"""
import sys
from kernelgan_jax.app import cli
heavy = "jax numpy scipy PIL imagecodecs matplotlib tqdm ray".split()
assert not [name for name in heavy if name in sys.modules], "import"
status = cli.main({arguments!r})
assert not [name for name in heavy if name in sys.modules], "main"
sys.exit(status)
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True
    )
    assert done.returncode == (0 if arguments == ["--help"] else 2), done.stderr
