"""The images that the examples use, and how they draw their results."""

from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

from kernelgan_jax.app.images import image_files
from kernelgan_jax.pixels import to_unit


def photo(name: str) -> np.ndarray:
    """One of the photographs of `examples/images` in gray, `H x W` in [0, 1]."""
    path = Path(__file__).parent / "images" / f"{name}.png"
    return to_unit(image_files.read(path).pixels).mean(-1)


def save(path: Path, rows: list[list[tuple[str, np.ndarray]]]) -> None:
    """Draws rows of titles and pictures; images in gray, kernels in colour."""
    figure, axes = plt.subplots(
        len(rows),
        len(rows[0]),
        figsize=(1.6 * len(rows[0]), 1.8 * len(rows)),
        squeeze=False,
    )
    for row, pictures in zip(axes, rows, strict=True):
        for panel, (title, picture) in zip(row, pictures, strict=True):
            panel.imshow(picture, cmap="gray" if len(picture) > 50 else "viridis")
            panel.set_title(title, fontsize=8)
            panel.axis("off")
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=100, bbox_inches="tight")
    plt.close(figure)
    print(f"-> {path}")
