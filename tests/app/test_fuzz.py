"""Damaged files of every kind are read, or refused in one line, with little memory.

`benchmarks/fuzz.py` does the same for thousands of files.
"""

import contextlib
import tracemalloc
import warnings

import helpers
import numpy as np
import pytest
from app import seeds


@contextlib.contextmanager
def traced_memory():
    """A function that gives the peak of Python's memory in the `with` block."""
    tracemalloc.start()
    try:
        yield lambda: tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("name", seeds.SEEDS)
def test_damaged_files_are_read_or_refused(tmp_path, name):
    originals, path = seeds.SEEDS[name], tmp_path / name
    for data in originals:
        path.write_bytes(data)
        seeds.read(path)
    rng = np.random.default_rng(1)
    refused = 0
    with traced_memory() as peak, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for i in range(400):
            path.write_bytes(helpers.mutated(originals[i % len(originals)], rng))
            refused += seeds.read(path) is not None
        assert peak() < 2**26
    assert (50 < refused < 400) or name.endswith(("jsonl", "json"))
