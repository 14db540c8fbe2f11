"""Networks of other papers: their files, and what they compute, on made-up weights."""

import sys

import helpers
import jax
import numpy as np
import pytest
import scipy.signal
from scipy.special import expit

from kernelgan_jax.super_resolution import METHODS, plan, super_resolve_planned
from kernelgan_jax.super_resolution.published import (
    methods,
    onnx_network,
    rdn,
    residual,
    srmd,
    torch_files,
    usrnet,
)

RANDOM = np.random.default_rng(0)


def random_usrnet(path):
    """The tiny USRNet with random weights, and these weights."""
    with np.load(helpers.usrnet_file()) as file:
        arrays = {
            name: 0.3 * RANDOM.standard_normal(file[name].shape).astype(np.float32)
            for name in file.files
        }
    np.savez(path, **arrays)
    return arrays


def conv(x, weight):
    """Correlation of `C x H x W` with weights of output x input x 3 x 3."""
    return np.stack(
        [sum(scipy.signal.correlate2d(p, w, "same") for p, w in zip(x, ws, strict=True))
         for ws in weight]
    )  # fmt: skip


def halve(x, weight):
    return sum(
        np.einsum("oi,ihw->ohw", weight[..., a, b], x[:, a::2, b::2])
        for a in (0, 1) for b in (0, 1)
    )  # fmt: skip


def double(x, weight):
    out = np.zeros((weight.shape[1], 2 * x.shape[1], 2 * x.shape[2]))
    for a in (0, 1):
        for b in (0, 1):
            out[:, a::2, b::2] = np.einsum("io,ihw->ohw", weight[..., a, b], x)
    return out


def with_skip(x, weights, name):
    inner = np.maximum(conv(x, weights[f"p.{name}.res.0.weight"]), 0)
    return x + conv(inner, weights[f"p.{name}.res.2.weight"])


def test_the_denoiser_of_usrnet_is_that_of_the_paper(tmp_path):
    """In plain NumPy, with the layers as PyTorch defines them."""
    weights = random_usrnet(tmp_path / "net.npz")
    network = usrnet.load(tmp_path / "net.npz")
    image = RANDOM.standard_normal((8, 16, 4)).astype(np.float32)
    x = conv(image.transpose(2, 0, 1), weights["p.m_head.weight"])
    skipped = []
    for level in (1, 2, 3):
        skipped.append(x)
        x = with_skip(x, weights, f"m_down{level}.0")
        x = halve(x, weights[f"p.m_down{level}.1.weight"])
    x = x + with_skip(x, weights, "m_body.0")
    for level in (3, 2, 1):
        x = double(x, weights[f"p.m_up{level}.0.weight"])
        x = with_skip(x, weights, f"m_up{level}.1") + skipped.pop()
    expected = conv(x, weights["p.m_tail.weight"]).transpose(1, 2, 0)
    found = network.denoiser.apply({"params": network.params}, image)
    np.testing.assert_allclose(found, expected, atol=1e-4)


def test_files_that_hold_no_usrnet(tmp_path):
    path = tmp_path / "net.npz"
    weights = random_usrnet(path)

    def refused(message, **changes):
        changed = {k: v for k, v in (weights | changes).items() if v is not None}
        np.savez(path, **changed)
        with pytest.raises(ValueError, match=message) as caught:
            usrnet.load(path)
        assert str(path) in str(caught.value) and "\n" not in str(caught.value)

    tail = "p.m_tail.weight"
    refused("has no weights p.m_tail.weight; it must hold USRNet", **{tail: None})
    refused("has unknown weights p.m_extra", **{"p.m_extra": np.zeros(1)})
    refused("have shape \\(1,\\); it must be \\(3, 3", **{tail: np.zeros(1)})
    refused("are not finite", **{tail: np.full_like(weights[tail], np.nan)})
    refused("are not finite", **{tail: weights[tail].astype(int)})
    refused("is not a file of USRNet", **{tail: np.array([{}], object)})
    data = helpers.usrnet_file().read_bytes()
    for damaged in (b"", b"text", data[: len(data) // 2]):
        path.write_bytes(damaged)
        with pytest.raises(ValueError, match="is not a file of USRNet"):
            usrnet.load(path)


def test_srmd_reads_layers_in_order(tmp_path):
    """The first layer, and the channels of the pixel shuffle of the last one."""
    path, pca = helpers.srmd_files(2)
    weights = srmd.load(path)
    assert weights.takes_noise and weights.network == srmd.SRMD(channels=4, scale=2)
    image = RANDOM.random((5, 6, 3)).astype(np.float32)
    data = bytearray(path.read_bytes())
    biases = np.arange(12, dtype="<f4")
    data[-biases.nbytes :] = biases.tobytes()
    path = tmp_path / "shuffled.bin"
    path.write_bytes(data)
    found = srmd.apply(srmd.load(path), image, np.zeros(15, np.float32), 0.0)
    shuffled = biases.reshape(3, 2, 2).transpose(1, 2, 0)
    expected = image.repeat(2, 0).repeat(2, 1) + np.tile(shuffled, (5, 6, 1))
    np.testing.assert_allclose(found, expected, atol=1e-5)
    kernel = helpers.gaussian(2, size=13, variances=(3.0, 1.5))
    assert srmd.code(kernel, srmd.load_pca(pca), scale=2)[0] > 0.02


def test_files_that_hold_no_srmd(tmp_path):
    data = helpers.srmd_files(2)[0].read_bytes()
    path = tmp_path / "net.bin"
    nan = np.full(3, np.nan, "<f4").tobytes()
    for damaged, message in (
        (b"", "is not a file of SRMD"),
        (data[:-4], "is not a file of SRMD"),
        (bytes(4) + data[4:], "is not a file of SRMD"),
        (data[:4] + bytes(len(data) - 4), "is damaged; layer 1 has no weights"),
        (data[:-12] + nan, "layer 11 has weights that are not finite"),
    ):
        path.write_bytes(damaged)
        with pytest.raises(ValueError, match=message):
            srmd.load(path)
    path.write_text("text")
    with pytest.raises(ValueError, match="is no .npy of an array"):
        srmd.load_pca(path)
    np.save(tmp_path / "pca.npy", np.zeros((15, 15)))
    with pytest.raises(ValueError, match="of shape \\(15, 15\\); it must be 15 x 225"):
        srmd.load_pca(tmp_path / "pca.npy")


def test_files_that_hold_no_rdn(tmp_path):
    good = helpers.rdn_file(2)
    text, data = good.read_text(), good.with_name("shard.bin").read_bytes()
    path, shard = tmp_path / "model.json", tmp_path / "shard.bin"
    for model, weights, message in (
        ("", data, "is not a file of RDN; it must be the model.json"),
        ("{}", data, "is not a file of RDN"),
        (text.replace("shard.bin", "../shard.bin"), data, "is not a file of RDN"),
        (text, data[:-1], "is not a file of RDN"),
        (text, data + b"1", "is not a file of RDN"),
        (text.replace("0.004", "1e999"), data, "is not a file of RDN"),
        (text.replace("UPN2/bias", "UPN9/bias"), data, "has no weights UPN2/bias"),
        (text.replace("[5, 5, 3, 3]", "[25, 1, 3, 3]"), data, "UPN1/kernel have shape"),
    ):
        path.write_text(model)
        shard.write_bytes(weights)
        with pytest.raises(ValueError, match=message):
            rdn.load(path)


def random_residual(method):
    """Random weights of a tiny EDSR or RCAN for x2."""
    return {
        name: 0.3 * RANDOM.standard_normal(array.shape).astype(np.float32)
        for name, array in helpers.residual_weights(method, 2).items()
    }


@pytest.mark.parametrize("form", [helpers.torch_zip, helpers.torch_pickles])
@pytest.mark.parametrize("method", ["edsr", "rcan"])
def test_residual_networks_are_those_of_the_papers(tmp_path, method, form):
    """In plain NumPy, with the layers as PyTorch defines them; from both its forms."""
    weights = random_residual(method)
    path = tmp_path / "net.pt"
    path.write_bytes(form(weights))

    def layer(x, name):
        weight, bias = weights[f"{name}.weight"], weights[f"{name}.bias"]
        return conv(x, weight) + bias[:, None, None]

    def block(x, name):
        inner = np.maximum(layer(x, f"{name}.0"), 0)
        found = layer(inner, f"{name}.2")
        if method == "rcan":
            mean = found.mean((1, 2), keepdims=True)
            inner = np.maximum(layer(mean, f"{name}.3.conv_du.0"), 0)
            found = found * expit(layer(inner, f"{name}.3.conv_du.2"))
        return x + found

    image = RANDOM.random((6, 7, 3)).astype(np.float32)
    x = first = layer(layer(255 * image.transpose(2, 0, 1), "sub_mean"), "head.0")
    if method == "rcan":
        inner = block(x, "body.0.body.0.body")
        x = x + layer(inner, "body.0.body.1")
    else:
        x = block(x, "body.0.body")
    x = layer(first + layer(x, "body.1"), "tail.0.0")
    x = x.reshape(-1, 2, 2, 6, 7).transpose(0, 3, 1, 4, 2).reshape(-1, 12, 14)
    expected = layer(layer(x, "tail.1"), "add_mean").transpose(1, 2, 0) / 255
    found = residual.load(path, network=method.upper())
    assert found.network.scale == 2
    result = found.network.apply({"params": found.params}, image)
    np.testing.assert_allclose(result, expected, rtol=1e-3, atol=1e-3)


def test_files_that_hold_no_residual_network(tmp_path):
    path = tmp_path / "net.pt"
    weights = random_residual("edsr")
    whole, old = helpers.torch_zip(weights), helpers.torch_pickles(weights)
    wider = weights | {"tail.0.0.weight": np.zeros((12, 4, 3, 3), np.float32)}
    nan = weights | {"body.1.bias": np.full(4, np.nan, np.float32)}
    damaged = [b"", b"text", whole[:300], old[:-300], old.replace(b"tQ", b"t0")]
    for data, message in (
        *(
            (data, "is not a file of EDSR; it must be the state_dict")
            for data in damaged
        ),
        (helpers.torch_zip({}), "holds no tensors by name; it must hold EDSR"),
        (helpers.torch_zip(wider), "weights tail.0.0.weight make 3 pixels of one"),
        (helpers.torch_zip(nan), "weights body.1.bias are not finite"),
        (
            helpers.torch_zip(random_residual("rcan")),
            "has no weights body.0.weight; it",
        ),
    ):
        path.write_bytes(data)
        with pytest.raises(ValueError, match=message):
            residual.load(path, network="EDSR")
    path.write_bytes(whole)
    with pytest.raises(ValueError, match="has no weights body.0.body.0.body.3.conv_du"):
        residual.load(path, network="RCAN")


@pytest.mark.parametrize(
    "function",
    ["os\nsystem", "builtins\neval", "torch.nn\nConv2d", "torch._utils\n__dict__"],
)
def test_nothing_in_a_file_of_torch_is_executed(tmp_path, function):
    weights = {"a": np.zeros(1, np.float32)}
    pickled = helpers.torch_pickle(weights, function=function)
    path = tmp_path / "net.pt"
    path.write_bytes(helpers.torch_zip(weights, pickled=pickled))
    name = function.replace("\n", ".")
    with pytest.raises(ValueError, match=f"holds Python's {name}, not weights alone"):
        torch_files.read_torch(path, network="EDSR")


@pytest.mark.parametrize("options", [{}, {"channels": 1}, {"kind": 10}])
def test_networks_of_onnx(tmp_path, options):
    """Of three channels and of one, of single and half precision, with white at 255."""
    path = tmp_path / "net.onnx"
    path.write_bytes(helpers.onnx_bytes(3, **options))
    weights = onnx_network.load(path)
    assert weights.network.scale == 3
    image = RANDOM.random((5, 6, 3)).astype(np.float32)
    found = onnx_network.apply(weights, image, peak=255.0)
    np.testing.assert_allclose(found, image.repeat(3, 0).repeat(3, 1), atol=1e-3)


def test_files_that_hold_no_network_of_onnx(tmp_path, monkeypatch):
    made = helpers.onnx_bytes
    half = made(2).replace(np.float32(1).tobytes(), np.float32(np.inf).tobytes())
    path = tmp_path / "net.onnx"
    for data, message in (
        (b"", "is not a file of ONNX that can be run"),
        (made(2)[:-40], "is not a file of ONNX that can be run"),
        (made(2, channels=4), "takes 4 channels; it must be 1 or 3"),
        (made(2, inputs=("image", "kernel")), "takes image, kernel; it must take one"),
        (made(2, sides=(64, 32)), "takes images of 32x64 pixels alone; export it"),
        (made(2, sides=("h", 32)), "takes images of 32xh pixels alone"),
        (half, "gives values that are not finite"),
    ):
        path.write_bytes(data)
        with pytest.raises(ValueError, match=message) as caught:
            onnx_network.load(path)
        assert str(path) in str(caught.value) and "\n" not in str(caught.value)
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(ImportError, match="needs ONNX Runtime: pip install"):
        onnx_network.load(path)


@pytest.mark.parametrize("method", ["usrnet", "srmd"])
def test_without_a_file_or_with_that_of_another_scale(method):
    group = METHODS[method].config
    image, kernel = helpers.smooth(24, 24), helpers.gaussian(2)
    planned = plan(kernel, scale=2, method=method)
    with pytest.raises(ValueError, match=f"config.{method}.weights is ''; it must be"):
        super_resolve_planned([jax.random.key(0)], [image], [planned])
    if method == "srmd":
        weights, pca = map(str, helpers.srmd_files(3))
        with pytest.raises(ValueError, match="is for scale 3, not 2"):
            methods.networks(group(weights=weights, pca=pca), 2)
