"""What the training programs share: checkpoints, logs, and the ranges of settings."""

import json
import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar, cast

import flax.serialization
import jax
import jax.numpy as jnp
import numpy as np

_Tree = TypeVar("_Tree")


def save(file: Path, state: Any) -> None:
    """Writes a checkpoint in one step: an interrupted write leaves the former one."""
    part = file.with_name(file.name + ".part")
    with open(part, "wb") as out:
        out.write(flax.serialization.to_bytes(jax.device_get(state)))
        out.flush()
        os.fsync(out.fileno())
    os.replace(part, file)


def restore(file: Path, like: _Tree) -> _Tree:
    """Reads a checkpoint that `save` wrote, of a network with a state like this one.

    Raises:
      ValueError: If it is of another network.
    """
    try:
        state = flax.serialization.from_bytes(like, file.read_bytes())
    except (ValueError, KeyError) as error:
        raise ValueError(f"{file}: is not a checkpoint of this network") from error
    shapes = [jax.tree.map(np.shape, jax.tree.leaves(x)) for x in (state, like)]
    if shapes[0] != shapes[1]:
        raise ValueError(f"{file}: is a checkpoint of a network of another shape")
    return cast(_Tree, jax.tree.map(jnp.asarray, state))


def log(output: Path, record: Mapping[str, Any]) -> None:
    """Adds a line to `log.jsonl` in the folder of a training, and prints it."""
    line = json.dumps(record)
    with open(output / "log.jsonl", "a") as file:
        file.write(line + "\n")
    print(line, flush=True)


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
