"""Super-resolution with a known or an estimated kernel: methods behind one registry.

`super_resolve` is the one call; `plan` says in advance what it will do. A method is a
file or a folder here and a line of `registry.METHODS`. Names are imported on first use:
the registry and the settings need no JAX.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
