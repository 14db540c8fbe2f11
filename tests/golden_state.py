"""Turns the weights in the golden files into this project's parameters."""

import jax.numpy as jnp


def generator_params(golden, prefix=""):
    """Filters `g0` ... (out x in x h x w) as Flax parameters."""
    names = [name for name in golden.files if name.startswith(prefix + "g")]
    names = sorted(n for n in names if n[len(prefix) + 1 :].isdigit())
    return {
        f"filter_{i}": jnp.asarray(golden[name].transpose(2, 3, 1, 0))
        for i, name in enumerate(names)
    }


def discriminator_variables(golden, prefix):
    """A discriminator's weights as Flax variables (params and spectral)."""
    params, spectral = {}, {}

    def conv(ours, theirs):
        weight = golden[f"{prefix}{theirs}.weight_orig"].transpose(2, 3, 1, 0)
        params[ours] = {
            "kernel": jnp.asarray(weight),
            "bias": jnp.asarray(golden[f"{prefix}{theirs}.bias"]),
        }
        spectral[ours] = {"u": jnp.asarray(golden[f"{prefix}{theirs}.weight_u"])}

    conv("first", "first_layer")
    for i in range(5):
        conv(f"conv_{i}", f"feature_block.{3 * i}")
        norm = f"{prefix}feature_block.{3 * i + 1}"
        params[f"norm_{i}"] = {
            "scale": jnp.asarray(golden[f"{norm}.weight"])[:, None],
            "shift": jnp.asarray(golden[f"{norm}.bias"])[:, None],
        }
    conv("last", "final_layer.0")
    return {"params": params, "spectral": spectral}
