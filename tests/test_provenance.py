"""The digest of the package's source: it changes with every file."""

import contextlib
import hashlib
import itertools
import shutil
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from kernelgan_jax.provenance import PACKAGE, provenance
from kernelgan_jax.version import __version__


@pytest.fixture
def package(tmp_path):
    """A copy of the package."""
    copy = tmp_path / "kernelgan_jax"
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(PACKAGE, copy, ignore=ignored)
    return copy


@pytest.fixture
def digest(tmp_path):
    """The provenance of a folder as it is now: that of a new link to it."""
    numbers = itertools.count()

    def of_link(root):
        link = tmp_path / f"link{next(numbers)}"
        link.symlink_to(root)
        return provenance(root=link)

    return of_link


def test_a_copy_has_the_same_provenance(package, digest):
    assert digest(package) == digest(PACKAGE)
    version, found = digest(PACKAGE).split()
    assert version == __version__
    assert found.startswith("sha256:") and len(found) == 7 + 64


def test_every_file_counts(package, digest):
    before = digest(package)
    files = [p for p in sorted(package.rglob("*")) if p.suffix in (".py", ".npz")]
    assert {p.suffix for p in files} == {".py", ".npz"} and len(files) > 50
    for path in files:
        content = path.read_bytes()
        path.write_bytes(content + b"\n")
        assert digest(package) != before, path
        path.write_bytes(content)
    assert digest(package) == before


def test_new_and_renamed_files_count_and_others_do_not(package, digest):
    before = digest(package)
    (package / "notes.txt").write_text("x")
    (package / "__pycache__").mkdir(exist_ok=True)
    (package / "__pycache__" / "x.pyc").write_text("x")
    assert digest(package) == before
    (package / "new.py").write_text("")
    with_new = digest(package)
    assert with_new != before
    (package / "new.py").rename(package / "newer.py")
    assert digest(package) not in (before, with_new)


def test_it_is_computed_once(package):
    before = provenance(root=package)
    (package / "new.py").write_text("")
    assert provenance(root=package) == before


def test_it_is_computed_once_by_threads_that_ask_at_the_same_time(package, monkeypatch):
    both, sha256, started = threading.Barrier(2), hashlib.sha256, []

    def slow():
        started.append(1)
        with contextlib.suppress(threading.BrokenBarrierError):
            both.wait(timeout=0.2)  # Two would meet here.
        return sha256()

    monkeypatch.setattr(hashlib, "sha256", slow)
    with ThreadPoolExecutor(2) as pool:
        found = list(pool.map(lambda _: provenance(root=package), range(2)))
    assert len(started) == 1 and len(set(found)) == 1
