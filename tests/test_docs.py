"""Examples run: every fenced Python block of README and docs, every docstring's."""

import doctest
import re
from pathlib import Path

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
