"""Reads thousands of damaged files of every kind; a crash of the process is noticed.

    python benchmarks/fuzz.py --count=5000
    python benchmarks/fuzz.py --count=100000 --only=k.mat --seed=7

The files are those of `tests/app/seeds.py` with bytes changed, cut out, doubled or
moved. They are read in a child process; if it dies, or raises anything but the errors
that a reader has, the file is kept and named.
"""

import argparse
import multiprocessing
import resource
import sys
import tempfile
import time
import traceback
import warnings
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

import helpers  # noqa: E402
from app import seeds  # noqa: E402

BATCH = 500
"""Files that one child reads."""


def read_many(name: str, seed: int, count: int, folder: Path) -> None:
    """Reads damaged files; the last one stays where it is."""
    warnings.simplefilter("ignore")
    rng = np.random.default_rng(seed)
    path, originals = folder / name, seeds.SEEDS[name]
    for i in range(count):
        path.write_bytes(helpers.mutated(originals[i % len(originals)], rng))
        try:
            seeds.read(path)
        except BaseException:
            traceback.print_exc()
            sys.exit(1)


def main() -> int:
    """Fuzzes all readers; the exit status is 1 if one crashed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=5000, help="files of each kind")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", choices=seeds.SEEDS)
    arguments = parser.parse_args()
    spawn, crashes = multiprocessing.get_context("spawn"), 0
    for name in [arguments.only] if arguments.only else seeds.SEEDS:
        started, bad = time.perf_counter(), 0
        for batch in range(0, arguments.count, BATCH):
            folder = Path(tempfile.mkdtemp(prefix="fuzz-"))
            count = min(BATCH, arguments.count - batch)
            seed = arguments.seed + batch
            child = spawn.Process(target=read_many, args=(name, seed, count, folder))
            child.start()
            child.join()
            if child.exitcode:
                bad += 1
                print(f"{folder / name}: exit status {child.exitcode}")
            else:
                (folder / name).unlink()
                folder.rmdir()
        crashes += bad
        seconds = time.perf_counter() - started
        print(f"{name}: {arguments.count} files, {bad} crashes, {seconds:.0f} s")
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss // 1024
    print(f"peak memory of a child {peak} MB")
    return 1 if crashes else 0


if __name__ == "__main__":
    sys.exit(main())
