"""The files that a run leaves: their folders, and that they appear together."""

import dataclasses
import errno
import hashlib
import io
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import helpers
import hypothesis
import hypothesis.strategies as st
import numpy as np
import pytest
import scipy.io
from app import makers
from app.makers import KERNEL, KERNEL_X4

from kernelgan_jax.app import (
    files,
    folders,
    kernel_files,
    manifest,
    report,
    result_names,
    results,
)
from kernelgan_jax.app.job import Job
from kernelgan_jax.config import Config
from kernelgan_jax.estimators.registry import GivenConfig


def written(folder, **options):
    """The folder with the results of an image."""
    results.write(makers.result(folder, **options))
    return folder


def names_in(folder):
    return {path.name for path in folder.iterdir()}


# --- Names of folders ---


def names(*paths):
    chosen = folders.folders([Path(p) for p in paths], Path("out"))
    assert all(folder.parent == Path("out") for folder in chosen)
    return [folder.name for folder in chosen]


def test_folders_have_the_stems_of_the_images():
    assert names("x/a.png", "x/b.tar.png") == ["a", "b.tar"]


def test_equal_stems_are_numbered():
    assert names("x/a.png", "y/a.png", "a.jpg") == ["a", "a_2", "a_3"]


@pytest.mark.parametrize(
    "paths", [("a.png", "y/a.png", "a_2.png"), ("a_2.png", "a.png", "y/a.png")]
)
def test_a_number_never_takes_the_name_of_another_image(paths):
    chosen = dict(zip(paths, names(*paths), strict=True))
    assert chosen == {"a.png": "a", "y/a.png": "a_3", "a_2.png": "a_2"}


def test_names_that_a_file_system_takes_for_the_same():
    assert names("A.png", "a.jpg") == ["A", "a_2"]
    assert names("caf\u00e9.png", "cafe\u0301.png")[1].endswith("_2")


# --- Files ---


def test_files_of_scale_2(tmp_path):
    folder = written(tmp_path / "a")
    expected = {"kernel_x2.npy", "kernel_x2.mat", "kernel.png", "report.json"}
    assert names_in(folder) == expected <= set(result_names.FILES)
    assert list(tmp_path.iterdir()) == [folder]
    listed = helpers.strict_json(folder / "report.json")["files"]
    assert set(listed) == expected - {"report.json"}


def test_both_kernels_are_saved_bit_for_bit(tmp_path):
    folder = written(tmp_path / "a", x4=True)
    for name, kernel in (("kernel_x2", KERNEL), ("kernel_x4", KERNEL_X4)):
        npy = np.load(folder / f"{name}.npy")
        mat = scipy.io.loadmat(folder / f"{name}.mat")["Kernel"]
        assert npy.dtype == mat.dtype == kernel.dtype
        np.testing.assert_array_equal(npy, kernel)
        np.testing.assert_array_equal(mat, kernel)


def test_kernels_for_other_tools(tmp_path):
    asked = makers.result(tmp_path / "a", x4=True)
    asked = dataclasses.replace(
        asked, job=dataclasses.replace(asked.job, exports=("usrnet", "opencv"))
    )
    results.write(asked)
    names = {f"kernel_x{s}_{kind}" for s in (2, 4) for kind in ("usrnet.mat",
             "opencv.yml")}  # fmt: skip
    assert {name for name in names_in(tmp_path / "a") if name.count("_") > 1} == names
    report = helpers.strict_json(tmp_path / "a/report.json")
    assert names < set(report["files"]) and report["exports"] == ["opencv", "usrnet"]
    assert results.is_finished(tmp_path / "a", asked.fingerprint)
    # No kernel was found: there is none for others, and this is no error.
    failed = dataclasses.replace(
        asked, estimate=makers.estimate(np.full((3, 3), np.nan), failure="x")
    )
    results.write(failed)
    assert not names & set(names_in(tmp_path / "a"))


def test_kernels_for_other_tools_are_added_to_finished_results(tmp_path):
    asked = makers.result(tmp_path / "a", x4=True, kernel=KERNEL_X4)
    results.write(dataclasses.replace(asked, job=asked.job))
    job = dataclasses.replace(asked.job, exports=("usrnet", "deepinv"))
    results.write(dataclasses.replace(asked, job=job, task=asked.task._replace(
        folder=tmp_path / "b")))  # fmt: skip
    before = helpers.contents(tmp_path / "a")
    results.add_exports(tmp_path / "a", ("usrnet",))
    results.add_exports(tmp_path / "a", ("deepinv",))
    after, expected = (helpers.contents(tmp_path / name) for name in "ab")
    assert after.keys() == expected.keys()
    changed = {name for name in before if after[name] != before[name]}
    assert changed == {"report.json"}
    added = after.keys() - before.keys()
    assert len(added) == 4 and all(after[n] == expected[n] for n in added)
    found = [helpers.strict_json(tmp_path / name / "report.json") for name in "ab"]
    assert found[0]["exports"] == found[1]["exports"] == ["deepinv", "usrnet"]
    assert {n: found[0]["files"][n] for n in added}.items() <= found[1]["files"].items()
    assert results.is_finished(tmp_path / "a", asked.fingerprint)
    results.add_exports(tmp_path / "a", ("usrnet",))
    assert helpers.contents(tmp_path / "a") == after


# --- Together, or not at all ---


def test_a_rerun_replaces_its_own_files_and_no_others(tmp_path):
    folder = written(tmp_path / "a", x4=True)
    (folder / "mine.txt").write_text("keep")
    written(folder, kernel=KERNEL.T)
    assert names_in(folder) == {
        "kernel_x2.npy", "kernel_x2.mat", "kernel.png", "report.json", "mine.txt",
    }  # fmt: skip
    np.testing.assert_array_equal(np.load(folder / "kernel_x2.npy"), KERNEL.T)


def test_a_full_disk_leaves_the_earlier_results(tmp_path, monkeypatch):
    folder = written(tmp_path / "a")
    before = helpers.contents(folder)

    def full(path, *_, **__):
        Path(path).write_bytes(b"half")
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(kernel_files, "write_mat", full)
    with pytest.raises(results.OutputError) as caught:
        written(folder, kernel=KERNEL.T)
    reason = os.strerror(errno.ENOSPC)
    assert str(caught.value) == f"{folder}: cannot be written: {reason}"
    assert helpers.contents(folder) == before
    assert list(tmp_path.iterdir()) == [folder]


def test_the_report_comes_last_and_goes_first(tmp_path, monkeypatch):
    folder = written(tmp_path / "a")
    replace, moved = os.replace, []

    def stop_at_the_second(source, target):
        if moved:
            raise KeyboardInterrupt
        moved.append(target)
        replace(source, target)

    monkeypatch.setattr(os, "replace", stop_at_the_second)
    with pytest.raises(KeyboardInterrupt):
        written(folder, kernel=KERNEL.T)
    assert len(moved) == 1
    assert not (folder / "report.json").exists()


def test_files_are_on_the_disk_before_they_get_their_names(tmp_path, monkeypatch):
    synced, moved, replace = set(), [], os.replace

    def sync(path):
        synced.add(path.name)

    def rename(source, target):
        assert source.name in synced
        assert target.name != "report.json" or "a" in synced  # the folder
        moved.append(target.name)
        replace(source, target)

    monkeypatch.setattr(files, "sync", sync)
    monkeypatch.setattr(os, "replace", rename)
    assert names_in(written(tmp_path / "a")) == set(moved)


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs SIGKILL")
def test_a_killed_run_leaves_nothing_half_written(tmp_path):
    folder = written(tmp_path / "a")
    before = helpers.contents(folder)
    program = f"""
import os, signal, sys
sys.path[:0] = {sys.path!r}
from app import makers
from kernelgan_jax.app import figures, results
figures.write = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
results.write(makers.result({str(folder)!r}, kernel=makers.KERNEL.T))
"""
    killed = subprocess.run([sys.executable, "-c", program])
    assert killed.returncode == -signal.SIGKILL
    assert helpers.contents(folder) == before
    (left,) = (path for path in tmp_path.iterdir() if path != folder)
    assert left.name.startswith(".")
    assert (left / "kernel_x2.npy").exists()

    results.prepare(tmp_path)
    assert list(tmp_path.iterdir()) == [folder]


def test_what_may_be_another_run_s_is_not_cleaned_up(tmp_path):
    with files.temporary_folder(tmp_path) as alive:
        (alive / "half").write_text("")
        remote = tmp_path / f"{files.TEMPORARY}elsewhere-abc"
        no_lock = tmp_path / f"{files.TEMPORARY}old"
        for folder, name in ((remote, "lock"), (no_lock, "half")):
            folder.mkdir()
            (folder / name).write_text("")
        (tmp_path / f"{files.TEMPORARY}empty").mkdir()
        (tmp_path / f"{files.TEMPORARY}link").symlink_to(tmp_path)
        results.prepare(tmp_path)
        assert {alive, remote, no_lock} == {p for p in tmp_path.iterdir() if p.is_dir()
                                            and not p.is_symlink()}  # fmt: skip
        long_ago = time.time() - 2 * 3600
        for folder in (alive, remote, no_lock):
            os.utime(folder, (long_ago, long_ago))
        results.prepare(tmp_path)
        assert (alive / "half").exists()
        assert not remote.exists() and not no_lock.exists()
    assert not alive.exists()


def test_check_writable_takes_no_file_for_a_folder(tmp_path):
    (tmp_path / "a").write_text("")
    with pytest.raises(results.OutputError, match="a: is a file, not a folder; "):
        results.check_writable(tmp_path / "a")
    results.check_writable(tmp_path / "absent")
    assert not (tmp_path / "absent").exists()


def test_a_folder_in_the_place_of_a_result_costs_no_other_result(tmp_path):
    folder = written(tmp_path / "a")
    (folder / "kernel_x2.mat").unlink()
    (folder / "kernel_x2.mat").mkdir()
    before = names_in(folder)
    with pytest.raises(results.OutputError, match="kernel_x2.mat: is a folder, where"):
        written(folder)
    assert names_in(folder) == before


# --- What counts as finished ---


def test_a_digest_ends_where_a_file_makes_it_wait():
    class Waiting(io.RawIOBase):
        def readable(self):
            return True

        seekable = readable

        def seek(self, *_):
            return 0

        def readinto(self, _):
            return None

    assert files.content_of(io.BufferedReader(Waiting())).bytes == 0
    data = bytes(range(256)) * 1000
    digest = hashlib.sha256(data).hexdigest()
    assert files.content_of(io.BytesIO(data)) == (len(data), digest)


def test_fingerprints_differ_where_results_would(monkeypatch):
    def given(kernel):
        return Config(estimator="given", given=GivenConfig(kernel=kernel))

    configs = [
        Config(),
        Config(scale=3),
        Config(sr="zssr"),
        Config(sr="zssr", zssr={"crop": 64}),
        Config(estimator="kernelgan"),
        Config(estimator="kernelgan", kernelgan={"iterations": 4}),
        given(((1.0,),)),
        given(((1.0, 1.0),)),
    ]
    found = [results.fingerprint(Job(config=c), (1, 2)) for c in configs]
    found += [results.fingerprint(j, (1, 2)) for j in (Job(seed=1), Job(band=2))]
    found += [results.fingerprint(Job(), file) for file in ((1, 3), (2, 2))]
    jobs = (Job(format="jpg"), Job(format="jpg", quality=50), Job(format="same"))
    found += [results.fingerprint(job, (1, 2)) for job in jobs]
    first = results.fingerprint(Job(), (1, 2))
    monkeypatch.setattr(results, "provenance", lambda: "other code")
    found += [results.fingerprint(Job(), (1, 2))]
    assert len(set(found)) == len(found)
    # Neither figures nor resuming changes the other results; PNG has no quality.
    monkeypatch.undo()
    for job in (Job(figures=False, resume=False), Job(quality=50)):
        assert results.fingerprint(job, (1, 2)) == first


def test_what_is_finished(tmp_path):
    folder = written(tmp_path / "a")
    assert results.is_finished(folder, "f")
    assert not results.is_finished(folder, "g")
    assert not results.is_finished(tmp_path / "b", "f")
    report = (folder / "report.json").read_text()
    for damaged in (
        "{",
        "[]",
        '{"fingerprint": "f"}',
        '{"fingerprint": "f", "files": 1}',
    ):
        (folder / "report.json").write_text(damaged)
        assert not results.is_finished(folder, "f")
    (folder / "report.json").write_text(report)
    whole = (folder / "kernel_x2.mat").read_bytes()
    (folder / "report.json").write_text("[" * 10**5)
    assert not results.is_finished(folder, "f")
    (folder / "report.json").write_text(report)
    assert results.is_finished(folder, "f")
    for damaged in (b"", whole[:-1], whole[:-1] + bytes([whole[-1] ^ 1]), None):
        (folder / "kernel_x2.mat").unlink()
        if damaged is not None:
            (folder / "kernel_x2.mat").write_bytes(damaged)
        assert not results.is_finished(folder, "f")


# --- Whose folder it is ---


def test_a_folder_of_another_image_is_not_taken(tmp_path):
    out = tmp_path / "out"
    images = [tmp_path / name for name in ("x/a.png", "y/a.png", "z/a.png")]
    for i, image in enumerate(images):
        image.parent.mkdir()
        image.write_bytes(bytes([i]))
    out.mkdir()

    def chosen(*paths):
        return [folder.name for folder in folders.folders(paths, out)]

    def write_of(image, folder, seed=3):
        result = makers.result(out / folder, name=image, content=files.content(image))
        results.write(result)

    x, y, z = images
    write_of(x, "a")
    assert chosen(x) == ["a"] and chosen(y) == ["a_2"]
    assert chosen(x, y, z) == ["a", "a_2", "a_3"]
    assert chosen(z, y, x) == ["a_2", "a_3", "a"]
    write_of(z, "a_2")
    assert chosen(x, y, z) == ["a", "a_3", "a_2"]
    # Another run took the folder meanwhile.
    before = helpers.contents(out)
    with pytest.raises(results.OutputError, match=f"holds the results of {x}"):
        write_of(y, "a")
    assert helpers.contents(out) == before
    # A copy of the same image in another place is the same image.
    x.rename(tmp_path / "a.png")
    assert chosen(tmp_path / "a.png") == ["a"]


@pytest.mark.parametrize("report", ['{"mine": 1}', "[]", '{"config": {"scale": 2}}'])
def test_a_folder_of_another_program_is_not_taken(tmp_path, report):
    folder = tmp_path / "a"
    folder.mkdir()
    for name, text in (("report.json", report), ("kernel.png", "mine")):
        (folder / name).write_text(text)
    before = helpers.contents(folder)
    assert folders.folders([Path("a.png")], tmp_path) == [tmp_path / "a_2"]
    with pytest.raises(results.OutputError, match="holds the results of another prog"):
        written(folder)
    assert helpers.contents(folder) == before


def test_a_linked_folder_is_not_written_through(tmp_path):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "a").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(results.OutputError, match="a: is a link"):
        written(tmp_path / "out" / "a")
    assert list((tmp_path / "elsewhere").iterdir()) == []


def test_results_of_other_settings_are_counted(tmp_path):
    folder = written(tmp_path / "a")
    job = makers.result().job
    count = folders.different_settings
    assert count([folder, tmp_path / "b"], report.settings(job)) == (0, "")
    other = Job(config=Config(estimator="kernelgan", scale=4), seed=3)
    found = count([folder, tmp_path / "b"], report.settings(other))
    assert found == (1, "config.scale was 2 and is 4")
    other = dataclasses.replace(job, band=2)
    found = count([folder], report.settings(other))
    assert found == (1, "band was None and is 2")
    other = dataclasses.replace(job, format="jpg")
    found = count([folder], report.settings(other))
    assert found == (1, "format was 'png' and is 'jpg'")
    # A PNG has no quality, and reports of earlier versions name fewer settings.
    assert count([folder], report.settings(dataclasses.replace(job, quality=9)))[0] == 0
    stored = json.loads((folder / "report.json").read_text())
    stored |= {"format": "jpg"}
    (folder / "report.json").write_text(json.dumps(stored))
    other = dataclasses.replace(other, quality=9)
    found = count([folder], report.settings(other))
    assert found == (1, "quality was 95 and is 9")
    del stored["format"], stored["quality"], stored["config"]["sr"]
    (folder / "report.json").write_text(json.dumps(stored))
    assert count([folder], report.settings(other)) == (0, "")


# --- Whatever the names are ---

NAMES = st.one_of(
    st.text(min_size=1, max_size=300),
    st.text(alphabet="./\\~ \x1b\n_2amnifest", min_size=1, max_size=12),
    st.sampled_from("manifest.jsonl manifest-0-of-2.JSONL ... .. . .kernelgan-x "
                    "manifest.jsonl.damaged report.json a a_2 A CON".split()),
)  # fmt: skip


@hypothesis.given(st.lists(NAMES, min_size=1, max_size=5), st.booleans())
@hypothesis.settings(max_examples=300, deadline=None, derandomize=True, database=None)
def test_all_that_is_written_lies_in_a_folder_of_its_own(stems, with_suffix):
    suffix = ".png" if with_suffix else ""
    paths = [Path("x") / f"{stem}{suffix}".replace("/", "").replace("\0", "")
             for stem in stems]  # fmt: skip
    out = Path("some/out")
    chosen = folders.folders(paths, out)
    for folder in chosen:
        assert Path(os.path.normpath(folder)).parent == out == folder.parent
        name = folder.name
        assert name == name.strip(" .") or not name.endswith((" ", "."))
        assert name.isprintable() and not name.startswith(".")
        assert len(name.encode()) < 255 and not set(name) & set("/\\")
        assert not manifest.is_manifest(name.lower())
    assert len({name.name.casefold() for name in chosen}) == len(chosen)
