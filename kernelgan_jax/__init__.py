"""Blind super-resolution kernel estimation in JAX: spectral likelihood, KernelGAN.

The public names stand in `__init__.pyi`; each is imported on first use, so that a
command that needs no JAX (`--help`) does not wait for it.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
