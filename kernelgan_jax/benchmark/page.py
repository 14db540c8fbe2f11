"""A page of pictures: HR, LR, and each system's image and kernel side by side.

The page is `page.html.jinja`, filled in by jinja2 (`pip install
"kernelgan-jax[benchmark]"`); its pictures lie in a folder beside it.
"""

import os
from collections.abc import Sequence
from importlib import resources
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote

import numpy as np

from kernelgan_jax import metrics
from kernelgan_jax.app.images import image_files
from kernelgan_jax.benchmark.evaluate import Evaluation
from kernelgan_jax.benchmark.rows import (
    ImageRow,
    KernelRow,
    image_rows,
    kernel_file,
    kernel_rows,
)
from kernelgan_jax.benchmark.store import IMAGE, Store
from kernelgan_jax.benchmark.systems import System
from kernelgan_jax.benchmark.testset import Case
from kernelgan_jax.pixels import from_unit, textured_window, to_unit

CROP = 96
"""Side of the crop that is shown of an image, HR pixels: its most textured part."""

_Place = tuple[slice, slice]


class Panel(NamedTuple):
    """One column of an image: a picture, a kernel below it, and text.

    Addresses are relative to the page; empty ones stand for pictures that are missing.
    """

    lines: tuple[str, ...]
    """Text below the picture."""
    picture: str = ""
    link: str = ""
    """Address of the whole image."""
    kernel: str = ""
    kernel_line: str = ""
    """Text below the kernel."""


class PageImage(NamedTuple):
    """All panels of one image of the test set."""

    name: str
    panels: list[Panel]


def load_template() -> Any:
    """The template of the page.

    Raises:
      ValueError: If jinja2 is not installed.
    """
    try:
        from jinja2 import Environment
    except ImportError as error:
        raise ValueError(
            'the page needs jinja2: pip install "kernelgan-jax[benchmark]"'
        ) from error
    source = resources.files(__package__).joinpath("page.html.jinja")
    environment = Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True)
    return environment.from_string(source.read_text(encoding="utf-8"))


def write(path: Path, evaluation: Evaluation, systems: Sequence[System]) -> None:
    """Writes the page of one scale, and its pictures beside it.

    Args:
      path: Path of the page, `NAME.html`; its pictures go to `NAME_pictures/`.
      evaluation: What was measured; seed 0 is shown.
      systems: The systems in the order of the columns.

    Raises:
      ValueError: If jinja2 is not installed.
      OSError: If the page cannot be written.
    """
    template = load_template()
    store = evaluation.store
    pictures = _Pictures(path.with_name(f"{path.stem}_pictures"), store)
    pictures.folder.mkdir(parents=True, exist_ok=True)
    first = [row for row in evaluation.rows if row.seed == 0]
    images = {(row.system, row.image): row for row in image_rows(first)}
    found = {(row.system, row.image): row for row in kernel_rows(first)}
    shown = []
    for case in evaluation.cases:
        hr = to_unit(case.hr())
        place = _textured_crop(hr, case.scale)
        panels = [pictures.hr(case, hr[place]), pictures.lr(case, place)]
        for system in systems:
            image = images.get((system.name, case.name))
            kernel = None
            if system.estimator is not None:
                kernel = found.get((system.kernel_name, case.name))
            if image is not None or kernel is not None:
                panels.append(pictures.result(case, place, system, image, kernel))
        shown.append(PageImage(case.name, panels))
    title = f"Super-resolution by {store.scale}"
    html = template.render(title=title, crop=CROP, images=shown)
    # Names of files may be no text at all.
    path.write_text(html, encoding="utf-8", errors="backslashreplace")


class _Pictures:
    """The folder of the page's pictures, and the panels that show them."""

    def __init__(self, folder: Path, store: Store):
        self.folder = folder
        self.store = store

    def hr(self, case: Case, crop: np.ndarray) -> Panel:
        """The HR image and the true kernel."""
        return Panel(
            ("HR",),
            self._write(f"{case.name}-hr", crop),
            self._link(case.hr_path),
            self._write_kernel(f"{case.name}-k", case.kernel()),
            "true kernel",
        )

    def lr(self, case: Case, place: _Place) -> Panel:
        """The LR image, each pixel as a square."""
        scale = case.scale
        rows, columns = (
            slice(part.start // scale, part.stop // scale) for part in place
        )
        crop = to_unit(case.lr())[rows, columns].repeat(scale, 0).repeat(scale, 1)
        picture = self._write(f"{case.name}-lr", crop)
        return Panel(("LR",), picture, self._link(case.lr_path))

    def result(
        self,
        case: Case,
        place: _Place,
        system: System,
        image: ImageRow | None,
        kernel: KernelRow | None,
    ) -> Panel:
        """A system's image and kernel, with their measures."""
        panel = Panel((system.title,))
        if image is not None:
            crop = to_unit(self.store.read_image(image))[place]
            psnr = _with_unit(image.psnr_y, ".2f", " dB")
            ssim = _with_unit(image.ssim_y, ".4f", " SSIM")
            panel = panel._replace(
                lines=(system.title, psnr, ssim),
                picture=self._write(f"{case.name}-{system.name}", crop),
                link=self._link(self.store.file(image.key, IMAGE)),
            )
        if kernel is not None and kernel_file(case.scale) in kernel.files:
            array = self.store.read_kernel(kernel, case.scale)
            failed = " (not converged)" if kernel.failure else ""
            panel = panel._replace(
                kernel=self._write_kernel(f"{case.name}-k-{kernel.system}", array),
                kernel_line=_with_unit(kernel.kernel_psnr, ".1f", " dB") + failed,
            )
        return panel

    def _link(self, whole: Path) -> str:
        """The address of a file on the page."""
        return _address(Path(os.path.relpath(whole, self.folder.parent)).as_posix())

    def _write_kernel(self, name: str, kernel: np.ndarray) -> str:
        from matplotlib import colormaps  # Slow to import.

        frame = metrics.pad_to_frame(kernel, scale=self.store.scale)
        colours: Any = colormaps["magma"](np.clip(frame / frame.max(), 0, 1))
        return self._write(name, colours[..., :3])

    def _write(self, name: str, pixels: np.ndarray) -> str:
        """Writes a picture; returns its address on the page."""
        picture = image_files.Image(from_unit(pixels, np.uint8))
        image_files.write_png(self.folder / f"{name}.png", picture)
        return _address(f"{self.folder.name}/{name}.png")


def _address(path: str) -> str:
    return quote(path, errors="surrogateescape")


def _with_unit(value: float | None, digits: str, unit: str) -> str:
    return "no difference" if value is None else f"{value:{digits}}{unit}"


def _textured_crop(hr: np.ndarray, scale: int) -> _Place:
    """The most textured square away from the borders, at the edges of LR pixels."""
    side = min(CROP, *hr.shape[:2]) // (2 * scale) * 2 * scale
    border = min(side // 4, (min(hr.shape[:2]) - side) // 2)
    rows, columns = textured_window(hr, border=border, max_pixels=side**2, crop=side)
    top, left = (part.start // scale * scale for part in (rows, columns))
    return slice(top, top + side), slice(left, left + side)
