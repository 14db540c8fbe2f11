"""The cache of compiled programs: where it is, and when there is none."""

import os
import sys
import zlib
from pathlib import Path

import jax
import pytest

from kernelgan_jax.app import compilation_cache


@pytest.fixture
def cache_dir():
    """The setting of JAX, put back after the test."""
    names = (
        "jax_compilation_cache_dir",
        "jax_persistent_cache_min_compile_time_secs",
        "jax_persistent_cache_min_entry_size_bytes",
    )
    before = {name: getattr(jax.config, name) for name in names}
    yield lambda: jax.config.jax_compilation_cache_dir
    for name, value in before.items():
        jax.config.update(name, value)


def test_compilations_are_kept_among_the_user_s_caches(
    tmp_path, monkeypatch, cache_dir
):
    jax.config.update("jax_compilation_cache_dir", None)
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    compilation_cache.keep_compilations()
    assert cache_dir() == str(tmp_path / "kernelgan_jax")
    assert (tmp_path / "kernelgan_jax").is_dir()


def test_a_cache_that_the_user_chose_stays(tmp_path, monkeypatch, cache_dir):
    jax.config.update("jax_compilation_cache_dir", "mine")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    compilation_cache.keep_compilations()
    assert cache_dir() == "mine"
    assert list(tmp_path.iterdir()) == []


def test_no_cache_is_no_error(tmp_path, monkeypatch, cache_dir):
    jax.config.update("jax_compilation_cache_dir", None)
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    monkeypatch.setattr(sys, "platform", "linux")
    compilation_cache.keep_compilations()
    assert cache_dir() is None


@pytest.mark.parametrize(
    "platform, parent",
    [
        ("linux", "home/.cache"),
        ("darwin", "home/Library/Caches"),
        ("win32", "home/AppData/Local"),
    ],
)
def test_cache_folders(monkeypatch, platform, parent):
    monkeypatch.setattr(sys, "platform", platform)
    monkeypatch.setattr(Path, "home", lambda: Path("home"))
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.delenv("LOCALAPPDATA", raising=False)
    assert compilation_cache.cache_folder() == Path(parent) / "kernelgan_jax"


def is_used(folder, monkeypatch, cache_dir):
    jax.config.update("jax_compilation_cache_dir", None)
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setenv("XDG_CACHE_HOME", str(folder.parent))
    compilation_cache.keep_compilations()
    return cache_dir() == str(folder)


@pytest.mark.skipif(not hasattr(os, "geteuid"), reason="needs owners of files")
def test_a_folder_that_others_can_write_to_is_not_used(
    tmp_path, monkeypatch, cache_dir
):
    folder = tmp_path / "kernelgan_jax"
    assert is_used(folder, monkeypatch, cache_dir)
    assert folder.stat().st_mode & 0o777 == 0o700
    folder.chmod(0o777)
    assert is_used(folder, monkeypatch, cache_dir)
    assert folder.stat().st_mode & 0o777 == 0o700
    monkeypatch.setattr(os, "geteuid", lambda: folder.stat().st_uid + 1)
    assert not is_used(folder, monkeypatch, cache_dir)


def test_half_written_entries_are_removed_and_whole_ones_stay(tmp_path):
    whole = zlib.compress(bytes(range(256)) * 40)
    entries = {"a": whole, "b": whole[: len(whole) // 2], "c": b"", "d": b"rubbish"}
    entries["e"] = whole[:-1] + bytes([whole[-1] ^ 1])
    for name, data in entries.items():
        (tmp_path / f"{name}-cache").write_bytes(data)
    (tmp_path / "mine").write_bytes(b"rubbish")
    (tmp_path / "checked.json").write_text("[" * 10**5)
    compilation_cache.remove_damaged(tmp_path)
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == ["a-cache", "checked.json", "mine"]
    # What was whole is not unpacked again, unless it changed.
    entry = tmp_path / "a-cache"
    time = entry.stat().st_mtime_ns
    entry.write_bytes(bytes(len(whole)))
    os.utime(entry, ns=(time, time))
    compilation_cache.remove_damaged(tmp_path)
    assert entry.exists()
    entry.write_bytes(whole[:-5])
    compilation_cache.remove_damaged(tmp_path)
    assert not entry.exists()
