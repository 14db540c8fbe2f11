"""Checkpoints of trainings."""

import os
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
    """Reads a checkpoint.

    Args:
      file: As `save` wrote it.
      like: A state of the same network.

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
