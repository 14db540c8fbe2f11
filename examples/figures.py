"""Draws the figure of an example: rows of pictures with titles."""

from pathlib import Path

import matplotlib.pyplot as plt


def save(path: Path, rows) -> None:
    """Draws rows of (title, picture); images in gray, kernels in colour."""
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
