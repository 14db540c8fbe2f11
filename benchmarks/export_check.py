"""Kernels for deepinv, OpenCV and scikit-image, checked with these packages themselves.

    pip install deepinv opencv-python-headless scikit-image   # in a fresh environment
    python benchmarks/export_check.py KERNELS

KERNELS is a folder with `hr.npy`, `lr_x2.npy` and the kernel files of `--make`, which
runs where kernelgan_jax is installed:

    python benchmarks/export_check.py --make KERNELS

For each scale, it prints the largest difference between our LR image (circular borders
for deepinv, mirrored ones for the others) and that of the tool's own operator.
"""

import sys
from importlib.metadata import version
from pathlib import Path

import numpy as np

SCALES = (1, 2, 3, 4)


def make(folder):
    """Writes an HR image, and kernels and LR images for all scales."""
    from kernelgan_jax import blur_kernels, degradation, kernels
    from kernelgan_jax.app import kernel_files

    folder.mkdir(exist_ok=True)
    rng = np.random.default_rng(0)
    hr = rng.random((96, 132)).cumsum(0).cumsum(1) % 997 / 997
    np.save(folder / "hr.npy", hr)
    for scale in SCALES:
        size = kernels.frame_size(scale)
        kernel = blur_kernels.gaussian(
            size, variances=(4.0, 1.5), angle=0.6, scale=scale
        )
        kernel = kernels.normalise(kernel * (1 + 0.5 * rng.random(kernel.shape)))
        for tool in ("deepinv", "opencv", "skimage"):
            kernel_files.write_export(folder, kernel, tool=tool, scale=scale)
        for boundary in ("wrap", "mirror"):
            lr = degradation.downscale(hr, kernel, scale, boundary=boundary)
            np.save(folder / f"lr_x{scale}_{boundary}.npy", lr)


def check(folder):
    """Prints the differences, and ends with an error if one is above 1e-4."""
    import cv2
    import deepinv
    import torch
    from skimage.restoration import uft

    packages = ("deepinv", "torch", "opencv-python-headless", "scikit-image")
    print(*(f"{name} {version(name)}" for name in packages), sep=", ")
    hr = np.load(folder / "hr.npy")
    x = torch.tensor(hr, dtype=torch.float32)[None, None]
    worst = 0.0
    for scale in SCALES:
        wrap, mirror = (
            np.load(folder / f"lr_x{scale}_{b}.npy") for b in ("wrap", "mirror")
        )
        found = {}
        h = torch.from_numpy(np.load(folder / f"kernel_x{scale}_deepinv.npy"))
        physics = deepinv.physics.Downsampling(
            img_size=(1, *hr.shape), filter=h, factor=scale, padding="circular"
        )
        found["deepinv Downsampling"] = physics(x)[0, 0].numpy(), wrap
        for name, use_fft in (("Blur", False), ("Blur, FFT", True)):
            blur = deepinv.physics.Blur(filter=h, padding="circular", use_fft=use_fft)
            lr = blur(x)[0, 0, ::scale, ::scale].numpy()
            found[f"deepinv {name}"] = lr, wrap
        path = str(folder / f"kernel_x{scale}_opencv.yml")
        file = cv2.FileStorage(path, cv2.FILE_STORAGE_READ)
        kernel = file.getNode("kernel").mat()
        blurred = cv2.filter2D(hr, -1, kernel, borderType=cv2.BORDER_REFLECT)
        found["OpenCV filter2D"] = blurred[::scale, ::scale], mirror
        psf = np.load(folder / f"kernel_x{scale}_skimage.npy")
        transfer = uft.ir2tf(psf, hr.shape, is_real=False)
        blurred = np.fft.ifft2(np.fft.fft2(hr) * transfer).real
        found["scikit-image ir2tf"] = blurred[::scale, ::scale], wrap
        for name, (lr, ours) in found.items():
            error = np.abs(lr - ours).max()
            worst = max(worst, error)
            print(f"x{scale} {name}: {error:.1e}")
    sys.exit(0 if worst < 1e-4 else "a difference is above 1e-4")


if __name__ == "__main__":
    *_, target = sys.argv
    (make if "--make" in sys.argv else check)(Path(target))
