"""Small files of every kind that is read, to be damaged, and how each is read."""

import io
import json

import helpers
import imagecodecs
import numpy as np
import scipy.io
import scipy.sparse
import tifffile
from PIL import Image as pillow

from kernelgan_jax.app import files, folders, kernel_files, manifest
from kernelgan_jax.app.images import image_files
from kernelgan_jax.priors.flow import Flow, load
from kernelgan_jax.super_resolution.published.torch_files import read_torch

RNG = np.random.default_rng(0)
KERNEL = RNG.random((7, 7))
CELLS = np.empty((1, 1), object)
CELLS[0, 0] = KERNEL


def _mat(variables, **options):
    file = io.BytesIO()
    scipy.io.savemat(file, variables, **options)
    return file.getvalue()


def _npy(array, **options):
    file = io.BytesIO()
    np.lib.format.write_array(file, array, **options)
    return file.getvalue()


def _npz(write=np.savez_compressed, **arrays):
    file = io.BytesIO()
    write(file, **arrays)
    return file.getvalue()


def _tiff(pixels, **options):
    file = io.BytesIO()
    tifffile.imwrite(file, pixels, planarconfig="contig", **options)
    return file.getvalue()


def _image(kind, pixels, **options):
    file = io.BytesIO()
    pillow.fromarray(pixels).save(file, kind, **options)
    return file.getvalue()


def _flow():
    """A tiny flow, as its file."""
    basis = np.eye(4, 3, dtype=np.float32)
    scale = {"Dense_0": {"kernel": np.ones((3, 2)), "bias": np.zeros(2)}}
    zeros = np.zeros(4, np.float32)
    file = io.BytesIO()
    model = Flow((2, 2), 2, zeros, basis, zeros[:3] + 1, {"scale_0": scale})
    arrays = {n: getattr(model, n) for n in ("shape", "scale", "mean", "basis")}
    arrays |= {"deviations": model.deviations, "scale_0/Dense_0/bias": np.zeros(2)}
    np.savez_compressed(file, **arrays)
    return file.getvalue()


_RGB = helpers.noise(9, 12, 3)
_DEEP = helpers.noise(9, 12, 3, dtype=np.uint16)
_REPORT = {
    "owner": {"path": "/x/a.png", "bytes": 3, "sha256": "0" * 64},
    "image": {"path": "a.png"}, "config": {"scale": 2}, "seed": 0, "fingerprint": "f",
    "files": {"sr_x2.png": {"bytes": 3, "sha256": "0" * 64}},
}  # fmt: skip
_LINES = [{"image": f"{i}.png", "status": "done", "error": ""} for i in range(4)]

SEEDS = {
    "k.mat": [
        _mat({"Kernel": KERNEL}),
        _mat({"Kernel": KERNEL}, do_compression=True),
        _mat({"Kernel": KERNEL, "a": "text"}, format="4"),
        _mat({"Kernel": np.stack([KERNEL] * 3, -1)}, do_compression=True),
        _mat({"Kernel": CELLS}),
        _mat({"Kernel": CELLS}, do_compression=True),
        _mat({"Kernel": scipy.sparse.eye(5).tocsc(), "b": {"c": np.eye(3)}}),
    ],
    "k.npy": [_npy(KERNEL), _npy(np.eye(5, 9, dtype=">i2").T, version=(2, 0))],
    "k.npz": [_npz(Kernel=KERNEL, b=np.eye(2)), _npz(np.savez, a=KERNEL)],
    "a.image": [
        _image("PNG", _RGB),
        imagecodecs.png_encode(_DEEP),
        _image("JPEG", _RGB, quality=90, exif=b"Exif\0\0II*\0\x08\0\0\0\0\0"),
        _image("TIFF", _RGB, compression="tiff_lzw"),
        imagecodecs.tiff_encode(_DEEP, compression="deflate"),
        _image("GIF", _RGB[..., 0]),
        _image("BMP", _RGB),
        _image("WEBP", _RGB, lossless=True),
        _image("WEBP", np.dstack([_RGB, _RGB[..., :1]])),
        _image("AVIF", _RGB),
        _image("PPM", _RGB),
        _tiff(
            _DEEP[:, :, [0, 1, 2, 0, 1]], photometric="minisblack", compression="zlib"
        ),
        _tiff(
            _RGB.astype(np.float32),
            photometric="rgb",
            predictor=True,
            compression="zlib",
            tile=(16, 16),
        ),
        imagecodecs.avif_encode(_DEEP >> 6, bitspersample=10),
        imagecodecs.jpegxl_encode(_DEEP),
        b"PF\n12 9\n-1.0\n" + _RGB.astype("<f4").tobytes(),
        b"P7\nWIDTH 12\nHEIGHT 9\nDEPTH 3\nMAXVAL 255\nENDHDR\n" + _RGB.tobytes(),
        imagecodecs.jpegls_encode(_DEEP),
        imagecodecs.jpeg8_encode(_DEEP[..., :3] >> 4, 90, bitspersample=12),
    ],
    "manifest.jsonl": ["".join(json.dumps(r) + "\n" for r in _LINES).encode()],
    "report.json": [json.dumps(_REPORT).encode()],
    "flow.npz": [_flow()],
    "net.pt": [
        form(helpers.residual_weights("edsr", 2))
        for form in (helpers.torch_pickles, helpers.torch_zip)
    ],
}
"""For each name: undamaged files."""


def read(path):
    """Reads a file as the program does; returns the error if it is refused."""
    try:
        if path.suffix in (".mat", ".npy") or path.name == "k.npz":
            found = kernel_files.read(path)
            assert found.dtype == np.float64 and found.size <= 256**2
        elif path.suffix == ".image":
            found = image_files.read(path).pixels
            assert found.ndim == 3
        elif path.suffix == ".jsonl":
            assert all(isinstance(image, str) for _, image in manifest.read(path))
        elif path.suffix == ".json":
            files.read_json(path)
            folders.owner_of(path.parent)
        elif path.suffix == ".pt":
            read_torch(path, network="EDSR")
        else:
            load(path)
    except (kernel_files.KernelFileError, image_files.ImageError) as error:
        assert str(error).startswith(f"{path}: ") and "\n" not in str(error)
        return error
    except ValueError as error:
        kind = ": " if path.suffix == ".pt" else " holds no flow"
        assert str(error).startswith(f"{path}{kind}") and "\n" not in str(error)
        return error
    return None
