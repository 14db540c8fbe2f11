"""Examples run: every fenced Python block of README and docs, every docstring's."""

import doctest
import re
from pathlib import Path

import numpy as np
import pytest
from helpers import ROOT
from test_api import MODULES

PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


def blocks(page):
    """Python blocks of a page, in order; `{.python .no-run}` ones are left out."""
    return re.findall(r"^```python\n(.*?)^```", page.read_text(), re.M | re.S)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_the_python_blocks_of_a_page_run_in_order(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names = {}
    for block in blocks(page):
        exec(compile(block, page.name, "exec"), names)


def test_the_examples_of_extending_keep_the_contracts():
    """What the contract tests ask of each entry of the registries."""
    names = {}
    for block in blocks(ROOT / "docs/adding.md"):
        exec(compile(block, "adding.md", "exec"), names)
    reports = []
    (found,) = names["estimate"](
        [None], [np.zeros((9, 9, 1), np.float32)],
        scale=2, config=None, evidence=[None], progress=reports.append,
    )  # fmt: skip
    assert found.scale == 2 and [(r.step, r.total) for r in reports] == [(1, 1)]
    settings = names["MineConfig"]()
    adapted = settings.for_image(scale=2, noise_std=0.0, image_shape=None)
    assert adapted == (settings, ())
    with pytest.raises(ValueError, match="^config.mine.width is 0; it must be "):
        names["MineConfig"](width=0)


def test_readme_has_blocks():
    assert blocks(PAGES[0])


@pytest.mark.parametrize(
    "module",
    [m for m in MODULES if ">>> " in Path(m.__file__).read_text()],
    ids=lambda module: module.__name__,
)
def test_the_examples_of_docstrings(module):
    flags = doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS
    found = doctest.testmod(module, optionflags=flags)
    assert found.attempted and not found.failed
