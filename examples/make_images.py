"""Makes the images of `examples/images`: small LR images with known kernels.

    python examples/make_images.py

The HR images are CC0 photographs of scikit-image. They are downscaled by 2 with random
anisotropic Gaussian kernels with multiplicative noise, as the images of DIV2KRK are.
The true kernel of `NAME.png` is written to `NAME_kernel_x2.npy`.
"""

import pathlib

import numpy as np
import skimage.data
from PIL import Image

from kernelgan_jax import blur_kernels, downscale

NAMES = ("chelsea", "coffee", "camera")


def main() -> None:
    folder = pathlib.Path(__file__).parent / "images"
    for seed, name in enumerate(NAMES):
        kernel = blur_kernels.random_gaussian(np.random.default_rng(seed), 11, scale=2)
        hr = getattr(skimage.data, name)() / 255
        lr = np.clip(downscale(hr, kernel, 2), 0, 1)
        Image.fromarray(np.round(lr * 255).astype(np.uint8)).save(
            folder / f"{name}.png"
        )
        np.save(folder / f"{name}_kernel_x2.npy", kernel)


if __name__ == "__main__":
    main()
