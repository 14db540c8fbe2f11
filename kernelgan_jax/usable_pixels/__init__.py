"""Which pixels of an image are part of its picture, and what stands in for the others.

`find` asks all of it at once: `drawn_areas` (frames, bars, text, logos, lines),
`soft_edges` (what is mixed with them), `isolated_pixels` (hot and dead ones). What is
left out is filled: `smooth_fill`. `flat_areas` finds what keeps its value, and
`unblurred_steps` what is sharper than the rest, as text is.
"""

from kernelgan_jax.usable_pixels.find import UsablePixels, find_usable
from kernelgan_jax.usable_pixels.flat_areas import find_flat

__all__ = ["UsablePixels", "find_flat", "find_usable"]
