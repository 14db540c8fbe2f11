"""Trains the normalising flow that comes with the package, or one of your own.

    python examples/train_flow.py [OUTPUT.npz]

The kernels are x2 Gaussians of all widths and directions with multiplicative noise, as
in Liang et al., CVPR 2021. Prints how well the flow's own kernels match them, and draws
both beside OUTPUT.npz (results/flow_x2.npz by default). The flow is used with
`priors.flow(model=load("OUTPUT.npz"))`, where `load` is in `kernelgan_jax.priors.flow`.
"""

import sys
from pathlib import Path

import jax
import numpy as np
import pictures

from kernelgan_jax import blur_kernels, kernels
from kernelgan_jax.priors.flow import Flow, fit, flow, save


def sample(rng: np.random.Generator, count: int) -> np.ndarray:
    draw = blur_kernels.random_gaussian
    return np.stack(
        [draw(rng, 13, scale=2, variances=(0.35, 5.0)) for _ in range(count)]
    )


def main(output: Path, steps: int = 20_000) -> Flow:
    rng = np.random.default_rng(0)
    model, history = fit(jax.random.key(0), sample(rng, 50_000), steps=steps)
    new = sample(rng, 2000)
    density = jax.vmap(model.log_prob)(new.astype(np.float32)).mean()
    print(
        f"log-density: training {history[-100:].mean():.1f}, new kernels {density:.1f}"
    )
    drawn = flow(model=model)
    keys = jax.random.split(jax.random.key(1), len(new))
    own = np.asarray(jax.vmap(lambda key: drawn.kernel(drawn.init(key)))(keys))
    for name, made in (("new kernels", new), ("the flow's", own)):
        widths = np.array([kernels.widths(k)[:2] for k in made.astype(np.float64)])
        mean, spread = widths.mean(0).round(2), widths.std(0).round(2)
        print(f"{name}: longer, shorter width {mean} +- {spread} px")
    rows = [[(title, k) for k in x[:8]] for title, x in (("true", new), ("flow", own))]
    pictures.save(output.with_suffix(".png"), rows)
    save(output, model)
    return model


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "results/flow_x2.npz"))
