"""Several images at a time on a CPU."""

import threading

import pytest

from kernelgan_jax.estimate import Progress
from kernelgan_jax.parallel import map_images, side_by_side, worker_count


def test_results_are_in_order_whatever_ends_first():
    gates = [threading.Event() for _ in range(2)]

    def function(index, item, report):
        if index == 0 and worker_count() > 1:
            assert gates[1].wait(30)
        gates[index].set()
        return 10 * item

    assert map_images(function, [1, 2]) == [10, 20]


def test_progress_reaches_the_caller():
    seen = []

    def function(index, item, report):
        report(Progress(index, "work", item, 9))

    map_images(function, [3, 4, 5], progress=seen.append)
    assert sorted(done.step for done in seen) == [3, 4, 5]
    map_images(function, [3, 4])  # nobody listens


def test_an_error_ends_the_work_on_all():
    def function(index, item, report):
        if item == "bad":
            raise ValueError("bad")
        report(Progress(index, "work", 0, 1))
        return item

    for items in (["bad"], ["good", "bad", *["good"] * 50]):
        with pytest.raises(ValueError, match="bad"):
            map_images(function, items)


@pytest.mark.parametrize("cores", ["1", "2"])
def test_side_by_side(monkeypatch, cores):
    monkeypatch.setenv("OMP_NUM_THREADS", cores)
    threads = side_by_side(threading.get_ident, threading.get_ident)
    assert threads[0] == threading.get_ident()
    assert (threads[0] == threads[1]) == (cores == "1")
    for pair in ((len, dict), (dict, len)):  # len() of nothing is an error
        with pytest.raises(TypeError):
            side_by_side(*pair)


def test_one_at_a_time_runs_in_the_callers_thread():
    threads = map_images(lambda *_: threading.get_ident(), [1, 2], workers=1)
    assert threads == [threading.get_ident()] * 2


@pytest.mark.parametrize(("value", "expected"), [("3", 3), ("0", 1)])
def test_clusters_set_the_number_of_workers(monkeypatch, value, expected):
    monkeypatch.setenv("OMP_NUM_THREADS", value)
    assert worker_count() == expected
    monkeypatch.setenv("OMP_NUM_THREADS", "many")
    assert worker_count() >= 1
