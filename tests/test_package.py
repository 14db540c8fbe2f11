"""What is packed: the source distribution has everything, an index shows all of it."""

import re
import shutil
import subprocess

import pytest
from helpers import ROOT


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
    metadata = (ROOT / "pyproject.toml").read_text()
    page = re.search('^readme = "(.*?)"', metadata, re.M)[1]
    targets = re.findall(r"\]\(([^)]*)\)", (ROOT / page).read_text())
    assert all(target.startswith("https://") for target in targets)
