"""Runs the command over many small images, kills it often, and counts what is lost.

    python benchmarks/soak.py --images=10000 --kills=20
    python benchmarks/soak.py --images=200 --kills=0 --ray

One image in a hundred is broken: empty, cut off, text, a pipe, or a link to nothing. A
run is killed with SIGKILL each time that it has done its share of the images, and the
same command goes on; with `--ray`, one worker is killed instead. In the end every good
image must have its right result, every image one line in the manifest, and nothing
hidden may be left. The kernel is the bicubic one and the super-resolution bicubic, so
that the time is that of everything else.
"""

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image as pillow

from kernelgan_jax.pixels import from_unit, to_unit
from kernelgan_jax.resize import bicubic_resize

ROOT = Path(__file__).parents[1]
SIDE = 24
"""Pixels at each side of an image."""
MARK = "KERNELGAN_SOAK"
"""Environment variable by which the processes of this program's runs are known."""
BROKEN_EVERY = 100
"""One image in so many is broken."""


def pixels_of(number: int) -> np.ndarray:
    """The pixels of an image; each image has its own."""
    rng = np.random.default_rng(number)
    return rng.integers(0, 256, (SIDE, SIDE, 3), dtype=np.uint8)


def make_images(folder: Path, count: int) -> set[str]:
    """Writes the images; returns the names of the broken ones."""
    broken = set()
    for number in range(count):
        path = folder / f"{number:06d}.png"
        pillow.fromarray(pixels_of(number)).save(path, compress_level=1)
        if number % BROKEN_EVERY == BROKEN_EVERY // 2:
            broken.add(path.stem)
            break_image(path, number // BROKEN_EVERY % 5)
    return broken


def break_image(path: Path, how: int) -> None:
    """Makes an image one of five things that are none."""
    data = path.read_bytes()
    path.unlink()
    if how == 0:
        path.write_bytes(b"")
    elif how == 1:
        path.write_bytes(data[: len(data) // 2])
    elif how == 2:
        path.write_text("no image")
    elif how == 3:
        os.mkfifo(path)
    else:
        path.symlink_to("nothing")


class Run:
    """One call of the command, watched from outside."""

    def __init__(self, images: Path, out: Path, *, ray: bool):
        flags = [
            f"--image={images}",
            f"--output_dir={out}",
            "--sr=bicubic",
            "--sr_kernel=bicubic",
            "--nofigures",
            "--quiet",
        ]
        self.out = out
        self.process = subprocess.Popen(
            [sys.executable, ROOT / "main.py", *flags, *(["--cluster=ray"] * ray)],
            env=os.environ
            | {"PYTHONPATH": str(ROOT), "JAX_PLATFORMS": "cpu", MARK: str(os.getpid())},
            stderr=subprocess.PIPE,
            text=True,
        )
        self.peak = self.descriptors = 0

    def watch(self) -> Iterator[int]:
        """The number of finished images, now and then, until the run ends."""
        proc = Path("/proc") / str(self.process.pid)
        while self.process.poll() is None:
            try:
                status = (proc / "status").read_text()
                if "VmHWM:" in status:
                    peak = int(status.split("VmHWM:")[1].split()[0]) // 1024
                    self.peak = max(self.peak, peak)
                self.descriptors = max(self.descriptors, len(os.listdir(proc / "fd")))
            except (OSError, IndexError):
                pass
            yield count_results(self.out)
            time.sleep(0.2)


def count_results(out: Path) -> int:
    """The number of folders with a report."""
    if not out.exists():
        return 0
    return sum(os.path.exists(f"{out}/{name}/report.json") for name in os.listdir(out))


def kill_a_ray_worker() -> bool:
    """Kills one worker that this program's run has started; whether there was one."""
    own = f"{MARK}={os.getpid()}\0".encode()
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if own not in (process / "environ").read_bytes():
                continue
            if (process / "cmdline").read_bytes().startswith(b"ray::_work"):
                os.kill(int(process.name), signal.SIGKILL)
                return True
        except OSError:
            continue
    return False


def lost(out: Path, count: int, broken: set[str]) -> list[str]:
    """What is missing, wrong, or left over."""
    problems = []
    lines = (out / "manifest.jsonl").read_text().splitlines()
    records = {Path(r["image"]).stem: r for r in map(json.loads, lines)}
    if len(lines) != len(records):
        problems.append(f"{len(lines)} lines for {len(records)} images")
    for number in range(count):
        name = f"{number:06d}"
        if name in broken:
            if (out / name / "report.json").exists():
                problems.append(f"{name}: a result of a broken image")
            continue
        if records.get(name, {}).get("status") != "done":
            problems.append(f"{name}: no line in the manifest")
        try:
            with pillow.open(out / name / "sr_x2.png") as image:
                found = np.asarray(image)
        except OSError:
            problems.append(f"{name}: no result")
            continue
        enlarged = bicubic_resize(to_unit(pixels_of(number)), 2)
        if np.abs(found.astype(int) - from_unit(enlarged, np.uint8)).max() > 1:
            problems.append(f"{name}: a wrong result")
    hidden = [path.name for path in out.iterdir() if path.name.startswith(".")]
    return problems + [f"left over: {name}" for name in hidden]


def main() -> int:
    """Runs the soak; the exit status is 1 if anything was lost."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=10000)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--ray", action="store_true")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        images, out = Path(folder) / "images", Path(folder) / "out"
        images.mkdir()
        broken = make_images(images, arguments.images)
        good = arguments.images - len(broken)
        peak = descriptors = kills = workers = 0
        first = time.perf_counter()
        while True:
            run = Run(images, out, ray=arguments.ray)
            target = good * (kills + 1) // (arguments.kills + 1)
            for done in run.watch():
                if kills < arguments.kills and done >= target:
                    run.process.kill()
                    kills += 1
                    break
                if arguments.ray and not workers and done > good // 4:
                    workers += kill_a_ray_worker()
            _, errors = run.process.communicate()
            peak = max(peak, run.peak)
            descriptors = max(descriptors, run.descriptors)
            if run.process.returncode != -signal.SIGKILL:
                break
        seconds = time.perf_counter() - first
        started = time.perf_counter()
        again = Run(images, out, ray=False)
        again.process.communicate()
        resumed = time.perf_counter() - started
        problems = lost(out, arguments.images, broken)
    reported = sum(line.startswith("error: ") for line in errors.splitlines())
    print(
        f"{arguments.images} images, {len(broken)} of them broken ({reported} errors "
        f"in the last run), {kills} kills, {workers} Ray workers killed: "
        f"{seconds:.0f} s, "
        f"{arguments.images / seconds:.1f} images/s with all starts; finished before: "
        f"{resumed:.0f} s; peak memory {peak} MB, {descriptors} descriptors; "
        f"lost: {len(problems)}"
    )
    for problem in problems[:20]:
        print(problem)
    return 1 if problems or reported < len(broken) else 0


if __name__ == "__main__":
    sys.exit(main())
