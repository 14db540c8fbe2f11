"""`manifest.jsonl`: one line per image, whatever happens to the run."""

import errno
import json
import os
import subprocess
import sys
from pathlib import Path

import helpers
import pytest

from kernelgan_jax.app import files, manifest
from kernelgan_jax.app.job import Outcome, Summary, Task
from kernelgan_jax.app.manifest import Manifest, read


def outcome(name, status="done", error="", failure=None):
    task = Task(Path(name), Path("out") / name)
    return Outcome(task, status, error, Summary("-", "-", 1.5, failure))


def test_a_line_that_was_cut_off_costs_nothing(tmp_path):
    path = tmp_path / "manifest.jsonl"
    first = Manifest(path)
    first.add(outcome("a", "failed", "a: is empty"))
    first.add(outcome("b"))
    with path.open("a") as file:
        file.write('{"image": "c", "sta')
    with Manifest(path) as again:
        again.add(outcome("a"))
        again.add(outcome("b", "kept"))
        again.add(outcome("d", "kept"))
    records = [json.loads(line) for line in path.read_text().splitlines()]
    assert [r["image"] for r in records] == ["b", "a", "d"]
    assert [r["status"] for r in records] == ["done"] * 3
    assert [r["seconds"] for r in records] == [1.5, 1.5, 1.5]
    assert read(path)["a", ""]["error"] == ""
    assert [p.name for p in tmp_path.iterdir()] == ["manifest.jsonl"]


def test_what_a_line_has(tmp_path):
    path = tmp_path / "manifest.jsonl"
    with Manifest(path) as run:
        run.add(outcome("a", failure=""))
        run.add(outcome("b", failure="it diverged"))
        run.add(outcome("c"))
        run.add(outcome("d", "failed", "d: is empty"))
    assert read(path)["a", ""] == {
        "image": "a",
        "path": os.path.abspath("a"),
        "results": "a",
        "status": "done",
        "seconds": 1.5,
        "error": "",
        "converged": True,
    }
    assert read(path)["b", ""]["converged"] is False
    assert "converged" not in read(path)["c", ""]
    failure = read(path)["", os.path.abspath("d")]
    assert (failure["status"], failure["error"]) == ("failed", "d: is empty")


def test_an_image_takes_no_line_of_another_one_of_the_same_folder(tmp_path):
    path = tmp_path / "manifest.jsonl"
    bad, good = Path("d1/a.png"), Path("d2/a.png")
    failure, results = (
        Outcome(Task(bad, Path("out/a")), "failed", error="d1/a.png: is empty"),
        Outcome(Task(good, Path("out/a")), "done"),
    )
    for outcomes in ([failure, results], [results, failure]):
        path.unlink(missing_ok=True)
        with Manifest(path) as run:
            for each in outcomes:
                run.add(each)
        found = {r["image"]: r["status"] for r in read(path).values()}
        assert found == {str(bad): "failed", str(good): "done"}
        assert len(path.read_text().splitlines()) == 2
    # An image has one line: its results, wherever they are, or its failure.
    with Manifest(path) as run:
        run.add(Outcome(Task(bad, Path("out/a_2")), "done"))
        assert [r["status"] for r in read(path).values()] == ["done"] * 2
        run.add(failure)
    found = {r["image"]: r["status"] for r in read(path).values()}
    assert found[str(good)] == "done"


def test_images_that_are_typed_alike_are_told_apart(tmp_path, monkeypatch):
    path = tmp_path / "manifest.jsonl"
    for status, folder in (("done", "d1"), ("failed", "d2")):
        (tmp_path / folder).mkdir()
        monkeypatch.chdir(tmp_path / folder)
        with Manifest(path) as run:
            run.add(outcome("a.png", status, "is empty" if status == "failed" else ""))
    assert [r["status"] for r in read(path).values()] == ["done", "failed"]


def test_a_failure_takes_the_place_of_the_image_s_results(tmp_path):
    path = tmp_path / "manifest.jsonl"
    with Manifest(path) as run:
        for status in ("done", "failed", "kept", "failed", "done", "failed"):
            run.add(outcome("a", status, "is empty" if status == "failed" else ""))
            (record,) = read(path).values()
            assert record["status"] == {"kept": "done"}.get(status, status)


def test_a_failure_of_before_ends_with_its_image(tmp_path):
    path = tmp_path / "manifest.jsonl"
    path.write_text('{"image": "a", "results": "out/a", "status": "failed"}\n')
    with Manifest(path) as run:
        run.add(outcome("a"))
    (record,) = read(path).values()
    assert record["status"] == "done"


def test_no_images_no_manifest(tmp_path):
    with Manifest(tmp_path / "manifest.jsonl"):
        pass
    assert list(tmp_path.iterdir()) == []
    assert read(tmp_path / "manifest.jsonl") == {}


# --- Several runs at once ---

WRITER = """
import sys
from pathlib import Path
from kernelgan_jax.app.job import Outcome, Task
from kernelgan_jax.app.manifest import Manifest
path, name = sys.argv[1:]
print("ready", flush=True)
sys.stdin.readline()
for run in range(3):
    with Manifest(Path(path)) as manifest:
        for i in range(20):
            for image in (f"{name}-{run}-{i}", "shared"):
                manifest.add(Outcome(Task(Path("a.png"), Path("out", image)), "done"))
    assert manifest.problem == "", manifest.problem
"""


def test_processes_at_once_lose_no_line(tmp_path):
    path = tmp_path / "manifest.jsonl"
    environment = os.environ | {"PYTHONPATH": str(helpers.ROOT)}
    started = [
        subprocess.Popen(
            [sys.executable, "-c", WRITER, path, name],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=environment,
        )
        for name in "abcd"
    ]
    for process in started:
        process.stdout.readline()
    for process in started:
        process.communicate(b"\n")
        assert process.returncode == 0
    names = [json.loads(line)["results"] for line in path.read_text().splitlines()]
    assert len(names) == len(set(names)) == 4 * 3 * 20 + 1
    assert [p.name for p in tmp_path.iterdir()] == ["manifest.jsonl"]


def test_runs_in_turn_read_what_the_other_wrote(tmp_path):
    path = tmp_path / "manifest.jsonl"
    one, other = Manifest(path), Manifest(path)
    for run in (one, other):
        run.add(outcome("a", "failed", "a: is empty"))
    assert len(path.read_text().splitlines()) == 1
    one.add(outcome("b"))
    other.add(outcome("b", "kept"))
    assert len(path.read_text().splitlines()) == 2
    one.tidy()
    other.add(outcome("c"))
    one.add(outcome("d"))
    assert [r["image"] for r in read(path).values()] == ["a", "b", "c", "d"]


def test_without_locks_nothing_is_rewritten(tmp_path, monkeypatch):
    def unsupported(*_):
        raise OSError(errno.ENOTSUP, "no locks")

    monkeypatch.setattr(files.fcntl, "flock", unsupported)
    path = tmp_path / "manifest.jsonl"
    with Manifest(path) as one:
        one.add(outcome("a", "failed", "a: is empty"))
        one.add(outcome("a"))
        with Manifest(path) as other:
            other.add(outcome("b"))
    assert len(path.read_text().splitlines()) == 3
    assert read(path)["a", ""]["status"] == "done" and one.problem == ""


def test_a_disk_that_is_full_for_a_while(tmp_path, monkeypatch):
    path = tmp_path / "manifest.jsonl"
    with Manifest(path) as run:
        run.add(outcome("a"))

        def full(*_):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        with monkeypatch.context() as patch:
            patch.setattr(os, "open", full)
            run.add(outcome("b"))
            run.add(outcome("c", "failed", "c: is empty"))
            reason = os.strerror(errno.ENOSPC)
            assert run.problem == f"{path}: cannot be written: {reason}"
        run.add(outcome("d"))
        assert run.problem == ""
    assert [r["image"] for r in read(path).values()] == ["a", "b", "c", "d"]


def test_a_line_is_written_whole_or_not_at_all(tmp_path):
    class Full:
        """A file on a disk that has room for five bytes."""

        def __init__(self, file):
            self.file = file

        def write(self, data):
            return self.file.write(data[:5])

        def __getattr__(self, name):
            return getattr(self.file, name)

    path = tmp_path / "manifest.jsonl"
    path.write_text('{"image": "a"}\n')
    with path.open("r+b", buffering=0) as file:
        with pytest.raises(OSError, match=os.strerror(errno.ENOSPC)):
            manifest.append_lines(Full(file), b'{"image": "b"}\n')
    assert path.read_text() == '{"image": "a"}\n'


# --- What lies in its place ---


@pytest.mark.parametrize(
    "content",
    [b"\xff\xfe\x00rubbish\n", b"[" * 10**5 + b"\n", b"[1]\n7\nnull\n", b"\0" * 2**21],
)
def test_a_damaged_manifest_is_kept_aside(tmp_path, content):
    path = tmp_path / "manifest.jsonl"
    path.write_bytes(b'{"image": "a", "results": "o", "status": "done"}\n' + content)
    with Manifest(path) as run:
        run.add(outcome("b"))
    assert [r["image"] for r in read(path).values()] == ["a", "b"]
    aside = tmp_path / "manifest.jsonl.damaged"
    assert aside.read_bytes().endswith(content)
    assert str(aside) in run.note and run.problem == ""


def make_folder(path):
    path.mkdir()


def make_dangling_link(path):
    path.symlink_to("nothing")


def make_link_out(path):
    (path.parent / "precious").write_text("mine")
    path.symlink_to("precious")


@pytest.mark.parametrize(
    "make", [make_folder, make_dangling_link, make_link_out, os.mkfifo]
)
def test_something_else_of_its_name_ends_the_run_at_once(tmp_path, make):
    path = tmp_path / "manifest.jsonl"
    make(path)
    with pytest.raises(files.OutputError) as info:
        Manifest(path)
    assert str(info.value).startswith(f"{path}: is a ")
    assert "move it away" in str(info.value) and "\n" not in str(info.value)


def test_a_line_without_results_is_none(tmp_path):
    lines = '{"image": "b", "results": 3}\n{"image": "c"}\n'
    (tmp_path / "manifest.jsonl").write_text(lines)
    assert manifest.read_folder(tmp_path) == {}


def test_a_manifest_of_another_run_that_cannot_be_read_is_named(tmp_path):
    other = tmp_path / "manifest-0-of-2.jsonl"
    other.mkdir()
    with pytest.raises(files.OutputError) as info:
        manifest.read_folder(tmp_path)
    assert str(info.value) == f"{other}: cannot be read: is a folder"


def test_it_may_be_read_by_those_who_may_read_the_results(tmp_path):
    path, before = tmp_path / "manifest.jsonl", os.umask(0o022)
    try:
        with Manifest(path) as run:
            run.add(outcome("a", "failed", "x"))
            run.add(outcome("a"))
    finally:
        os.umask(before)
    assert path.stat().st_mode & 0o777 == 0o644
