"""`manifest.jsonl`: one line per image, whatever happens to the run."""

import json
from pathlib import Path

from kernelgan_jax.app.job import Outcome, Summary, Task
from kernelgan_jax.app.manifest import Manifest, read


def outcome(name, status="done", error="", failure=None):
    task = Task(Path(name), Path("out") / name)
    summary = Summary(*task, "-", "-", 1.5, failure)
    return Outcome(task, status, 1.5, error, summary)


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
    assert [r["image"] for r in records] == ["a", "b", "d"]
    assert [r["status"] for r in records] == ["done"] * 3
    assert [r["seconds"] for r in records] == [1.5, 1.5, 1.5]
    assert read(path)["a"]["error"] == ""
    assert [p.name for p in tmp_path.iterdir()] == ["manifest.jsonl"]


def test_what_a_line_has(tmp_path):
    path = tmp_path / "manifest.jsonl"
    with Manifest(path) as manifest:
        manifest.add(outcome("a", failure=""))
        manifest.add(outcome("b", failure="it diverged"))
        manifest.add(outcome("c"))
        manifest.add(outcome("d", "failed", "d: is empty"))
    assert read(path)["a"] == {
        "image": "a",
        "results": str(Path("out/a")),
        "status": "done",
        "seconds": 1.5,
        "error": "",
        "converged": True,
    }
    assert read(path)["b"]["converged"] is False
    assert "converged" not in read(path)["c"]
    assert (read(path)["d"]["status"], read(path)["d"]["error"]) == (
        "failed",
        "d: is empty",
    )


def test_no_images_no_manifest(tmp_path):
    with Manifest(tmp_path / "manifest.jsonl"):
        pass
    assert list(tmp_path.iterdir()) == []
    assert read(tmp_path / "manifest.jsonl") == {}
