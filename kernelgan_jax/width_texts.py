"""The widths of a kernel in words, as lists, figures and notebooks show them.

Imports nothing, as lists are made without arrays. Widths are those of `kernels.Widths`
by name.
"""

from collections.abc import Mapping


def size(widths: Mapping[str, float]) -> str:
    """Both widths of a kernel as text.

    Example:
      >>> size({"longer": 1.5, "shorter": 1.0, "angle": 30.0})
      '1.50 × 1.00 px'
    """
    return f"{widths['longer']:.2f} × {widths['shorter']:.2f} px"


def direction(widths: Mapping[str, float]) -> str:
    """Direction of the longer axis as text; `-` if both widths read the same.

    A round kernel has none.

    Example:
      >>> direction({"longer": 1.5, "shorter": 1.0, "angle": 30.0})
      '30°'
    """
    is_round = f"{widths['longer']:.2f}" == f"{widths['shorter']:.2f}"
    return "-" if is_round else f"{widths['angle']:.0f}°"
