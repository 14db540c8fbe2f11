"""Super-resolution by a trained network, for any kernel of up to 41 x 41.

`apply(params, image, kernel, scale=..., noise_std=..., kernel_std=..., jpeg=...)` is
the network as a pure function; `weights.load` reads its parameters; `python -m
kernelgan_jax.app.deep_wiener.train` makes them.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
