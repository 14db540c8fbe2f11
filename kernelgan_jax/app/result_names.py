"""Names of the files in a folder of results."""

import re
from collections.abc import Collection

from kernelgan_jax.app.job import FORMATS, REPORT
from kernelgan_jax.kernel_formats import TOOLS
from kernelgan_jax.kernels import MAX_SCALE

KERNEL_FIGURE, COMPARISON = "kernel.png", "comparison.png"
"""The figures, see `figures.py`."""

_SCALES = range(1, MAX_SCALE + 1)


def export_name(tool: str, scale: int) -> str:
    """Name of the file with the kernel of a scale for another tool.

    Example:
      >>> export_name("srmd", 2)
      'kernel_x2_srmd.mat'
    """
    return f"kernel_x{scale}_{tool}.{TOOLS[tool].suffix}"


MADE_OF_KERNELS = (
    *(export_name(tool, scale) for scale in _SCALES for tool in TOOLS),
    *(f"kernel_map_x{scale}.npy" for scale in _SCALES),
    *(f"refitted_kernel_x{scale}.npy" for scale in _SCALES),
)
"""Files with kernels beside the one that was found."""

FILES = (
    *(f"kernel_x{scale}.{kind}" for scale in _SCALES for kind in ("npy", "mat")),
    *MADE_OF_KERNELS,
    KERNEL_FIGURE,
    *(f"sr_x{scale}.{kind}" for scale in _SCALES for kind in FORMATS),
    COMPARISON,
    REPORT,
)
"""All files that a run may leave in a folder, in the order in which they appear, apart
from those of single frames."""

_FRAME = re.compile(rf"sr_x[1-9]_[0-9]{{4,}}\.({'|'.join(FORMATS)})")
"""Name of the file of a single frame."""


def is_result_name(name: str) -> bool:
    """Whether a run gives a file this name.

    Example:
      >>> [is_result_name(n) for n in ("sr_x2.png", "sr_x2_0001.png", "mine.png")]
      [True, True, False]
    """
    return name in FILES or _FRAME.fullmatch(name) is not None


def results_among(names: Collection[str]) -> list[str]:
    """The names of results among some, in the order in which they appear."""
    frames = sorted(name for name in names if _FRAME.fullmatch(name))
    order = [*FILES[:-1], *frames, REPORT]
    return [name for name in order if name in names]
