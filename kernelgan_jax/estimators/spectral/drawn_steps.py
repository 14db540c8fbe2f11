"""Whether the unblurred steps of an image were drawn on it: what its kernels say.

Kernels are fitted without the places of such steps, and with them. A picture that is so
sharp itself has a narrow kernel, or is explained about as well with them and does not
speak against the kernel that is then found: its other parts are soft. If the steps were
drawn, the spectrum with them is that of no picture, or the rest rules its kernel out.
Around letters that are known to be drawn, less of this is asked.
"""

import math

LESS_LIKELY, FORBIDDEN = 1.65, 1.1
"""Steps were drawn if the loss of the rest grows by this factor with the kernel that is
found with them; the second if this one, too, forbids them, or around letters. How much
larger the loss of all is than that of the rest counts as well, by its square root."""


def were_drawn(
    without: float, with_them: float, crossed: float, *, allowed: bool
) -> bool:
    """Whether steps were drawn, and are not the picture's.

    The numbers were chosen on 12 images of Kodak and 24 photographs that the network
    was trained with, downscaled with kernels of all kinds, with and without drawings.

    Args:
      without: Loss without the places of the steps; infinite if no fit succeeded.
      with_them: Loss with these.
      crossed: Loss without them, with the kernel that was found with them.
      allowed: Whether this kernel leaves steps unblurred, and they are not around
        letters that are known to be drawn.

    Example:
      >>> were_drawn(0.02, 0.02, 0.04, allowed=True)
      True
      >>> were_drawn(0.02, 0.02, 0.02, allowed=True)
      False
    """
    if not math.isfinite(without) or not math.isfinite(with_them):
        return math.isfinite(without)
    limit = LESS_LIKELY if allowed else FORBIDDEN
    return not crossed * math.sqrt(with_them / without) <= limit * without
