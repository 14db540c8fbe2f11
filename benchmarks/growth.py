"""Seconds and memory of the command against the size and the number of images.

    python benchmarks/growth.py
    python benchmarks/growth.py --megapixels=0.1,1,4 --sr=deep_wiener

Each row is a command of its own on mosaics of an example image (JPEG of quality 95, so
that files stay small), with compiled programs in the user's cache; the first row may
compile. `--counts` has rows of many images of 0.1 megapixels instead.
"""

import math
import pathlib
import subprocess
import sys
import tempfile

import numpy as np
from absl import app, flags
from PIL import Image as pillow

_IMAGE = flags.DEFINE_string("image", "examples/images/coffee.png", "What is repeated.")
_MEGAPIXELS = flags.DEFINE_list("megapixels", ["0.1", "1", "12", "48", "100"], "Sizes.")
_COUNTS = flags.DEFINE_list("counts", [], "Numbers of images, in place of sizes.")
_SR = flags.DEFINE_string("sr", "none", "Method; none for the kernel alone.")


def mosaic(megapixels: float) -> np.ndarray:
    """A mosaic of the example image, mirrored so that it has no seams, 4:3."""
    tile = np.asarray(pillow.open(_IMAGE.value).convert("RGB"))
    height = round(math.sqrt(megapixels * 1e6 * 3 / 4))
    width = round(4 / 3 * height)
    pads = [(0, max(side - n, 0)) for side, n in zip((height, width), tile.shape[:2],
                                                     strict=True)]  # fmt: skip
    return np.pad(tile, [*pads, (0, 0)], mode="symmetric")[:height, :width]


_CHILD = """
import resource, sys, time
from kernelgan_jax.app import cli
started = time.perf_counter()
status = cli.main(sys.argv[1:])
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
print(status, time.perf_counter() - started, peak)
"""


def measure(images: pathlib.Path, out: pathlib.Path) -> tuple[float, float]:
    """Seconds, without imports, and peak memory in MiB of a command."""
    command = [sys.executable, "-c", _CHILD, f"--image={images}", "--quiet"]
    command += [f"--output_dir={out}", f"--sr={_SR.value}", "--nofigures"]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    status, seconds, peak = done.stdout.splitlines()[-1].split()
    assert status == "0"
    return float(seconds), float(peak)


def main(_: list[str]) -> None:
    print("| images | megapixels each | seconds | seconds an image | peak MiB |")
    print("|---|---|---|---|---|")
    rows = [(1, float(size)) for size in _MEGAPIXELS.value]
    if _COUNTS.value:
        rows = [(int(count), 0.1) for count in _COUNTS.value]
    for count, size in rows:
        with tempfile.TemporaryDirectory() as folder:
            images = pathlib.Path(folder) / "images"
            images.mkdir()
            pixels = mosaic(size)
            for number in range(count):
                # Other bytes in each file.
                shifted = np.roll(pixels, 7 * number, 1)
                pillow.fromarray(shifted).save(images / f"{number}.jpg", quality=95)
            seconds, peak = measure(images, pathlib.Path(folder) / "out")
        each = seconds / count
        print(f"| {count} | {size:g} | {seconds:.1f} | {each:.2f} | {peak:.0f} |",
              flush=True)  # fmt: skip


if __name__ == "__main__":
    app.run(main)
