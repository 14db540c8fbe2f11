"""A page of pictures: HR, LR, and each system's image and kernel side by side."""

import html
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np

from kernelgan_jax import metrics
from kernelgan_jax.app import image_files
from kernelgan_jax.benchmark.evaluate import Evaluation, Row, Store
from kernelgan_jax.benchmark.systems import System
from kernelgan_jax.benchmark.testset import Case
from kernelgan_jax.pixels import from_unit, textured_window, to_unit

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


def write(path: Path, evaluation: Evaluation, systems: Sequence[System]) -> None:
    """Writes the page of one scale, and its pictures beside.

    Args:
      path: Of the page, `NAME.html`; its pictures go to `NAME_pictures/`.
      evaluation: What was measured; shown is seed 0.
      systems: The order of the columns.

    Raises:
      OSError: If it cannot be written.
    """
    store = evaluation.store
    page = _Page(path.with_name(f"{path.stem}_pictures"), store)
    page.folder.mkdir(parents=True, exist_ok=True)
    found = {
        (row["kind"], row["system"], row["image"]): row
        for row in evaluation.rows
        if row["seed"] == 0
    }
    parts = []
    for case in evaluation.cases:
        hr = to_unit(case.hr())
        place = _place(hr, case.scale)
        figures = [page.truth(case, hr[place]), page.lr(case, place)]
        for system in systems:
            sr = found.get(("sr", system.name, case.name))
            kernel = None
            if system.estimator is not None:
                kernel = found.get(("kernel", system.estimator.name, case.name))
            if sr is not None or kernel is not None:
                figures.append(page.result(case, place, system, sr, kernel))
        joined = "".join(f"<figure>{figure}</figure>\n" for figure in figures)
        name = html.escape(case.name)
        parts.append(f'<h2>{name}</h2>\n<div class="image">\n{joined}</div>\n')
    title = f"Super-resolution by {store.scale}"
    path.write_text(
        f'<!doctype html>\n<html lang="en"><meta charset="utf-8"><title>{title}</title>'
        f"<style>{_STYLE}</style>\n<h1>{title}</h1>\n<p>Crops of {CROP} HR pixels, "
        "seed 0; a picture opens the whole image. Kernels are drawn from 0 to their "
        f"largest value.</p>\n{''.join(parts)}</html>\n",
        encoding="utf-8",
    )


class _Page:
    """Pictures in a folder, and the HTML that shows them."""

    def __init__(self, folder: Path, store: Store):
        self.folder, self.store = folder, store

    def truth(self, case: Case, hr: np.ndarray) -> str:
        picture = self._image(f"{case.name}-hr", hr, case.hr_path)
        kernel = self._kernel(f"{case.name}-k", case.kernel())
        return f"{picture}{_said('HR')}{kernel}{_said('true kernel')}"

    def lr(self, case: Case, place: tuple[slice, slice]) -> str:
        rows, columns = (
            slice(part.start // case.scale, part.stop // case.scale) for part in place
        )
        lr = to_unit(case.lr())[rows, columns]
        lr = lr.repeat(case.scale, 0).repeat(case.scale, 1)
        return self._image(f"{case.name}-lr", lr, case.lr_path) + _said("LR")

    def result(
        self,
        case: Case,
        place: tuple[slice, slice],
        system: System,
        sr: Row | None,
        kernel: Row | None,
    ) -> str:
        parts = []
        said = [system.title]
        if sr is not None:
            file = self.store.file(sr, "image")
            crop = to_unit(image_files.read(file).pixels)[place]
            parts.append(self._image(f"{case.name}-{system.name}", crop, file))
            said.append(_measured(sr["psnr_y"], ".2f", " dB"))
            said.append(_measured(sr["ssim_y"], ".4f", " SSIM"))
        parts.append(_said(*said))
        if kernel is not None and "kernel" in kernel["files"]:
            found = np.load(self.store.file(kernel, "kernel"))
            name = f"{case.name}-k-{kernel['system']}"
            parts.append(self._kernel(name, found))
            failed = " (not converged)" if kernel["reason"] else ""
            parts.append(_said(_measured(kernel["kernel_psnr"], ".1f", " dB") + failed))
        return "".join(parts)

    def _image(self, name: str, pixels: np.ndarray, whole: Path) -> str:
        link = quote(Path(os.path.relpath(whole, self.folder.parent)).as_posix())
        return f'<a href="{link}"><img src="{self._write(name, pixels)}" alt=""></a>'

    def _kernel(self, name: str, kernel: np.ndarray) -> str:
        from matplotlib import colormaps  # Slow to import.

        frame = metrics.pad_to_frame(kernel, scale=self.store.scale)
        drawn: Any = colormaps["magma"](np.clip(frame / frame.max(), 0, 1))[..., :3]
        return f'<img class="kernel" src="{self._write(name, drawn)}" alt="">'

    def _write(self, name: str, pixels: np.ndarray) -> str:
        """Writes a picture; returns its address on the page."""
        stored = from_unit(pixels, np.uint8)
        picture = image_files.Image(stored)
        image_files.write_png(self.folder / f"{name}.png", picture)
        return quote(f"{self.folder.name}/{name}.png")


def _said(*lines: str) -> str:
    return f"<figcaption>{'<br>'.join(map(html.escape, lines))}</figcaption>"


def _measured(value: float | None, digits: str, unit: str) -> str:
    return "no difference" if value is None else f"{value:{digits}}{unit}"


def _place(hr: np.ndarray, scale: int) -> tuple[slice, slice]:
    """The most textured square off the borders, at LR pixels' edges."""
    side = min(CROP, *hr.shape[:2]) // (2 * scale) * 2 * scale
    border = min(side // 4, (min(hr.shape[:2]) - side) // 2)
    rows, columns = textured_window(hr, border, side**2, side)
    top, left = (part.start // scale * scale for part in (rows, columns))
    return slice(top, top + side), slice(left, left + side)
