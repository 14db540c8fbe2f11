"""Digests that tell whether a measurement still holds: of files, settings and code."""

import hashlib
import json
from pathlib import Path
from typing import Any

from kernelgan_jax.benchmark.rows import FORMAT
from kernelgan_jax.provenance import provenance


def file_digest(path: Path) -> str:
    """Digest of a file's content."""
    return hashlib.sha256(path.read_bytes()).hexdigest()[:16]


def fingerprint(**depends_on: Any) -> str:
    """Digest of all that a measurement depends on.

    The code of the package and the form of the rows are always part of it.

    Args:
      **depends_on: Values that JSON has: digests of files, settings, names.

    Example:
      >>> fingerprint(scale=2) == fingerprint(scale=2), len(fingerprint(scale=2))
      (True, 16)
      >>> fingerprint(scale=2) == fingerprint(scale=3)
      False
    """
    text = json.dumps([provenance(), FORMAT, depends_on], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]
