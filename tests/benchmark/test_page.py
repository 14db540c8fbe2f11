"""The page of pictures: every link leads to a file, names are escaped."""

import os
import re
import sys
from urllib.parse import unquote

import numpy as np
import pytest

from kernelgan_jax.app.images import image_files
from kernelgan_jax.benchmark import SYSTEMS, cli, make_test_set, page, run_benchmark

CHOSEN = [SYSTEMS[name] for name in ("bicubic", "constant", "true")]


def links(text):
    found = re.findall(r'(?:src|href)="([^"]+)"', text)
    return [unquote(link, errors="surrogateescape") for link in found]


@pytest.fixture(scope="module")
def written(images, tmp_path_factory):
    """A page of two images, one of which has a name with signs of HTML and URLs."""
    folder = tmp_path_factory.mktemp("page")
    hr = images(folder / "in", "plain", "a|b <i>&#1.x")
    make_test_set(hr, folder / "set", scales=[2])
    found = run_benchmark(
        folder / "set", folder / "out", scale=2, systems=CHOSEN, method="bicubic"
    )
    assert not found.problems
    page.write(folder / "out/x2.html", found, CHOSEN)
    return folder / "out", found


def test_every_link_leads_to_a_file(written):
    out, _ = written
    found = links((out / "x2.html").read_text())
    # A picture and its link for HR, LR and 3 systems, and 3 kernels, for each image.
    assert len(found) == 2 * (2 * 5 + 3)
    assert all((out / link).exists() for link in found)


def test_names_are_escaped(written):
    out, _ = written
    text = (out / "x2.html").read_text()
    assert "<h2>a|b &lt;i&gt;&amp;#1.x</h2>" in text and "<i>" not in text
    assert "<title>Super-resolution by 2</title>" in text


def test_names_that_are_no_text(images, tmp_path):
    hr = images(tmp_path / "in", os.fsdecode(b"caf\xe9"))
    assert not make_test_set(hr, tmp_path / "set", scales=[2]).problems
    arguments = ["evaluate", f"--data={tmp_path / 'set'}", f"--output_dir={tmp_path}"]
    arguments += ["--systems=bicubic,constant", "--sr=bicubic"]
    assert cli.main(arguments) == 0
    text = (tmp_path / "x2.html").read_text()
    assert r"<h2>caf\udce9</h2>" in text
    assert all((tmp_path / link).exists() for link in links(text))
    assert r"| caf\udce9 |" in (tmp_path / "table.md").read_text()


def test_the_measures_are_shown(written):
    out, found = written
    text = (out / "x2.html").read_text()
    for row in found.rows:
        if row.kind == "sr":
            assert f"{row.psnr_y:.2f} dB<br>{row.ssim_y:.4f} SSIM" in text
        elif row.kernel_psnr is not None:
            assert f"<figcaption>{row.kernel_psnr:.1f} dB</figcaption>" in text
    assert text.count("no difference") == 2  # The true kernels.


def test_the_pictures_are_crops(written):
    out, _ = written
    pictures = out / "x2_pictures"
    hr = image_files.read(pictures / "plain-hr.png").pixels
    lr = image_files.read(pictures / "plain-lr.png").pixels
    assert hr.shape == lr.shape == (56, 56, 3)
    np.testing.assert_array_equal(lr[::2, ::2], lr[1::2, 1::2])
    assert image_files.read(pictures / "plain-k.png").pixels.shape == (25, 25, 3)


def test_failed_and_missing_results(data, tmp_path, counter):
    """A kernel that failed is marked; a system without image shows its kernel."""
    ours = counter(estimate={"failure": "it diverged"}).system
    found = run_benchmark(
        data, tmp_path, scale=2, systems=[ours], method="none", seeds=1, names=["one"]
    )
    page.write(tmp_path / "x2.html", found, [ours])
    text = (tmp_path / "x2.html").read_text()
    assert text.count("(not converged)") == 1
    assert all((tmp_path / link).exists() for link in links(text))
    assert "x2_pictures/one-counter.png" not in text


def test_without_jinja2_there_is_a_hint(monkeypatch):
    monkeypatch.setitem(sys.modules, "jinja2", None)
    with pytest.raises(ValueError, match=r"kernelgan-jax\[benchmark\]"):
        page.load_template()
