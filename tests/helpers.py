"""Image and kernel makers, tiny settings and small checks that many tests share."""

import functools
import io
import json
import os
import pickle
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import scipy.ndimage
from PIL import Image as pillow

from kernelgan_jax import blur_kernels, degradation, kernels, resize
from kernelgan_jax.estimators.spectral import compared_kernels, kernel_scores
from kernelgan_jax.estimators.spectral.picture_statistics import COUNT

ROOT = Path(__file__).parents[1]
"""Folder of the repository."""
PHOTO = ROOT / "examples/images/chelsea.png"
"""A photograph in the repository, 226 x 150 pixels, RGB."""
HISTORY_NAMES = "generator discriminator bicubic sum boundary centre sparsity".split()
"""Losses that KernelGAN records, without the suffix `_loss`."""

# --- Tiny settings ---

TINY_KERNELGAN = {
    "iterations": 6,
    "generator_kernels": (5, 3),
    "generator_channels": 4,
    "discriminator_channels": 4,
    "discriminator_blocks": 1,
}
"""Settings of KernelGAN that are compiled and run in seconds; the kernel is 7 x 7."""
TINY_ZSSR = {"iterations": 20, "layers": 3, "channels": 4, "crop": 32}
"""Settings of ZSSR that are compiled and run in seconds."""
TINY_FLOW = {"steps": 300, "depth": 4, "hidden": 16, "learning_rate": 3e-3}
"""Settings of `priors.flow.fit` that are compiled and run in seconds."""


def flags(group, settings):
    """Command-line flags of a group's settings: `--config.kernelgan.iterations=6`."""
    chosen = ["--sr=zssr_fast"] if group == "zssr" else []
    values = [f"--config.{group}.{name}={value}" for name, value in settings.items()]
    return chosen + values


# --- Made-up weights of published networks ---


@functools.cache
def usrnet_file():
    """An `.npz` of a tiny USRNet whose denoiser returns the image as it is."""
    arrays = {}
    channels = (3, 2, 2, 2)

    def add(name, out, into, side=3):
        arrays[f"p.{name}.weight"] = np.zeros((out, into, side, side), np.float32)

    add("m_head", 3, 4)
    add("m_tail", 3, 3)
    for level in range(3):
        here, below = channels[level : level + 2]
        add(f"m_down{level + 1}.1", below, here, 2)
        add(f"m_up{level + 1}.0", below, here, 2)  # input first
        for name in (f"m_down{level + 1}.0", f"m_up{level + 1}.1"):
            for layer in (0, 2):
                add(f"{name}.res.{layer}", here, here)
    for layer in (0, 2):
        add(f"m_body.0.res.{layer}", channels[3], channels[3])
    for name in ("m_head", "m_tail"):
        arrays[f"p.{name}.weight"][range(3), range(3), 1, 1] = 1
    for index, (out, into) in enumerate([(2, 2), (2, 2), (4, 2)]):
        weight = np.zeros((out, into, 1, 1), np.float32)
        arrays[f"h.mlp.{2 * index}.weight"] = weight
        arrays[f"h.mlp.{2 * index}.bias"] = np.full(out, -6.0, np.float32)
    path = Path(tempfile.mkdtemp(prefix="usrnet")) / "made_up.npz"
    np.savez(path, **arrays)
    return path


@functools.cache
def srmd_files(scale):
    """A `.bin` of a tiny SRMD that repeats pixels, and a matrix for its kernels.

    One channel of the result depends on the kernel, so that one sees that it is used.
    """
    code, channels = 15, 4
    data = b""
    widths = [3 + code + 1, *[channels] * 11, 3 * scale**2]
    for layer, (into, out) in enumerate(zip(widths, widths[1:], strict=False)):
        weight = np.zeros((out, into, 3, 3), "<f2")
        if layer < 11:
            weight[range(3), range(3), 1, 1] = 1
            weight[3, 3, 1, 1] = 1
        else:
            weight[range(out), np.arange(out) // scale**2, 1, 1] = 1
            weight[: scale**2, 3, 1, 1] = 0.02
        values = weight.tobytes()
        data += np.array(0x01306B47, "<u4").tobytes()
        data += values + bytes(-len(values) % 4) + np.zeros(out, "<f4").tobytes()
    folder = Path(tempfile.mkdtemp(prefix="srmd"))
    path, pca = folder / f"made_up_x{scale}.bin", folder / "pca.npy"
    path.write_bytes(data)
    matrix = np.zeros((code, 15, 15), np.float32)
    matrix[0, 7, 7] = 1
    np.save(pca, matrix.reshape(code, -1))
    return path, pca


@functools.cache
def rdn_file(scale):
    """The `model.json` of a tiny RDN that repeats pixels, with 8-bit weights."""
    out, data, entries = 3 * scale**2, b"", []

    def add(name, *shape, ones=()):
        nonlocal data
        kernel = np.zeros(shape, np.uint8)
        for into, to in ones:
            kernel[shape[0] // 2, shape[1] // 2, into, to] = 250
        coded = {"dtype": "uint8", "min": 0.0, "scale": 0.004}
        for part, array in (("kernel", kernel), ("bias", np.zeros(shape[3], "u1"))):
            entry = {"name": f"{name}/{part}", "shape": array.shape}
            entries.append(entry | {"dtype": "float32", "quantization": coded})
            data += array.tobytes()

    same = [(i, i) for i in range(3)]
    add("F_m1", 3, 3, 3, 3, ones=same)
    add("F_0", 3, 3, 3, 3)
    add("F_1_1", 3, 3, 3, 2)
    add("LFF_1", 1, 1, 5, 3)
    add("GFF_1", 1, 1, 3, 3)
    add("GFF_2", 3, 3, 3, 3)
    add("UPN1", 5, 5, 3, 3, ones=same)
    add("UPN2", 3, 3, 3, 3, ones=same)
    add("UPN3", 3, 3, 3, out, ones=same)
    add("SR", 3, 3, out, 3, ones=same)
    path = Path(tempfile.mkdtemp(prefix="rdn")) / "model.json"
    path.with_name("shard.bin").write_bytes(data)
    manifest = [{"paths": ["shard.bin"], "weights": entries}]
    path.write_text(json.dumps({"weightsManifest": manifest}))
    return path


def residual_weights(method, scale, *, channels=4):
    """Weights of a tiny EDSR or RCAN that repeats pixels, by the names of PyTorch."""
    weights = {}

    def add(name, out, into, side=3):
        kernel = np.zeros((out, into, side, side), np.float32)
        weights[f"{name}.weight"] = kernel
        weights[f"{name}.bias"] = np.zeros(out, np.float32)
        return kernel

    for name, sign in (("sub_mean", -1), ("add_mean", 1)):
        add(name, 3, 3, 1)[..., 0, 0] = np.eye(3)
        weights[f"{name}.bias"] += sign * np.array([114.4, 111.5, 103.0], np.float32)
    add("head.0", channels, 3)[range(3), range(3), 1, 1] = 1
    for part in ("body.0.body.0", "body.0.body.2"):
        add(part if method == "edsr" else f"body.0.{part}", channels, channels)
    if method == "rcan":
        add("body.0.body.0.body.3.conv_du.0", 2, channels, 1)
        add("body.0.body.0.body.3.conv_du.2", channels, 2, 1)
        add("body.0.body.1", channels, channels)
    add("body.1", channels, channels)
    for index, factor in enumerate({1: (), 4: (2, 2)}.get(scale, (scale,))):
        out = channels * factor**2
        shuffled = add(f"tail.0.{2 * index}", out, channels)
        shuffled[range(out), np.arange(out) // factor**2, 1, 1] = 1
    add("tail.1", 3, channels)[range(3), range(3), 1, 1] = 1
    return weights


def torch_pickle(weights, *, function="torch._utils\n_rebuild_tensor_v2"):
    """The pickle that PyTorch writes of a dictionary of arrays of float32."""

    def text(value):
        return b"X" + len(value).to_bytes(4, "little") + value.encode()

    def number(value):
        return b"J" + int(value).to_bytes(4, "little", signed=True)

    def numbers(values):
        return b"(" + b"".join(map(number, values)) + b"t"

    data = b"\x80\x02ccollections\nOrderedDict\n)R("
    for index, (name, array) in enumerate(weights.items()):
        strides = np.array(array.strides) // array.itemsize
        storage = text("storage") + b"ctorch\nFloatStorage\n" + text(f"{index}")
        storage = b"(" + storage + text("cpu") + number(array.size) + b"tQ"
        data += text(name) + f"c{function}\n(".encode() + storage + number(0)
        data += numbers(array.shape) + numbers(strides)
        data += b"\x89ccollections\nOrderedDict\n)RtR"
    return data + b"u."


def torch_zip(weights, *, pickled=None):
    """A file as PyTorch writes it of a dictionary of arrays of float32."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("net/data.pkl", pickled or torch_pickle(weights))
        for index, array in enumerate(weights.values()):
            archive.writestr(f"net/data/{index}", array.tobytes())
    return file.getvalue()


def torch_pickles(weights):
    """A file as PyTorch wrote it before version 1.6: pickles, then the arrays."""
    head = (0x1950A86A20F9469CFC6C, 1001, {"little_endian": True})
    data = b"".join(pickle.dumps(value, 2) for value in head) + torch_pickle(weights)
    data += pickle.dumps([f"{index}" for index in range(len(weights))], 2)
    for array in weights.values():
        data += array.size.to_bytes(8, "little") + array.tobytes()
    return data


@functools.cache
def residual_file(method, scale):
    """A file of PyTorch with a tiny EDSR or RCAN that repeats pixels."""
    path = Path(tempfile.mkdtemp(prefix=method)) / f"made_up_x{scale}.pt"
    path.write_bytes(torch_zip(residual_weights(method, scale)))
    return path


def protobuf(*fields):
    """Bytes of a protobuf message: pairs of a field's number and its value, an integer,
    a text, or bytes, which may be another message."""

    def varint(value):
        low, rest = value & 127, value >> 7
        return bytes([low | 128]) + varint(rest) if rest else bytes([low])

    data = b""
    for number, value in fields:
        if isinstance(value, int):
            data += varint(8 * number) + varint(value)
        else:
            value = value.encode() if isinstance(value, str) else value
            data += varint(8 * number + 2) + varint(len(value)) + value
    return data


def onnx_bytes(scale, *, channels=3, sides=("h", "w"), inputs=("image",), kind=1):
    """A file of ONNX that repeats pixels: a 1 x 1 convolution and a pixel shuffle.

    Args:
      scale: Its scale.
      channels: Its channels.
      sides: Height and width, numbers or names.
      inputs: Names of its inputs, of which it uses the first.
      kind: Type of the pixels: 1 is float32, 10 float16, 11 float64.
    """
    weight = np.zeros((scale**2, channels, channels), "<f4") + np.eye(channels)
    raw = weight.astype({1: "<f4", 10: "<f2", 11: "<f8"}[kind]).tobytes()

    def array(name, *shape):
        dims = [(1, protobuf((2 - isinstance(n, int), n))) for n in shape]
        dims = protobuf(*dims)
        return protobuf((1, name), (2, protobuf((1, protobuf((1, kind), (2, dims))))))

    def node(kind, source, result, *attributes):
        names = [(1, name) for name in source] + [(2, result)]
        return protobuf(*names, (4, kind), *((5, each) for each in attributes))

    size = [(1, side) for side in (scale**2 * channels, channels, 1, 1)]
    blocksize = protobuf((1, "blocksize"), (3, scale), (20, 2))
    graph = protobuf(
        (1, node("Conv", [inputs[0], "weight"], "seen")),
        (1, node("DepthToSpace", ["seen"], "result", blocksize)),
        (2, "network"),
        (5, protobuf(*size, (2, kind), (8, "weight"), (9, raw))),
        *((11, array(name, 1, channels, *sides)) for name in inputs),
        (12, array("result", 1, channels, "H", "W")),
    )
    return protobuf((1, 8), (7, graph), (8, protobuf((1, ""), (2, 13))))


@functools.cache
def onnx_file(scale):
    """A file of ONNX of a network that repeats pixels."""
    path = Path(tempfile.mkdtemp(prefix="onnx")) / f"made_up_x{scale}.onnx"
    path.write_bytes(onnx_bytes(scale))
    return path


# --- Images ---


def noise(*shape, seed=0, dtype=np.uint8):
    """Independent, evenly distributed pixels of an integer type.

    The first two values are the smallest and the largest of the type, so that each
    swap, shift and lost bit shows.
    """
    top = np.iinfo(dtype).max
    pixels = np.random.default_rng(seed).integers(0, top, shape, dtype, endpoint=True)
    pixels.flat[:2] = 0, top
    return pixels


def ramps(height, width):
    """RGB in uint8 that survives JPEG within a few gray levels and has no symmetry."""
    rows, columns = np.mgrid[:height, :width]
    channels = rows * 200 // height, columns * 250 // width, 0 * rows + 90
    return np.stack(channels, axis=-1).astype(np.uint8)


def smooth(height, width, channels=3, *, seed=0):
    """Blurred noise (standard deviation 1.5 pixels) that fills [0, 1], float32."""
    values = np.random.default_rng(seed).random((height, width, channels))
    image = scipy.ndimage.gaussian_filter(values, (1.5, 1.5, 0))
    return ((image - image.min()) / np.ptp(image)).astype(np.float32)


def clouds(height, width, *, seed=0):
    """Coarse noise enlarged 8 times, RGB in [0, 1], float64."""
    rng = np.random.default_rng(seed)
    coarse = rng.random((height // 8 + 1, width // 8 + 1, 3))
    return np.clip(resize.bicubic_resize(coarse, 8)[:height, :width], 0, 1)


def power_law(height, width, *, exponent=2.2, contrast=0.1, seed=0):
    """A gray image with the spectrum `frequency**-exponent`, which wraps around.

    Its mean is 0.5 and its standard deviation `contrast`, `H x W` float64.
    """
    rows, columns = np.fft.fftfreq(height), np.fft.fftfreq(width)
    radius = np.hypot(rows[:, None], columns)
    radius[0, 0] = np.inf
    white = np.fft.fft2(np.random.default_rng(seed).standard_normal((height, width)))
    image = np.fft.ifft2(white * radius ** (-exponent / 2)).real
    return 0.5 + contrast * (image - image.mean()) / image.std()


def dead_leaves(height, width, *, count=3000, seed=0):
    """Ellipses of all sizes that hide each other: edges and a spectrum as photographs
    have them; float32."""
    rng = np.random.default_rng(seed)
    image = np.zeros((height, width), np.float32)
    rows, columns = np.indices(image.shape)
    for _ in range(count):
        radius = min(3 / np.sqrt(1 - rng.uniform()), height / 4)
        row, column = rng.uniform(0, height), rng.uniform(0, width)
        longer, angle = rng.uniform(0.5, 1.6), rng.uniform(0, np.pi)
        reach = int(2 * radius) + 1
        near = tuple(
            slice(max(int(middle) - reach, 0), int(middle) + reach)
            for middle in (row, column)
        )
        down, right = rows[near] - row, columns[near] - column
        along = down * np.cos(angle) + right * np.sin(angle)
        across = right * np.cos(angle) - down * np.sin(angle)
        inside = (along * longer) ** 2 + (across / longer) ** 2 < radius**2
        image[near][inside] = rng.uniform(0.1, 0.9)
    return image


def texture(height, width, *, seed=0):
    """An RGB image of a natural spectrum, made by a known x2 kernel; uint8."""
    rng = np.random.default_rng(seed)
    shape = (2 * height, 2 * width)
    frequency = np.hypot(*np.meshgrid(*map(np.fft.fftfreq, shape), indexing="ij"))
    spectrum = rng.normal(size=(3, *shape)) + 1j * rng.normal(size=(3, *shape))
    hr = np.fft.ifft2(spectrum / np.maximum(frequency, 1 / height)).real
    hr = 0.5 + 0.15 * (hr - hr.mean()) / hr.std()
    kernel = blur_kernels.gaussian(11, variances=(3.0, 1.5), angle=0.6, scale=2)
    lr = degradation.downscale(np.moveaxis(hr, 0, -1), kernel, 2)
    return np.clip(255 * lr, 0, 255).round().astype(np.uint8)


@functools.cache
def photo_uint8():
    """The photograph of the examples, 150 x 226 x 3 uint8; read-only."""
    with pillow.open(PHOTO) as image:
        pixels = np.array(image)
    pixels.flags.writeable = False
    return pixels


@functools.cache
def photo():
    """The photograph of the examples, 150 x 226 x 3 float32 in [0, 1]; read-only."""
    image = np.divide(photo_uint8(), np.float32(255), dtype=np.float32)
    image.flags.writeable = False
    return image


# --- Kernels ---


def network_preferring(place):
    """A network of the second look that scores the kernel of one place in its inputs
    highest."""
    size = len(kernel_scores.network().mean)
    first = size - 2 * COUNT - compared_kernels.PLACES
    hidden = np.zeros((1, size, 1), np.float32)
    hidden[0, first + place] = 1
    return kernel_scores.Network(
        np.zeros(size), np.ones(size), hidden, np.zeros((1, 1)), np.full((1, 1), 100.0)
    )


def gaussian(scale=2, *, size=9, variances=(2.0, 1.0), angle=0.5):
    """An anisotropic Gaussian kernel aligned for a scale."""
    return blur_kernels.gaussian(size, variances=variances, angle=angle, scale=scale)


def variances(kernel):
    """Variances of a kernel along its principal axes, the smaller first."""
    return np.linalg.eigvalsh(kernels.covariance(kernel))


# --- Files ---


def write_image(path, pixels):
    """Writes uint8 pixels as the file's name says, by Pillow; returns the path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pillow.fromarray(np.squeeze(pixels)).save(path)
    return path


def contents(folder):
    """All files below a folder: path relative to the folder -> bytes."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def strict_json(path):
    """Reads JSON as other languages do: NaN and Infinity are refused."""

    def refuse(name):
        raise ValueError(name)

    return json.loads(path.read_text(), parse_constant=refuse)


class Gone(io.StringIO):
    """A stream that nobody reads any more."""

    encoding = "utf-8"

    def write(self, text):
        raise BrokenPipeError(32, "Broken pipe")

    def flush(self):
        raise BrokenPipeError(32, "Broken pipe")

    isatty = flush


def mutated(data, rng):
    """Bytes of a file with some of them changed, cut out, doubled or moved."""
    data = bytearray(data)
    for _ in range(rng.integers(1, 5)):
        if not data:
            break
        at = int(rng.integers(len(data)))
        kind = rng.integers(5)
        if kind == 0:
            data[at] ^= 1 << int(rng.integers(8))
        elif kind == 1:
            data[at] = rng.choice([0, 1, 127, 128, 255])
        elif kind == 2:
            size = int(rng.choice([0, 1, 2**31 - 1, 2**31, 2**32 - 1, 2**16]))
            order = rng.choice(["little", "big"])
            data[at : at + 4] = size.to_bytes(4, order)
        elif kind == 3:
            del data[at : at + int(rng.integers(1, 64))]
        else:
            data[at:at] = data[at // 2 : at // 2 + int(rng.integers(1, 64))]
    return bytes(data)


# --- Derivatives by finite differences, of functions of a pytree ---


def direction_like(tree, *, seed=1):
    """Normal numbers in the shapes and types of a pytree."""
    leaves, structure = jax.tree.flatten(tree)
    keys = jax.random.split(jax.random.key(seed), len(leaves))
    values = [
        jax.random.normal(k, x.shape, x.dtype)
        for k, x in zip(keys, leaves, strict=True)
    ]
    return jax.tree.unflatten(structure, values)


def moved(tree, direction, step):
    """A pytree moved by a step along a direction."""
    return jax.tree.map(lambda x, d: x + step * d, tree, direction)


def slope(function, at, direction, *, step=1e-5):
    """Derivative of a function along a direction by central differences."""
    ahead, behind = (function(moved(at, direction, s)) for s in (step, -step))
    return (ahead - behind) / (2 * step)


def along(gradient, direction):
    """Inner product of a gradient and a direction."""
    products = jax.tree.map(lambda g, d: (g * d).sum(), gradient, direction)
    return sum(jax.tree.leaves(products))


# --- Weights in the golden files as this project's parameters ---


def generator_params(golden, prefix=""):
    """Filters `g0`, `g1`, ... of a golden file (out x in x h x w) as parameters."""
    names = [name for name in golden.files if name.startswith(prefix + "g")]
    names = sorted(n for n in names if n[len(prefix) + 1 :].isdigit())
    return {
        f"filter_{i}": jnp.asarray(golden[name].transpose(2, 3, 1, 0))
        for i, name in enumerate(names)
    }


def discriminator_variables(golden, prefix):
    """A discriminator's weights in a golden file as Flax variables."""
    params, vectors = {}, {}

    def conv(ours, theirs):
        weight = golden[f"{prefix}{theirs}.weight_orig"].transpose(2, 3, 1, 0)
        params[ours] = {
            "kernel": jnp.asarray(weight),
            "bias": jnp.asarray(golden[f"{prefix}{theirs}.bias"]),
        }
        vectors[ours] = {"u": jnp.asarray(golden[f"{prefix}{theirs}.weight_u"])}

    conv("first", "first_layer")
    for i in range(5):
        conv(f"conv_{i}", f"feature_block.{3 * i}")
        norm = f"{prefix}feature_block.{3 * i + 1}"
        params[f"norm_{i}"] = {
            "scale": jnp.asarray(golden[f"{norm}.weight"])[:, None],
            "shift": jnp.asarray(golden[f"{norm}.bias"])[:, None],
        }
    conv("last", "final_layer.0")
    return {"params": params, "singular_vectors": vectors}


# --- Other processes ---


def imported(code, *modules):
    """Which of some modules a process has imported after Python code."""
    code += f"\nimport sys; print(*set(sys.modules) & {set(modules)})"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    return set(done.stdout.split())


def run_on_8_devices(code, *arguments):
    """Runs Python code in a process whose CPU has eight devices, for `sys.argv`."""
    flags = os.environ.get("XLA_FLAGS", "")
    environment = os.environ | {
        "XLA_FLAGS": f"{flags} --xla_force_host_platform_device_count=8",
        "JAX_PLATFORMS": "cpu",
        "JAX_DISABLE_MOST_OPTIMIZATIONS": "true",  # as in the tests that compare
    }
    subprocess.run(
        [sys.executable, "-c", code, *arguments], env=environment, check=True
    )
