"""What is packed and what it needs: files, the index's page, packages of the extras."""

import re
import shutil
import subprocess
import sys
import tomllib

import pytest
from helpers import ROOT

from kernelgan_jax.__main__ import COMMAND_PACKAGES
from kernelgan_jax.version import __version__

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def test_the_source_distribution_has_all_files():
    git = shutil.which("git")
    if not (git and (ROOT / ".git").exists()):
        pytest.skip("needs a clone")
    listed = subprocess.run(
        [git, "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    text = (ROOT / "MANIFEST.in").read_text()
    words = {w for line in text.splitlines() if line[:1] != "#" for w in line.split()}
    # These, setuptools takes by itself.
    words |= {"kernelgan_jax", "pyproject.toml", "LICENSE", "MANIFEST.in"}
    for path in listed.stdout.splitlines():
        top = path.partition("/")[0]
        kind = f"*.{path.rpartition('.')[2]}" if "/" not in path else ""
        assert top in words or kind in words, path


def test_the_page_of_an_index_has_no_relative_links():
    text = (ROOT / PROJECT["readme"]).read_text()
    targets = re.findall(r"\]\(([^)]*)\)", text)
    assert all(target.startswith("https://") for target in targets)


def test_the_release_is_the_same_everywhere():
    changes = (ROOT / "CHANGELOG.md").read_text()
    headings = re.findall(r"^## (.*)$", changes, re.M)
    last, date = next(h for h in headings if h != "Unreleased").split(" - ")
    cited = (ROOT / "CITATION.cff").read_text()
    assert last == __version__
    assert f"\nversion: {last}\ndate-released: {date}\n" in cited


def names(requirements):
    return {re.match(r"[\w.-]+", line)[0] for line in requirements}


def test_the_command_looks_for_the_packages_of_its_extra():
    extras = PROJECT["optional-dependencies"]
    packages = set(COMMAND_PACKAGES.values())
    assert names(extras["command"]) == packages
    assert not names(PROJECT["dependencies"]) & packages
    for extra in ("benchmark", "cluster", "heic", "web"):
        assert "kernelgan-jax[command]" in extras[extra]


WITHOUT_EXTRAS = """
import importlib, pkgutil, sys

absent = sys.argv[1].split()
sys.modules.update(dict.fromkeys(absent))  # An import of these fails now.

import jax
import numpy as np

import kernelgan_jax
from kernelgan_jax import __main__ as program

above = "__main__", "app", "benchmark", "presets"
for module in pkgutil.walk_packages(kernelgan_jax.__path__, "kernelgan_jax."):
    if module.name.split(".")[1] not in above:
        importlib.import_module(module.name)
for name in kernelgan_jax.__all__:
    getattr(kernelgan_jax, name)

kernel = kernelgan_jax.blur_kernels.gaussian(13, variances=(3, 1), angle=0.5, scale=2)
estimate = kernelgan_jax.KernelEstimate(kernel=kernel, scale=2)
assert "<image " in estimate._repr_html_()
for tool in kernelgan_jax.kernel_formats.TOOLS:
    kernelgan_jax.kernels.export(kernel, to=tool, scale=2)
key, image = jax.random.key(0), np.zeros((8, 9, 3))
larger = kernelgan_jax.super_resolve(key, image, estimate, method="bicubic")
assert larger.shape == (16, 18, 3)

for arguments in (["a.png"], ["--help"], ["web"], ["benchmark", "degrade"]):
    assert program.main(arguments) == 2
assert program.benchmark() == 2
"""


def test_the_library_needs_no_extra_and_the_command_says_what_it_needs():
    absent = {*COMMAND_PACKAGES, *"pillow_heif ray upath gradio jinja2 skimage".split()}
    absent.remove("absl")  # optax needs it.
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_EXTRAS, " ".join(absent)],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    needs = "error: kernelgan-jax needs imagecodecs, matplotlib, ml_collections, pillow"
    extras = "command", "command", "web", "benchmark", "benchmark"
    assert done.stderr.splitlines() == [
        f'{needs}, tifffile, tqdm: pip install "kernelgan-jax[{extra}]"'
        for extra in extras
    ]
