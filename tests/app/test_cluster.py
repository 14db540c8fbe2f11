"""The pipeline on a cluster, apart from what `test_faults.py` kills."""

import contextlib
import signal
import sys
from pathlib import Path

import pytest
from app import makers

import kernelgan_jax.app
from kernelgan_jax.app import cli
from kernelgan_jax.app.job import Job, Outcome, Task


def test_a_cluster_without_ray_is_one_line(monkeypatch, tmp_path, capsys):
    (task,) = makers.tasks(tmp_path, 1)
    monkeypatch.setitem(sys.modules, "ray", None)
    monkeypatch.delitem(sys.modules, "kernelgan_jax.app.cluster", raising=False)
    monkeypatch.delattr(kernelgan_jax.app, "cluster", raising=False)
    arguments = [str(task.path), f"--output_dir={tmp_path / 'r'}", "--cluster=ray"]
    assert cli.main(arguments) == 2
    assert 'pip install "kernelgan-jax[cluster]"' in makers.error_line(capsys)


class FakeRay:
    """Enough of Ray for `cluster._outcomes`: batches end in another order."""

    def __init__(self):
        self.cancelled = []

    def wait(self, references, num_returns):
        assert num_returns == 1
        return [references[-1]], references[:-1]

    def get(self, reference):
        return [Outcome(task, "done") for task in reference]

    def cancel(self, reference, force):
        assert force
        self.cancelled.append(reference)


@pytest.fixture
def cluster(monkeypatch):
    pytest.importorskip("ray")
    from kernelgan_jax.app import cluster

    monkeypatch.setattr(cluster, "ray", FakeRay())
    return cluster


def tasks(count):
    return [Task(Path(f"{i}.png"), Path("out") / str(i)) for i in range(count)]


def test_outcomes_come_as_batches_end_and_only_some_are_submitted(cluster):
    submitted, images = [], tasks(7)

    def submit(batch):
        submitted.append(len(batch))
        return tuple(batch)

    batches = (images[i : i + 2] for i in range(0, 7, 2))
    found = cluster._outcomes(batches, submit, 2)
    first = next(found)
    assert first.task == images[2]  # of the second batch
    assert submitted == [2, 2]
    found = [first, *found]
    assert sorted(o.task for o in found) == sorted(images)
    assert submitted == [2, 2, 2, 1]
    assert cluster.ray.cancelled == []


def test_closing_cancels_what_runs(cluster):
    images = tasks(6)
    batches = (images[i : i + 2] for i in range(0, 6, 2))
    found = cluster._outcomes(batches, tuple, 2)
    next(found)
    found.close()
    assert cluster.ray.cancelled == [tuple(images[:2])]


def test_a_worker_runs_the_pipeline(cluster, tmp_path, monkeypatch, estimation):
    made = makers.tasks(tmp_path, 3, bad=(1,))
    monkeypatch.setattr(
        "kernelgan_jax.app.compilation_cache.keep_compilations", lambda: None
    )
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    found = cluster._work(made, Job(figures=False), None)
    assert [outcome.status for outcome in found] == ["done", "failed", "done"]
    assert cluster._work(made, Job(figures=False), 1)[0].status == "kept"
    assert estimation.sizes == [2]


@pytest.mark.parametrize("fails", [False, True])
def test_ray_does_not_change_what_a_signal_does(cluster, fails):
    ray, before = cluster.ray, signal.getsignal(signal.SIGTERM)
    ray.is_initialized = lambda: False

    def init(**_):
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        if fails:
            raise RuntimeError

    ray.init = init
    ray.shutdown = lambda: None
    ray.cluster_resources = lambda: {"CPU": 2.0}
    expected = pytest.raises(RuntimeError) if fails else contextlib.nullcontext()
    try:
        with expected, cluster._cluster() as found:
            assert found == (2, False)
            assert signal.getsignal(signal.SIGTERM) == before
        assert signal.getsignal(signal.SIGTERM) == before
    finally:
        signal.signal(signal.SIGTERM, before)
