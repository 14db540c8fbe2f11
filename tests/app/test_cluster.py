"""The pipeline on a cluster, apart from what `test_faults.py` kills."""

import contextlib
import signal
import sys
from pathlib import Path
from types import SimpleNamespace

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
    """Enough of Ray for `cluster.process`: batches end in another order."""

    def __init__(self):
        self.submitted, self.cancelled, self.started = [], [], True
        self.work = None
        """What is done in place of the function that is handed to Ray."""

    def is_initialized(self):
        return self.started

    def cluster_resources(self):
        return {"CPU": 1.0}

    def put(self, job):
        return job

    def remote(self, function):
        def submit(batch, *arguments):
            self.submitted.append(tuple(batch))
            return tuple(batch), *arguments

        self.work = self.work or function
        self.options = {}
        handle = SimpleNamespace(remote=submit)
        return SimpleNamespace(options=lambda **o: self.options.update(o) or handle)

    def wait(self, references, num_returns):
        assert num_returns == 1
        return [references[-1]], references[:-1]

    def get(self, reference):
        return self.work(*reference)

    def cancel(self, reference, force):
        assert force
        self.cancelled.append(reference[0])


def done(batch, job, batch_size):
    return [Outcome(task, "done") for task in batch]


@pytest.fixture
def cluster(monkeypatch):
    pytest.importorskip("ray")
    from kernelgan_jax.app import cluster

    monkeypatch.setattr(cluster, "ray", FakeRay())
    return cluster


def tasks(count):
    names = [Path(f"{i}.png").absolute() for i in range(count)]
    return [Task(path, path.with_suffix("")) for path in names]


def test_outcomes_come_as_batches_end_and_only_some_are_submitted(cluster):
    images, ray = tasks(7), cluster.ray
    ray.work = done
    found = cluster.process(images, Job(), batch_size=2)
    first = next(found)
    assert first.task == images[2]  # of the second batch
    assert list(map(len, ray.submitted)) == [2, 2]
    found = [first, *found]
    assert sorted(o.task for o in found) == sorted(images)
    assert list(map(len, ray.submitted)) == [2, 2, 2, 1]
    assert ray.cancelled == []


def test_closing_cancels_what_runs(cluster):
    images = tasks(6)
    cluster.ray.work = done
    found = cluster.process(images, Job(), batch_size=2)
    next(found)
    found.close()
    assert cluster.ray.cancelled == [tuple(images[:2])]


def test_a_worker_runs_the_pipeline(cluster, tmp_path, monkeypatch, estimation):
    made = makers.tasks(tmp_path, 6, bad=(4,))
    monkeypatch.setattr(
        "kernelgan_jax.app.compilation_cache.keep_compilations", lambda: None
    )
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    found = list(cluster.process(made, Job(figures=False)))
    # Two batches of three; the worker takes as many at a time as its machine suits.
    assert [made.index(outcome.task) for outcome in found] == [3, 4, 5, 0, 1, 2]
    assert [o.status for o in found[:3]] == ["done", "failed", "done"]
    assert {o.status for o in found[3:]} == {"done"}
    assert estimation.sizes == [2, 2, 1]
    again = cluster.process(made[:1], Job(figures=False), batch_size=1)
    assert [outcome.status for outcome in again] == ["kept"]
    assert estimation.sizes == [2, 2, 1]


def test_images_are_named_as_they_were_given(
    cluster, tmp_path, monkeypatch, capsys, estimation
):
    makers.tasks(tmp_path, 1)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(
        "kernelgan_jax.app.compilation_cache.keep_compilations", lambda: None
    )
    flags = ["--nofigures", "--output_dir=out", "--cluster=ray"]
    assert cli.main(["0.png", *flags]) == 0
    (line,) = capsys.readouterr().out.splitlines()
    assert line.startswith("0.png: ") and line.endswith(" -> out/0")


@pytest.mark.parametrize("fails", [False, True])
def test_ray_does_not_change_what_a_signal_does(cluster, fails):
    ray, before = cluster.ray, signal.getsignal(signal.SIGTERM)
    ray.started = False

    def init(**_):
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        if fails:
            raise RuntimeError

    ray.init, ray.work = init, done
    ray.shutdown = lambda: None
    ray.cluster_resources = lambda: {"CPU": 2.0}
    expected = pytest.raises(RuntimeError) if fails else contextlib.nullcontext()
    found = cluster.process(tasks(5), Job(), batch_size=1)
    try:
        with expected:
            next(found)
            assert len(ray.submitted) == 4 and ray.options["num_gpus"] == 0
            assert signal.getsignal(signal.SIGTERM) == before
        found.close()
        assert signal.getsignal(signal.SIGTERM) == before
    finally:
        signal.signal(signal.SIGTERM, before)
