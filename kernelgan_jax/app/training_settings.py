"""The ranges of the settings of the training programs."""

import math
from typing import Any


def check_ranges(settings: Any, **legal: tuple[float, float]) -> None:
    """Checks that settings are in their ranges.

    Args:
      settings: Settings of a run, an object with an attribute for each name.
      **legal: The least and the largest legal value of each; infinity for no limit.

    Raises:
      ValueError: If one is not, or is NaN.

    Example:
      >>> import argparse
      >>> settings = argparse.Namespace(steps=0, decay=0.5)
      >>> check_ranges(settings, decay=(0, 1), steps=(1, math.inf))
      Traceback (most recent call last):
        ...
      ValueError: steps is 0; it must be at least 1
    """
    for name, (least, most) in legal.items():
        value = getattr(settings, name)
        if not least <= value <= most:
            words = (
                f"from {least} to {most}" if most < math.inf else f"at least {least}"
            )
            raise ValueError(f"{name} is {value}; it must be {words}")
