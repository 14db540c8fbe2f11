"""The levels of confidence in a kernel. Needs no JAX, as flags take them, too."""

from typing import Literal, get_args

Level = Literal["low", "medium", "high"]

LEVELS: tuple[Level, ...] = get_args(Level)
"""The levels, the least first."""
