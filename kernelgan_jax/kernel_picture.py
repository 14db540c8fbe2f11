"""A kernel as a small picture for notebooks: SVG, by NumPy alone."""

import base64
import html
import struct
import zlib

import numpy as np

from kernelgan_jax import equivalent_gaussian, kernels
from kernelgan_jax.estimate import KernelEstimate
from kernelgan_jax.width_texts import direction, size

SIDE = 220
"""Pixels of the picture's longer side."""


def figure(estimate: KernelEstimate) -> str | None:
    """The kernel with its ellipse of one standard deviation, and what is thought of it.

    Args:
      estimate: The estimate.

    Returns:
      HTML; None for a batch of estimates.
    """
    if np.ndim(estimate.kernel) != 2:
        return None
    kernel = np.asarray(estimate.kernel)
    height, width = kernel.shape
    zoom = SIDE / max(height, width)
    text = f"×{estimate.scale} kernel, {width} × {height} px"
    ellipse = ""
    total = kernel.sum()
    if np.isfinite(total) and total > 0:
        found = equivalent_gaussian.widths(kernel, scale=estimate.scale)._asdict()
        text += f", {size(found)} wide"
        if (angle := direction(found)) != "-":
            text += f" at {angle}"
        ellipse = (
            f'<polygon points="{_points(kernel, estimate.scale)}" fill="none" '
            f'stroke="white" stroke-width="{1.5 / zoom:.3g}"/>'
        )
    if estimate.failure:
        text += f"; not usable: {estimate.failure}"
    elif estimate.confidence is not None:
        reason = estimate.confidence.reason
        text += f"; confidence {estimate.confidence.level}"
        text += f" ({reason})" if reason else ""
    data = base64.b64encode(gray_png(kernel)).decode()
    return (
        f'<figure style="margin:0"><svg width="{zoom * width:.0f}" '
        f'height="{zoom * height:.0f}" viewBox="0 0 {width} {height}">'
        f'<image width="{width}" height="{height}" style="image-rendering:pixelated" '
        f'href="data:image/png;base64,{data}"/>{ellipse}</svg>'
        f"<figcaption>{html.escape(text)}</figcaption></figure>"
    )


def _points(kernel: np.ndarray, scale: int) -> str:
    """The ellipse as the points of a polygon, `column,row` from the corner."""
    around = ellipse(equivalent_gaussian.covariance(kernel, scale=scale))
    # Pixels are squares around their centres.
    rows, columns = np.asarray(kernels.centre_of_mass(kernel))[:, None] + 0.5 + around
    return " ".join(f"{x:.2f},{y:.2f}" for x, y in zip(columns, rows, strict=True))


def ellipse(covariance: np.ndarray) -> np.ndarray:
    """Rows and columns of an ellipse of one standard deviation around 0: `2 x 100`."""
    turns = np.linspace(0, 2 * np.pi, 100)
    variances, axis = np.linalg.eigh(covariance)
    root: np.ndarray = axis * np.sqrt(np.maximum(variances, 0))
    return root @ np.stack([np.sin(turns), np.cos(turns)])


def gray_png(values: np.ndarray) -> bytes:
    """An array as a gray PNG of 8 bits, its largest value white, 0 and less black."""
    height, width = values.shape
    top = float(np.nanmax(values, initial=np.finfo(np.float32).tiny))
    gray = np.clip(np.nan_to_num(255 * values / top), 0, 255).round().astype(np.uint8)
    rows = np.pad(gray, ((0, 0), (1, 0)))  # Each row begins with its filter, 0.

    def chunk(name: bytes, data: bytes) -> bytes:
        checksum = struct.pack(">I", zlib.crc32(name + data))
        return struct.pack(">I", len(data)) + name + data + checksum

    head = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    body = chunk(b"IDAT", zlib.compress(rows.tobytes()))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + body + chunk(b"IEND", b"")
