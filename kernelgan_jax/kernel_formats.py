"""The tools that kernels are exported to, and their files. Needs no NumPy."""

from typing import NamedTuple


class Tool(NamedTuple):
    """How a tool reads a kernel."""

    suffix: str
    """The kind of file that it reads."""
    variable: str
    """The kernel's name in the file; empty in files without names."""
    about: str
    """What it is, in a few words."""
    correlates: bool = False
    """Whether the file holds a correlation kernel, as our own do."""


TOOLS = {
    "usrnet": Tool("mat", "kernels", "convolution, in a cell array (USRNet)"),
    "dpir": Tool("mat", "kernels", "convolution, in a cell array (DPIR)"),
    "srmd": Tool("mat", "kernel", "15 x 15, before a bicubic downscaling (SRMD)"),
    "zssr": Tool("mat", "Kernel", "correlation, as KernelGAN writes it (ZSSR)", True),
    "deepinv": Tool("npy", "", "convolution, float32, 1 x 1 x h x w (deepinv)"),
    "skimage": Tool("npy", "", "convolution (scikit-image and SciPy)"),
    "opencv": Tool("yml", "kernel", "correlation, float32 (cv2.filter2D)", True),
    "matlab": Tool("mat", "kernel", "correlation (imfilter); its psf convolves", True),
}
"""The tools by name."""
