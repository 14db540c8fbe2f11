"""The spectral estimator: the kernel from the power spectrum of one image.

The public names stand in `__init__.pyi`; each is imported on first use, so that this
package can be imported without JAX.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
