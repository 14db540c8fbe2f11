"""The code that made a result: part of each fingerprint and of the names of traces, so
that what other code has made is never taken for this one's. Needs no JAX."""

import functools
import hashlib
import threading
from pathlib import Path

from kernelgan_jax.version import __version__

PACKAGE = Path(__file__).parent
"""Folder of the package."""

_SUFFIXES = (".py", ".npz")
"""Source files and data: all that results can depend on."""

_HASHING = threading.Lock()
"""Threads that ask at once wait for the first of them."""


def provenance(*, root: Path = PACKAGE) -> str:
    """Version and SHA-256 digest of the package's source files and data.

    It changes when a file changes, comes, goes or is renamed.

    Args:
      root: Folder of the package.

    Example:
      >>> version, digest = provenance().split()
      >>> digest.startswith("sha256:")
      True
    """
    with _HASHING:
        return _hashed(root)


@functools.cache
def _hashed(root: Path) -> str:
    digest = hashlib.sha256()
    files = {
        path.relative_to(root).as_posix(): path
        for path in root.rglob("*")
        if path.suffix in _SUFFIXES and path.is_file()
    }
    for name, path in sorted(files.items()):
        content = path.read_bytes()
        digest.update(f"{name}\0{len(content)}\0".encode("utf-8", "surrogateescape"))
        digest.update(content)
    return f"{__version__} sha256:{digest.hexdigest()}"
