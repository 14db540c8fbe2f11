"""A normalising flow on SR kernels: an invertible map between noise and kernels.

Trained on samples of a family of kernels, the flow turns the normal distribution into
the distribution of that family. Kernels are positive and sum to 1, so the flow works on
their log-ratios, and every latent vector gives a valid kernel. As log-ratios are
infinite where a kernel is 0, a little of a uniform kernel is mixed in first and removed
afterwards.

`pretrained()` is the flow that comes with the package, `fit` trains one on other
kernels, `save` and `load` keep it in a file, and `flow` makes a kernel prior of it.

References:
  Liang, Zhang, Gu, Van Gool, Timofte, "Flow-based Kernel Prior with Application to
  Blind Super-Resolution", CVPR 2021: the prior.
  Dinh, Sohl-Dickstein, Bengio, "Density Estimation using Real NVP", ICLR 2017, section
  3.2: the couplings.
  Aitchison, "The Statistical Analysis of Compositional Data", 1986: the log-ratios.
"""

from kernelgan_jax.priors.flow.couplings import Flow
from kernelgan_jax.priors.flow.files import load, pretrained, save
from kernelgan_jax.priors.flow.prior import flow
from kernelgan_jax.priors.flow.training import fit

__all__ = ["Flow", "fit", "flow", "load", "pretrained", "save"]
