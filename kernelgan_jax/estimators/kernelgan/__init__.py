"""KernelGAN (Bell-Kligler, Shocher, Irani, NeurIPS 2019).

`config` (settings), `networks` and `losses` (the two players), `schedule`, `algorithm`
(pure `init` and `step` for one image), `state` (what a step takes and gives), `crops`
(what it trains on), `train` (compiled), `estimator` (from images to cleaned kernels).
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
