"""The benchmark: makes test sets and compares estimators and methods on them.

`make_test_set` makes a test set from HR images, `run_benchmark` runs systems on one and
measures them. `python -m kernelgan_jax.benchmark` is the same as a command. The public
names stand in `__init__.pyi`; each is imported on first use.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
