"""Killed runs: no image is missing, none comes twice, and all results are right."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from dataclasses import asdict
from pathlib import Path

import helpers
import jax
import numpy as np
import pytest

from kernelgan_jax import estimate_kernels
from kernelgan_jax.app import cli
from kernelgan_jax.app.images import image_files
from kernelgan_jax.app.job import Job, Outcome, Task
from kernelgan_jax.estimators.kernelgan.config import KernelGANConfig

SETTINGS = helpers.TINY_KERNELGAN | {"iterations": 10}
FLAGS = [
    "--config.estimator=kernelgan",
    *helpers.flags("kernelgan", SETTINGS),
    "--sr=none",
    "--nofigures",
]
COUNT = 18
"""Images."""
BAD = {"05": b"\x89PNG\r\n\x1a\nrubbish", "12": b"", "17": None}
"""Images that cannot be used: corrupt, empty, too small."""
GOOD = COUNT - len(BAD)

pytestmark = [
    pytest.mark.filterwarnings("ignore"),
    pytest.mark.skipif(not Path("/proc").exists(), reason="looks for processes"),
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Image files, the bad ones among them."""
    folder = tmp_path_factory.mktemp("images")
    for i in range(COUNT):
        path = folder / f"{i:02d}.png"
        side = 20 if BAD.get(path.stem, b"") is None else 90
        helpers.write_image(path, helpers.noise(side, side, 3, seed=i))
        if BAD.get(path.stem) is not None:
            path.write_bytes(BAD[path.stem])
    return folder


@pytest.fixture(scope="module")
def expected(folder):
    """The right kernels, by name."""
    paths = [p for p in sorted(folder.iterdir()) if p.stem not in BAD]
    found = estimate_kernels(
        jax.random.key(0),
        [image_files.read(path).pixels for path in paths],
        estimator="kernelgan",
        config=KernelGANConfig(**SETTINGS),
    )
    return {path.stem: e.kernel for path, e in zip(paths, found, strict=True)}


@pytest.fixture(scope="module")
def compiled():
    """Environment of other processes: what one of them compiles, the next ones have."""
    cache = jax.config.jax_compilation_cache_dir
    return {
        "PYTHONPATH": str(helpers.ROOT),
        "JAX_COMPILATION_CACHE_DIR": cache,
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
    }


def finished(out):
    # What was killed while it wrote leaves a hidden folder, which a later run clears.
    return {path.parent.name: path for path in out.glob("[!.]*/report.json")}


def wait_for(out, count, process=None):
    """Waits until so many images are finished, and some are not."""
    for _ in range(6000):
        done = finished(out)
        if len(done) >= count:
            assert len(done) < GOOD
            return done
        assert process is None or process.poll() is None, "it ended too early"
        time.sleep(0.05)
    pytest.fail("nothing is finished")


def check(out, expected):
    """All right results, clear errors for the others, none missing, none twice."""
    assert set(finished(out)) == set(expected)
    for name, kernel in expected.items():
        found = np.load(out / name / "kernel_x2.npy")
        np.testing.assert_array_equal(found, kernel, err_msg=name)
    lines = (out / "manifest.jsonl").read_text().splitlines()
    records = {Path(r["image"]).stem: r for r in map(json.loads, lines)}
    assert len(lines) == len(records) == COUNT
    for name, record in records.items():
        assert record["status"] == ("failed" if name in BAD else "done"), name
        assert (f"{name}.png: " in record["error"]) == (name in BAD)
    leftovers = [p.name for p in out.iterdir() if p.name.startswith(".manifest")]
    assert leftovers == []


def start(folder, out, environment):
    main = helpers.ROOT / "main.py"
    return subprocess.Popen(
        [sys.executable, main, f"--image={folder}", *FLAGS, f"--output_dir={out}"],
        env=os.environ | environment,
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        text=True,
    )


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_a_run_that_is_killed_goes_on(
    tmp_path, folder, expected, compiled, capsys, how
):
    out = tmp_path / "out"
    with start(folder, out, compiled) as process:
        wait_for(out, 6, process)
        process.send_signal(how)
        _, errors = process.communicate(timeout=120)
    if how == signal.SIGTERM:
        assert process.returncode == 143
        assert errors.splitlines()[-1].startswith("error: terminated; ")
    before = {name: path.stat().st_mtime_ns for name, path in finished(out).items()}
    assert 6 <= len(before) < GOOD
    assert cli.main([f"--image={folder}", *FLAGS, f"--output_dir={out}"]) == 1
    printed, errors = capsys.readouterr()
    assert len(errors.splitlines()) == len(BAD)
    assert (
        f"{GOOD - len(before)} of {COUNT} images done, {len(before)} finished before"
        in printed
    )
    check(out, expected)
    for name, changed in before.items():
        assert finished(out)[name].stat().st_mtime_ns == changed


def kill_a_worker(out, killed, ended):
    wait_for(out, 4)
    while not ended.is_set():
        for process in Path("/proc").glob("[0-9]*"):
            try:
                title = (process / "cmdline").read_bytes()
            except OSError:
                continue
            if title.startswith(b"ray::work"):
                os.kill(int(process.name), signal.SIGKILL)
                killed.append(process.name)
                return


@pytest.fixture
def ray(monkeypatch, compiled):
    """A cluster of two cores on this machine."""
    ray = pytest.importorskip("ray")
    for name, value in compiled.items():
        monkeypatch.setenv(name, value)
    ray.init(num_cpus=2, log_to_driver=False, include_dashboard=False)
    yield ray
    ray.shutdown()


def test_an_image_that_kills_its_workers_fails_alone(monkeypatch, ray):
    from kernelgan_jax.app import cluster

    def work(batch, job, batch_size):  # Nested, so that Ray sends its code.
        import os

        if any(task.path.name == "deadly.png" for task in batch):
            os.kill(os.getpid(), 9)
        return [Outcome(task, "done") for task in batch]

    monkeypatch.setattr(cluster, "work", work)
    names = ["a.png", "deadly.png", "b.png", "c.png", "d.png"]
    tasks = [Task(Path(name), Path("out") / name) for name in names]
    outcomes = list(cluster.process(tasks, Job(), batch_size=2))
    assert sorted(outcome.task for outcome in outcomes) == sorted(tasks)
    (failed,) = [o for o in outcomes if o.status == "failed"]
    assert failed.error == "deadly.png: its workers died (WorkerCrashedError)"


def test_a_ray_worker_that_is_killed_loses_nothing(
    tmp_path, folder, expected, capsys, ray
):
    out, killed, ended = tmp_path / "out", [], threading.Event()
    killer = threading.Thread(target=kill_a_worker, args=(out, killed, ended))
    killer.start()
    arguments = [f"--image={folder}", *FLAGS, f"--output_dir={out}"]
    try:
        assert cli.main([*arguments, "--cluster=ray"]) == 1
    finally:
        ended.set()
    killer.join()
    assert killed
    errors = capsys.readouterr().err.splitlines()
    assert len([line for line in errors if line.startswith("error: ")]) == len(BAD)
    check(out, expected)


def test_the_settings_of_the_flags_are_those_of_the_expected_kernels():
    from kernelgan_jax.app.flags import parse

    config = parse([*FLAGS, "a.png"]).job.config
    assert asdict(config.kernelgan) == asdict(KernelGANConfig(**SETTINGS))
