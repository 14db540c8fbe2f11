"""What the second look at kernels changes, with kernels of several kinds.

    python benchmarks/second_look.py --images=PATH/kodakrk/hr --scale=2 \
        --protocols=unsharp,narrow,liang,bicubic,liang+jpeg75,liang+noise5

Printed, as a table in Markdown: gains of PSNR-Y over bicubic enlargement, dB, without
and with the second look (`estimators/spectral/second_look.py`), and with the true
kernel; and kernel PSNR.
"""

import io
import time
from pathlib import Path
from unittest import mock

import jax
import numpy as np
from absl import app, flags
from PIL import Image

from kernelgan_jax import estimate_spectral, metrics, super_resolve
from kernelgan_jax.app.resources import machine
from kernelgan_jax.benchmark.protocols import PROTOCOLS
from kernelgan_jax.degradation import downscale
from kernelgan_jax.estimators.spectral import second_look
from kernelgan_jax.pixels import from_unit, to_unit
from kernelgan_jax.resize import bicubic_resize

KERNEL_NOISE = {"div2krk": 0.25}
"""Multiplicative noise of the kernels, by protocol; none in the others."""

MOST = 90.0
"""Kernel PSNR of kernels that are exactly right, dB."""

_IMAGES = flags.DEFINE_string("images", None, "A folder of HR images.", required=True)
_PROTOCOLS = flags.DEFINE_list(
    "protocols",
    ["unsharp", "narrow", "liang", "disk", "motion", "bicubic"],
    "Protocols of `degrade`; `+jpeg75` and `+noise5` compress, and add noise.",
)
_SCALE = flags.DEFINE_integer("scale", 2, "The scale.")


def degraded(
    hr: np.ndarray, number: int, protocol: str
) -> tuple[np.ndarray, np.ndarray]:
    """The LR image, uint8, and its kernel."""
    scale = _SCALE.value
    rng = np.random.default_rng([5, number, scale])
    name, _, fault = protocol.partition("+")
    noise = KERNEL_NOISE.get(name, 0.0)
    kernel = PROTOCOLS[name].draw(rng, scale, noise).astype(np.float32)
    lr = downscale(hr, kernel, scale)
    if fault.startswith("noise"):
        lr = lr + rng.normal(size=lr.shape) * float(fault[5:]) / 255
    pixels = from_unit(np.clip(lr, 0, 1), np.uint8)
    if fault.startswith("jpeg"):
        file = io.BytesIO()
        Image.fromarray(pixels).save(file, "JPEG", quality=int(fault[4:]))
        pixels = np.asarray(Image.open(file))
    return pixels, kernel


def row(file: Path, number: int, protocol: str) -> list[float]:
    """Gains without and with it, and of the true kernel; whether another kernel is
    taken; kernel PSNR without and with it."""
    scale = _SCALE.value
    hr = to_unit(np.asarray(Image.open(file).convert("RGB")))
    hr = hr[: hr.shape[0] // scale * scale, : hr.shape[1] // scale * scale]
    lr, true = degraded(hr, number, protocol)
    with mock.patch.object(second_look, "look", lambda *_, **__: None):
        without = estimate_spectral(lr, scale=scale)
    found = estimate_spectral(lr, scale=scale)
    changed = found.evidence.by_picture
    key, known = jax.random.key(0), {"scale": scale, "evidence": without.evidence}
    first = super_resolve(key, lr, without)
    pictures = [
        np.clip(bicubic_resize(to_unit(lr), scale), 0, 1),
        first,
        super_resolve(key, lr, found) if changed else first,
        super_resolve(key, lr, true, **known),
    ]
    base, *values = (metrics.psnr_y(each, hr, scale=scale) for each in pictures)
    kernels = (
        min(metrics.kernel_psnr(each.kernel, true, scale=scale), MOST)
        for each in (without, found)
    )
    return [*(value - base for value in values), changed, *kernels]


def main(argv: list[str]) -> None:
    del argv
    kinds = (".jpg", ".png", ".tif")
    files = sorted(f for f in Path(_IMAGES.value).iterdir() if f.suffix in kinds)
    print(f"{machine()}, {time.strftime('%Y-%m-%d')}\n")
    print(
        f"| x{_SCALE.value}, {len(files)} images | gain without: mean, worst "
        "| with the second look | true kernel | other kernels | kernel PSNR without, "
        "with |\n|---|---|---|---|---|---|"
    )
    for protocol in _PROTOCOLS.value:
        rows = np.array([row(f, n, protocol) for n, f in enumerate(files)])
        without, found, true, changed, *psnr = rows.T
        print(
            f"| {protocol} | {without.mean():+.2f}, {without.min():+.2f} "
            f"| {found.mean():+.2f}, {found.min():+.2f} | {true.mean():+.2f} "
            f"| {int(changed.sum())} | {psnr[0].mean():.2f}, {psnr[1].mean():.2f} |",
            flush=True,
        )


if __name__ == "__main__":
    app.run(main)
