"""Many images: order, resuming, what fails alone, the manifest, the flags for it."""

import json
import os
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as pillow

import kernelgan_jax
from kernelgan_jax.app.manifest import Manifest, read
from kernelgan_jax.app.pipeline import Job, Outcome, Task
from kernelgan_jax.app.resources import batch_size
from kernelgan_jax.config import Config, SRConfig
from kernelgan_jax.estimate import KernelEstimate
from kernelgan_jax.parallel import worker_count
from kernelgan_jax.app import cli
from kernelgan_jax.app import pipeline
from kernelgan_jax.estimators import run

KERNEL = np.full((3, 3), 1 / 9)
NAMES = "generator discriminator bicubic sum boundary centre sparsity".split()
ESTIMATE = KernelEstimate(
    KERNEL, None, KERNEL, {f"{name}_loss": np.ones(3) for name in NAMES}, True, ""
)
JOB = Job(Config(iterations=3, sr=SRConfig(method="none")), figures=False)


@pytest.fixture(autouse=True)
def no_cache(monkeypatch):
    monkeypatch.setattr(cli, "keep_compilations", lambda: None)


@pytest.fixture
def trained(monkeypatch):
    """Training is not done; the sizes of its batches are kept."""
    sizes = []

    def train(prepared, config, **_):
        sizes.append(len(prepared))
        return [ESTIMATE] * len(prepared)

    monkeypatch.setattr(run, "find", train)
    return sizes


def make_tasks(folder, count, bad=()):
    tasks = []
    for i in range(count):
        path = folder / f"{i}.png"
        pixels = np.random.default_rng(i).integers(0, 256, (84, 84, 3), np.uint8)
        pillow.fromarray(pixels).save(path)
        if i in bad:
            path.write_bytes(b"")
        tasks.append(Task(path, folder / "out" / str(i)))
    (folder / "out").mkdir()
    return tasks


def statuses(tasks, job=JOB, batch_size=2):
    return [o.status for o in pipeline.process(tasks, job, batch_size=batch_size)]


def test_outcomes_are_in_order_and_batches_are_full(tmp_path, trained):
    tasks = make_tasks(tmp_path, 8, bad=(0, 3))
    outcomes = list(pipeline.process(tasks, JOB, batch_size=4))
    assert [outcome.task for outcome in outcomes] == tasks
    assert [i for i, o in enumerate(outcomes) if o.status == "failed"] == [0, 3]
    assert trained == [4, 2]
    assert statuses(tasks) == [o.status.replace("done", "kept") for o in outcomes]
    assert trained == [4, 2]


def test_what_is_done_again(tmp_path, trained):
    tasks = make_tasks(tmp_path, 3)
    assert statuses(tasks) == ["done"] * 3
    assert statuses(tasks) == ["kept"] * 3
    (tasks[0].folder / "kernel_x2.mat").unlink()
    (tasks[1].folder / "report.json").write_text("{")
    assert statuses(tasks) == ["done", "done", "kept"]
    os.utime(tasks[2].path, ns=(0, 0))
    assert statuses(tasks) == ["kept", "kept", "done"]
    for job in (
        Job(JOB.config, seed=1, figures=False),
        Job(Config(iterations=4, sr=JOB.config.sr), figures=False),
        Job(JOB.config, figures=False, resume=False),
    ):
        assert statuses(tasks, job) == ["done"] * 3


def test_a_known_kernel_is_part_of_the_settings(tmp_path):
    config = Config(sr=SRConfig(method="zssr_fast", iterations=10, channels=2))
    tasks = make_tasks(tmp_path, 1)
    for kernel, status in ((KERNEL, "done"), (KERNEL, "kept"), (KERNEL[1:], "done")):
        job = Job(config, kernel=kernel, kernel_source="k.npy", figures=False)
        assert statuses(tasks, job) == [status]


def test_files_are_read_ahead_but_not_far(tmp_path, monkeypatch, trained):
    tasks = make_tasks(tmp_path, 20)
    read_image, seen = pipeline.images.read, []

    def reading(path):
        seen.append(path)
        return read_image(path)

    monkeypatch.setattr(pipeline.images, "read", reading)
    outcomes = pipeline.process(tasks, JOB, batch_size=2)
    next(outcomes)
    time.sleep(0.5)
    assert 4 <= len(seen) <= 10
    outcomes.close()


def test_closing_ends_the_threads(tmp_path):
    tasks = make_tasks(tmp_path, 6)
    before = threading.active_count()
    small = {"iterations": 50, "discriminator_channels": 2, "discriminator_blocks": 1}
    outcomes = pipeline.process(
        tasks, Job(Config(generator_kernels=(5, 3), **small)), batch_size=1
    )
    next(outcomes)
    outcomes.close()
    for _ in range(600):
        if threading.active_count() <= before:
            return
        time.sleep(0.1)
    pytest.fail("threads are left")


def test_batch_sizes(monkeypatch):
    assert batch_size(Config()) == worker_count()
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    assert batch_size(Config()) == 3
    available = "kernelgan_jax.super_resolution.available_memory"
    monkeypatch.setattr(available, lambda: 0)
    assert batch_size(Config()) == 1


class FakeDevice:
    platform = "gpu"

    def memory_stats(self):
        return {"bytes_limit": 90, "bytes_in_use": 10}


@pytest.mark.parametrize("each, expected", [(61, 2), (20, 4), (15, 8), (0.01, 512)])
def test_batch_sizes_of_devices_fit_their_memory(monkeypatch, each, expected):
    monkeypatch.setattr(pipeline.jax, "local_devices", lambda: [FakeDevice()] * 2)
    monkeypatch.setattr(run, "device_bytes", lambda config: each)
    assert batch_size(Config()) == expected


# --- The manifest ---


def outcome(name, status="done", error=""):
    return Outcome(Task(Path(name), Path("out") / name), status, 1.5, error)


def test_manifest_survives_a_line_that_was_cut_off(tmp_path):
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


# --- Results at a URL ---


@pytest.mark.filterwarnings("ignore")
def test_results_at_a_url(tmp_path, trained, capsys):
    upath = pytest.importorskip("upath")
    make_tasks(tmp_path, 3, bad=(1,))
    url = "memory://bucket/results"
    arguments = [f"--image={tmp_path}", f"--output_dir={url}", "--sr=none"]
    for again in (False, True):
        assert cli.main(arguments) == 1
        assert ("2 finished before" in capsys.readouterr().out) == again
    assert sum(trained) == 2
    found = upath.UPath(url)
    assert sorted(p.name for p in (found / "0").iterdir()) == [
        "kernel.png", "kernel_x2.mat", "kernel_x2.npy", "report.json",
    ]  # fmt: skip
    assert sorted(p.name for p in found.iterdir()) == ["0", "2", "manifest.jsonl"]
    np.testing.assert_array_equal(
        np.load((found / "2" / "kernel_x2.npy").open("rb")), KERNEL
    )
    records = read(found / "manifest.jsonl")
    assert [r["status"] for r in records.values()] == ["done", "failed", "done"]


def test_an_unknown_url_is_one_line(capsys):
    assert cli.main(["a.png", "--output_dir=nowhere://x"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: --output_dir=nowhere://x: ")


# --- Flags ---


def test_shards_make_the_whole(tmp_path, trained, capsys):
    tasks = make_tasks(tmp_path, 5)
    out = f"--output_dir={tmp_path / 'results'}"
    for part in range(2):
        arguments = [f"--image={tmp_path}", out, "--sr=none", f"--shard={part}/2"]
        assert cli.main([*arguments, "--nofigures"]) == 0
    names = []
    for part in range(2):
        records = read(tmp_path / "results" / f"manifest-{part}-of-2.jsonl")
        names += [Path(image).name for image in records]
    assert sorted(names) == [task.path.name for task in tasks]
    assert sum(trained) == 5


@pytest.mark.parametrize(
    "flag",
    ["--batch_size=0", "--batch_size=x", "--shard=2/2", "--shard=1", "--cluster=k8s"],
)
def test_bad_flags_are_one_line(flag, capsys):
    assert cli.main([flag, "a.png"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"error: {flag.split('=')[0]}") or "cluster" in line


def test_a_cluster_without_ray_is_one_line(monkeypatch, tmp_path, capsys):
    (task,) = make_tasks(tmp_path, 1)
    monkeypatch.setitem(sys.modules, "ray", None)
    monkeypatch.delitem(sys.modules, "kernelgan_jax.cluster", raising=False)
    monkeypatch.delattr(kernelgan_jax, "cluster", raising=False)
    arguments = [str(task.path), f"--output_dir={tmp_path / 'r'}", "--cluster=ray"]
    assert cli.main(arguments) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert 'pip install "kernelgan-jax[cluster]"' in line
