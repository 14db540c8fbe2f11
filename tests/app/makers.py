"""Results as the pipeline makes them, without estimation, for several test files."""

from pathlib import Path

import helpers
import numpy as np

from kernelgan_jax import blur_kernels, kernels
from kernelgan_jax.app.files import Content
from kernelgan_jax.app.images.image_files import Image
from kernelgan_jax.app.job import Job, Task
from kernelgan_jax.app.report import Result, SuperResolved
from kernelgan_jax.config import Config
from kernelgan_jax.estimate import Confidence, Diagnostics, KernelEstimate
from kernelgan_jax.estimators.kernelgan.config import KernelGANConfig

KERNEL = blur_kernels.gaussian(15, variances=(4.0, 1.0), angle=np.pi / 6, scale=2)
KERNEL_X4 = kernels.kernel_x4(KERNEL)
SMALL = np.full((3, 3), 1 / 9)
CONTENT = Content(3, "0" * 64)
"""Size and digest of an image file."""

TINY = KernelGANConfig(**helpers.TINY_KERNELGAN)


def estimate(kernel=SMALL, *, failure="", confidence=None, loss=0.25, **fields):
    """An estimate as KernelGAN returns it; without losses if `loss` is None."""
    losses = {}
    if loss is not None:
        names = helpers.HISTORY_NAMES
        losses = {f"{name}_loss": np.full(7, loss, np.float32) for name in names}
    return KernelEstimate(
        kernel,
        fields.pop("scale", 2),
        failure=failure,
        confidence=confidence,
        diagnostics=Diagnostics(kernel, losses),
        **fields,
    )


def confidence(level="low", reason="a $reason"):
    """A confidence with an error that is infinite."""
    samples = np.stack([KERNEL, KERNEL.T])
    return Confidence(level, reason, 55.0, np.inf, 0.3, 0.1, 0.2, 5.0, samples)


def result(folder="out/a", *, name="a.png", pixels=None, **options):
    """A result of KernelGAN at scale 2, or at 4 with `x4=True`; see `estimate`."""
    if pixels is None:
        pixels = np.zeros((20, 30, 3), np.uint8)
    content = options.pop("content", CONTENT)
    settings = {"kernelgan": options.pop("settings", KernelGANConfig())}
    found = {"kernel": KERNEL}
    if options.pop("x4", False):
        settings["scale"] = 4
        found = {"kernel": KERNEL_X4, "scale": 4, "intermediate": ((2, KERNEL),)}
    return Result(
        task=Task(Path(name), Path(folder)),
        image=Image(pixels, note="a note"),
        job=Job(config=Config(estimator="kernelgan", **settings), seed=3),
        estimate=estimate(**(found | options)),
        seconds=12.345,
        fingerprint="f",
        content=content,
    )


def known(folder="out/a", *, kernel=KERNEL, source="$k.npy", pixels=None, note=""):
    """A result with a known kernel, super-resolved."""
    if pixels is None:
        pixels = np.zeros((20, 30, 3), np.uint8)
    return Result(
        task=Task(Path("a.png"), Path(folder)),
        image=Image(pixels),
        job=Job(config=Config(estimator="bicubic")),
        estimate=None,
        seconds=12.345,
        fingerprint="f",
        content=CONTENT,
        sr=SuperResolved(
            image=Image(pixels.repeat(2, 0).repeat(2, 1)),
            kernel=kernel,
            source=source,
            seconds=1.0,
            note=note,
        ),
    )


def tasks(folder, count, bad=()):
    """Tasks with image files, those in `bad` empty ones, and their output folder."""
    made = []
    for i in range(count):
        path = folder / f"{i}.png"
        helpers.write_image(path, helpers.noise(84, 84, 3, seed=i))
        if i in bad:
            path.write_bytes(b"")
        made.append(Task(path, folder / "out" / str(i)))
    (folder / "out").mkdir()
    return made


def error_line(capsys):
    """The only line that was printed, which is an error."""
    printed, errors = capsys.readouterr()
    assert printed == ""
    (line,) = errors.splitlines()
    assert line.startswith("error: ")
    return line.removeprefix("error: ")
