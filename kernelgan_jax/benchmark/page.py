"""A page of pictures: HR, LR, and each system's image and kernel side by side."""

import html
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from kernelgan_jax import crops, images, kernel_files
from kernelgan_jax.benchmark.evaluate import Row, Store
from kernelgan_jax.benchmark.systems import System
from kernelgan_jax.benchmark.testset import Case

CROP = 96
"""Side of what is shown of an image, HR pixels: its most textured part."""

_STYLE = """
body { font: 14px/1.4 system-ui, sans-serif; margin: 2em; color: #222 }
.image { display: flex; flex-wrap: wrap; gap: 12px; margin: 0 0 2em }
figure { margin: 0; width: 192px }
figcaption { font-size: 12px }
img { width: 192px; image-rendering: pixelated; display: block }
img.kernel { width: 96px; margin-top: 4px }
"""


def write(
    path: Path,
    store: Store,
    rows: Sequence[Row],
    systems: Sequence[System],
    cases: Sequence[Case],
) -> None:
    """Writes the page of one scale, and its pictures beside.

    Args:
      path: Of the page, `NAME.html`; its pictures go to `NAME_pictures/`.
      store: Where kernels and images are kept.
      rows: What was measured.
      systems: The order of the columns.
      cases: The images.

    Raises:
      OSError: If it cannot be written.
    """
    folder = path.with_name(f"{path.stem}_pictures")
    folder.mkdir(parents=True, exist_ok=True)
    measured = {(row["kind"], row["system"], row["image"]): row for row in rows
                if row["seed"] == 0}  # fmt: skip
    parts = []
    for case in cases:
        hr, lr = images.to_unit(case.hr()), images.to_unit(case.lr())
        place = _place(hr, case.scale)
        figures = [
            _figure(folder, f"{case.name}-hr", "HR", hr[place], case.hr_path)
            + _kernel(folder, f"{case.name}-true", case.kernel(), "true kernel"),
            _figure(folder, f"{case.name}-lr", "LR", _enlarged(lr, place, case.scale),
                    case.lr_path),
        ]  # fmt: skip
        for system in systems:
            row = measured.get(("sr", system.name, case.name))
            said, picture = html.escape(system.title), ""
            if row is not None:
                file = store.image_file(system.name, case, 0)
                said += f"<br>{row['psnr_y']:.2f} dB, SSIM {row['ssim_y']:.4f}"
                sr = images.to_unit(images.read(file).pixels)
                name = f"{case.name}-{system.name}"
                picture = _figure(folder, name, said, sr[place], file)
            kernel = ""
            if system.estimator is not None:
                name = system.estimator.name
                row = measured.get(("kernel", name, case.name))
                if row is not None and row["kernel_psnr"] is not None:
                    file = store.kernel_file(name, case, 0, case.scale)
                    caption = f"{row['kernel_psnr']:.1f} dB"
                    caption += " (not converged)" if row["reason"] else ""
                    drawn = kernel_files.read(Path(f"{file}.npy"))
                    kernel = _kernel(folder, f"{case.name}-k-{name}", drawn, caption)
            if picture or kernel:
                figures.append((picture or f"<figcaption>{said}</figcaption>") + kernel)
        joined = "".join(f"<figure>{figure}</figure>" for figure in figures)
        parts.append(
            f'<h2>{html.escape(case.name)}</h2>\n<div class="image">{joined}</div>'
        )
    title = f"Super-resolution by {cases[0].scale}" if cases else "No images"
    path.write_text(
        f'<!doctype html>\n<html lang="en"><meta charset="utf-8"><title>{title}</title>'
        f"<style>{_STYLE}</style>\n<h1>{title}</h1>\n<p>Crops of {CROP} HR pixels, "
        "seed 0; a picture opens the whole image. Kernels are drawn from 0 to their "
        "largest value.</p>\n" + "\n".join(parts) + "\n</html>\n"
    )


def _place(hr: np.ndarray, scale: int) -> tuple[slice, slice]:
    """The most textured square, at LR pixels' edges."""
    side = min(CROP, *hr.shape[:2]) // (2 * scale) * 2 * scale
    rows, columns = crops.training_window(hr, 0, side**2, side)
    top, left = (part.start // scale * scale for part in (rows, columns))
    return slice(top, top + side), slice(left, left + side)


def _enlarged(lr: np.ndarray, place: tuple[slice, slice], scale: int) -> np.ndarray:
    rows, columns = (slice(p.start // scale, p.stop // scale) for p in place)
    return lr[rows, columns].repeat(scale, 0).repeat(scale, 1)


def _figure(folder: Path, name: str, said: str, pixels: np.ndarray, whole: Path) -> str:
    stored = images.from_unit(pixels, np.uint8)
    images.write_png(folder / f"{name}.png", images.Image(stored, None, None, None, ""))
    link = html.escape(os.path.relpath(whole, folder.parent))
    source = html.escape(f"{folder.name}/{name}.png")
    return (
        f'<a href="{link}"><img src="{source}" alt=""></a>'
        f"<figcaption>{said}</figcaption>"
    )


def _kernel(folder: Path, name: str, kernel: np.ndarray, said: str) -> str:
    from matplotlib import colormaps  # Slow to import.

    drawn: Any = colormaps["magma"](np.clip(kernel / kernel.max(), 0, 1))[..., :3]
    stored = images.from_unit(drawn, np.uint8)
    images.write_png(folder / f"{name}.png", images.Image(stored, None, None, None, ""))
    source = html.escape(f"{folder.name}/{name}.png")
    return f'<img class="kernel" src="{source}" alt=""><figcaption>{said}</figcaption>'
