"""Times whole commands against the same work in a process that has done it before.

    python benchmarks/start_up.py --image=PATH/kodakrk/lr_x2/08.png

For the spectral kernel, the default (kernel and super-resolution) and KernelGAN's
kernel: a first command ever, which compiles everything; the best of a few that follow,
with its processor time; the same work in a warm process; and the imports alone.
Compiled programs go into a folder of this run, so that the first command finds none;
Python keeps its own, of modules, as it usually does.
"""

import os
import pathlib
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence

from absl import app, flags

_IMAGE = flags.DEFINE_string("image", None, "Image to time.", required=True)
_REPEATS = flags.DEFINE_integer("repeats", 3, "Commands after the first.", 1)
_ONLY = flags.DEFINE_list("only", [], "Rows to measure; all if empty.")

ROWS = {
    "spectral kernel": ["--config=x2", "--sr=none"],
    "default": ["--config=x2"],
    "KernelGAN": ["--config=x2_paper", "--sr=none"],
}
"""Flags of each row."""

_IN_PROCESS = """
import sys, time
from kernelgan_jax.app import cli
for number in range(3):
    started = time.perf_counter()
    cli.main([*sys.argv[1:], f"--output_dir={sys.argv[-1][13:]}/{number}", "--quiet"])
    seconds = time.perf_counter() - started
print(seconds)
"""


def run(command: Sequence[str], cache: str) -> tuple[float, float, str]:
    """Seconds, processor seconds and output of a process."""
    environment = os.environ | {"XDG_CACHE_HOME": cache}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    started = time.perf_counter()
    done = subprocess.run(
        command, check=True, capture_output=True, text=True, env=environment
    )
    seconds = time.perf_counter() - started
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return seconds, used, done.stdout


def main(_: list[str]) -> None:
    python = [sys.executable]
    imports = [*python, "-c", "import kernelgan_jax.app.run"]
    with tempfile.TemporaryDirectory() as folder:
        best = min(run(imports, folder)[0] for _ in range(_REPEATS.value))
        print(f"imports alone: {best:.2f} s\n")
        print("| | first command | command | its processor time | warm process |")
        print("|---|---|---|---|---|")
        for number, (name, chosen) in enumerate(ROWS.items()):
            if _ONLY.value and name not in _ONLY.value:
                continue
            cache = str(pathlib.Path(folder) / f"cache{number}")
            work = [*chosen, f"--image={_IMAGE.value}"]

            def out(number: int | str, row: int = number) -> str:
                return f"--output_dir={folder}/{row}_{number}"

            command = [*python, "-m", "kernelgan_jax", *work]
            first, *others = (
                run([*command, out(i)], cache) for i in range(1 + _REPEATS.value)
            )
            again = run([*python, "-c", _IN_PROCESS, *work, out("again")], cache)[2]
            seconds, used, _ = min(others)
            print(
                f"| {name} | {first[0]:.1f} s | {seconds:.2f} s | {used:.2f} s "
                f"| {float(again.splitlines()[-1]):.2f} s |",
                flush=True,
            )


if __name__ == "__main__":
    app.run(main)
