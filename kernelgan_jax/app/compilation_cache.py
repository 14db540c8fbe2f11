"""Compiled programs kept between runs, so that the next one starts at once.

A cached program is executed as it is. The folder must therefore belong to the user and
to nobody else, and entries that a killed run has left half written, which JAX would
never replace, are removed.
"""

import contextlib
import json
import os
import stat
import sys
import zlib
from pathlib import Path
from typing import Any

from kernelgan_jax.app import files

_CHECKED = "checked.json"
"""The file with the sizes and times of entries that were found whole."""


def keep_compilations() -> None:
    """Lets JAX keep compiled programs, so that the next run starts at once.

    A cache that the user has set up stays as it is. Without a folder that can be
    trusted, every run compiles.
    """
    import jax

    if jax.config.jax_compilation_cache_dir is not None:  # type: ignore[attr-defined]
        return
    try:
        folder = cache_folder()
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not _is_private(folder):
            return
    except (OSError, RuntimeError):
        return  # Without a home that can be written to, every run compiles.
    if os.access(folder, os.W_OK):
        remove_damaged(folder)
        jax.config.update("jax_compilation_cache_dir", str(folder))
        jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
        jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)


def cache_folder() -> Path:
    """The folder of this program among the user's caches."""
    if sys.platform == "win32":
        base = os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local"
    elif sys.platform == "darwin":
        base = Path.home() / "Library" / "Caches"
    else:
        base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "kernelgan_jax"


def _is_private(folder: Path) -> bool:
    """Makes a folder private if it is the user's; whether it is so."""
    status = folder.stat()
    if not hasattr(os, "geteuid"):  # Windows, where the profile is the user's.
        return True
    if status.st_uid != os.geteuid():
        return False
    if status.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        folder.chmod(0o700)
    return True


def remove_damaged(folder: Path) -> None:
    """Removes the entries of a cache that are cut off; each is looked at once."""
    checked = files.read_json(folder / _CHECKED) or {}
    whole: dict[str, Any] = {}
    for path in folder.glob("*-cache"):
        with contextlib.suppress(OSError):
            status = path.stat()
            state = [status.st_size, status.st_mtime_ns]
            if checked.get(path.name) == state or _is_whole(path.read_bytes()):
                whole[path.name] = state
            else:
                path.unlink()
    if whole != checked:
        part = folder / f"{_CHECKED}.{os.getpid()}"
        with contextlib.suppress(OSError):
            part.write_text(json.dumps(whole))
            os.replace(part, folder / _CHECKED)


def _is_whole(data: bytes) -> bool:
    """Whether compressed data can be unpacked to their end."""
    if not data.startswith(b"\x28\xb5\x2f\xfd"):
        try:
            unpack = zlib.decompressobj()
            unpack.decompress(data)
        except zlib.error:
            return False
        return unpack.eof
    try:
        import zstandard  # As JAX does, if it is installed.

        zstandard.ZstdDecompressor().decompress(data)
    except ImportError:
        return True  # Nobody could unpack it here.
    except Exception:  # The error has no stable name among versions.
        return False
    return True
