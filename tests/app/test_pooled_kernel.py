"""`--pool`: one kernel for all images of a run."""

import errno
import os
import re

import helpers
import numpy as np
import pytest

from kernelgan_jax import analyse, blur_kernels
from kernelgan_jax.app import cli, kernel_files, pooled_kernel
from kernelgan_jax.app.files import OutputError
from kernelgan_jax.app.images.image_files import read
from kernelgan_jax.degradation import downscale
from kernelgan_jax.estimators.spectral import second_look
from kernelgan_jax.estimators.spectral.smoothing import Pooled, log_covariance, pool
from kernelgan_jax.pixels import from_unit

TRUE = blur_kernels.gaussian(15, variances=(2.5, 1.2), angle=0.6, scale=2)


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """Two halves of a photograph that was downscaled, and a file that is broken."""
    folder = tmp_path_factory.mktemp("photos")
    lr = from_unit(downscale(helpers.photo().astype(np.float64), TRUE, 2), np.uint8)
    width = lr.shape[1] // 2
    helpers.write_image(folder / "a.png", lr[:, :width])
    helpers.write_image(folder / "b.png", lr[:, width:])
    (folder / "c.png").write_bytes(b"no image")
    return folder


def test_all_images_get_one_kernel(photos, tmp_path, capsys):
    arguments = [f"--image={photos}", f"--output_dir={tmp_path}", "--pool"]
    more = ["--sr=wiener", "--nofigures"]
    assert cli.main(["main.py", *arguments, *more]) == 1  # c.png
    printed = capsys.readouterr()
    assert "pooled kernel of 2 images, widths known to " in printed.out
    assert "c.png: " in printed.err
    kernel = np.load(tmp_path / "pooled_kernel_x2.npy")
    seen = [
        analyse(read(photos / f"{name}.png").pixels, scale=2, rare=False)
        for name in "ab"
    ]
    values, variances = zip(
        *(log_covariance(each.kernel, each.samples, scale=2) for each in seen),
        strict=True,
    )
    expected = pool(np.array(values), np.array(variances), scale=2)
    np.testing.assert_array_equal(kernel, expected.kernel)
    reports = [
        helpers.strict_json(tmp_path / name / "report.json")["super_resolution"]
        for name in "ab"
    ]
    assert [found["kernel"] for found in reports] == ["pool", "pool"]
    assert reports[0]["kernel_measures"] == reports[1]["kernel_measures"]


def test_a_resampler_that_the_picture_chose_has_its_own_width(tmp_path, monkeypatch):
    """Its spectrum speaks for a wider kernel, which the picture has refused."""
    lr = from_unit(downscale(helpers.dead_leaves(192, 256), TRUE, 2), np.uint8)
    image = helpers.write_image(tmp_path / "a.png", lr)
    votes = []

    def counted(values, variances, **more):
        votes.extend(zip(values, more["resamplers"], strict=True))
        return pool(values, variances, **more)

    monkeypatch.setattr(pooled_kernel, "pool", counted)
    network = helpers.network_preferring(2)
    monkeypatch.setattr(second_look, "network", lambda: network)
    flags = [f"--image={image}", f"--output_dir={tmp_path / 'out'}", "--pool"]
    assert cli.main(["main.py", *flags, "--sr=none"]) == 0
    [(value, resampler)] = votes
    bicubic = blur_kernels.bicubic(2)
    expected, _ = log_covariance(bicubic, bicubic[None], scale=2)
    assert resampler == "bicubic"
    np.testing.assert_allclose(value, expected, atol=0.01)


def test_the_kernel_alone(photos, tmp_path, capsys):
    flags = [f"--image={photos / 'a.png'}", f"--output_dir={tmp_path}", "--pool"]
    assert cli.main(["main.py", *flags, "--sr=none"]) == 0
    names = {path.name for path in tmp_path.iterdir()}
    assert names == {"pooled_kernel_x2.mat", "pooled_kernel_x2.npy"}


def test_a_full_disk_is_one_line(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(kernel_files, "write_mat", full)
    pooled = Pooled(TRUE, 0.1)
    with pytest.raises(OutputError, match=f"^{re.escape(str(tmp_path))}: cannot be wr"):
        pooled_kernel.write(pooled, tmp_path, scale=2)
    assert not list(tmp_path.iterdir())


def test_no_image_can_be_analysed(tmp_path, capsys):
    image = helpers.write_image(tmp_path / "flat.png", np.full((64, 64), 7, np.uint8))
    flags = [f"--image={image}", f"--output_dir={tmp_path / 'out'}", "--pool"]
    assert cli.main(["main.py", *flags]) == 1
    assert (
        capsys.readouterr().err.strip().endswith("--pool: no image could be analysed")
    )


@pytest.mark.parametrize(
    "flag, message",
    [
        ("--kernel_map=2x2", "--pool and --kernel_map exclude each other"),
        ("--sr_kernel=bicubic", "--pool needs the estimator spectral; here it is"),
        ("--config=x2_paper", "--pool needs the estimator spectral; here it is"),
        ("--shard=0/2", "--pool looks at all images first"),
        ("--cluster=ray", "--pool looks at all images first"),
    ],
)
def test_what_excludes_it(capsys, flag, message):
    assert cli.main(["main.py", "--image=a.png", "--pool", flag]) == 2
    assert message in capsys.readouterr().err
