"""What an estimator says of one image: the kernel, and how sure it is."""

from typing import Literal, NamedTuple

import numpy as np

Level = Literal["high", "medium", "low"]


class Confidence(NamedTuple):
    """How far a kernel may be off; see `kernelgan_jax.confidence`.

    Deviations are of the posterior of the image's spectrum; errors are those to expect
    of the kernel, in the measures of `kernelgan_jax.metrics`.
    """

    level: Level
    """`high`: images that are super-resolved with it mostly come close to those of the
    true kernel. `low`: do not trust it."""
    reason: str
    """Why it is not `high`, in a few words; empty if it is."""
    kernel_psnr: float
    """Expected, dB."""
    covariance_error: float
    """Expected, relative."""
    sr_loss: float
    """Expected: by how many dB a super-resolved image stays below that of the true
    kernel. That of Wiener filters, on the image's spectrum."""
    longer: float
    """Standard deviation of the longer width, pixels."""
    shorter: float
    """Standard deviation of the shorter width, pixels."""
    angle: float
    """Standard deviation of the longer axis' direction, degrees, at most 52: any."""
    samples: np.ndarray
    """`S x n x n` kernels of the posterior, equally likely, of the scale asked for,
    aligned for it, sum 1."""


class KernelEstimate(NamedTuple):
    """The estimated kernel of one image.

    All arrays are NumPy's; kernels are as `kernelgan_jax.kernels` states.
    """

    kernel: np.ndarray
    """Of `scale`: cleaned, centred, non-negative up to interpolation, sum 1."""
    kernel_x4: np.ndarray | None
    """The x4 kernel, if scale 4 was asked for."""
    raw_kernel: np.ndarray
    """`n x n` kernel of the generator, as trained, or of the spectrum, as fitted."""
    history: dict[str, np.ndarray]
    """Losses (see `kernelgan.Info`), a value a step; empty without training."""
    converged: bool
    """Whether training, or the search, ended as it should; if not, do not trust the
    kernel."""
    reason: str
    """Why it did not converge, in a few words; empty if it did."""
    scale: int = 2
    """Of `kernel`: the scale asked for, but 2 for 4."""
    confidence: Confidence | None = None
    """How sure it is, where the image has a spectrum to tell it by."""
    noise: float = 0.0
    """Standard deviation of the white noise in each channel of the LR image, as a
    fraction of the range; 0 if unknown."""
    sure: bool = False
    """Whether super-resolution does best to take the kernel as it is."""

    @property
    def wanted(self) -> np.ndarray:
        """The kernel of the scale that was asked for."""
        return self.kernel if self.kernel_x4 is None else self.kernel_x4
