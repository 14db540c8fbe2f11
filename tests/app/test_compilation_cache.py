"""The cache of compiled programs: where it is, and when there is none."""

import sys
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
