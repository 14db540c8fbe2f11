"""Files of weights of PyTorch (`.pt`, `.pth`), read without PyTorch.

They are pickles, which can name any function to be called. Here a pickle can name a
dictionary, the types of a tensor's numbers, and "make a tensor of these numbers";
anything else is refused before it is looked for. Both forms are read: a zip with the
pickle and a file for each array (since PyTorch 1.6), and pickles one after the other
with the arrays behind them, as most published weights are.
"""

import collections
import io
import math
import pickle
import zipfile
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from kernelgan_jax.super_resolution.published.files import MAX_BYTES, Layers, read_bytes

_MAGIC = 0x1950A86A20F9469CFC6C
"""The first pickle of a file without a zip."""

_NUMBERS = {
    "FloatStorage": "<f4",
    "DoubleStorage": "<f8",
    "HalfStorage": "<f2",
    "LongStorage": "<i8",
    "IntStorage": "<i4",
}


class _Tensor(NamedTuple):
    """A tensor whose numbers have not been read yet."""

    storage: str
    """Name of the array that holds its numbers."""
    kind: str
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


def _tensor(
    storage: tuple[str, str],
    offset: int,
    shape: tuple[int, ...],
    strides: tuple[int, ...],
    *_: Any,
) -> _Tensor:
    """A tensor, as a pickle describes it."""
    name, kind = storage
    return _Tensor(name, kind, int(offset), tuple(shape), tuple(strides))


# In Python: the memo of the one in C is an array, which a damaged file can make huge.
class _Unpickler(pickle._Unpickler):  # type: ignore[name-defined,misc]
    """Reads a pickle that holds plain values, dictionaries and tensors."""

    def find_class(self, module: str, name: str) -> Any:
        """What a pickle may name."""
        if (module, name) == ("collections", "OrderedDict"):
            return collections.OrderedDict
        if module == "torch" and name in _NUMBERS:
            return _NUMBERS[name]
        if (module, name) in (
            ("torch._utils", "_rebuild_tensor"),
            ("torch._utils", "_rebuild_tensor_v2"),
        ):
            return _tensor
        if (module, name) == ("torch._utils", "_rebuild_parameter"):
            return lambda tensor, *rest: tensor
        raise _NotAllowed(ascii(f"{module}.{name}")[1:81].rstrip("'"))

    def persistent_load(self, pid: Any) -> tuple[str, str]:
        """The name and the type of an array: `("storage", type, name, place, ...)`."""
        kind, name = pid[1:3]
        if kind not in _NUMBERS.values() or any(pid[5:]):
            raise ValueError(f"{pid} is no array of its own")
        return str(name), kind


class _NotAllowed(ValueError):
    """The name of something that a pickle may not name."""


def read_torch(path: Path, *, network: str) -> Layers:
    """Reads the weights that `torch.save` wrote: a dictionary of tensors.

    Args:
      network: What it should hold, for messages.

    Raises:
      ValueError: If it holds something else.
      OSError: If it cannot be read.
    """
    data = read_bytes(path)
    try:
        zipped = data.startswith(b"PK")
        tensors, arrays = (_read_zip if zipped else _read_pickles)(io.BytesIO(data))
        # Those of nn.DataParallel have another name.
        found = {
            str(name).removeprefix("module."): _array(tensor, arrays)
            for name, tensor in tensors.items()
            if isinstance(tensor, _Tensor)
        }
    except _NotAllowed as error:
        raise ValueError(
            f"{path}: holds Python's {error}, not weights alone; save the network's "
            "state_dict()"
        ) from error
    except Exception as error:  # A damaged file makes the reader raise anything.
        raise ValueError(
            f"{path}: is not a file of {network}; it must be the state_dict() that "
            "PyTorch saved"
        ) from error
    if not found:
        raise ValueError(f"{path}: holds no tensors by name; it must hold {network}")
    return Layers(path, found, network)


def _read_zip(file: io.BytesIO) -> tuple[Any, dict[str, bytes]]:
    """The pickle of a zip, and its arrays by name."""
    with zipfile.ZipFile(file) as archive:
        if sum(entry.file_size for entry in archive.infolist()) > MAX_BYTES:
            raise ValueError("it is too large")
        (pickled,) = (n for n in archive.namelist() if n.endswith("/data.pkl"))
        folder = pickled.removesuffix(".pkl") + "/"
        order = pickled.removesuffix("data.pkl") + "byteorder"
        if order in archive.namelist() and archive.read(order) != b"little":
            raise ValueError("its numbers are big-endian")
        arrays = {
            name.removeprefix(folder): archive.read(name)
            for name in archive.namelist()
            if name.startswith(folder)
        }
        return _Unpickler(io.BytesIO(archive.read(pickled))).load(), arrays


def _read_pickles(file: io.BytesIO) -> tuple[Any, dict[str, bytes]]:
    """The weights of a file without a zip, and its arrays by name."""
    magic, _, system = (_Unpickler(file).load() for _ in range(3))
    if magic != _MAGIC or not system["little_endian"]:
        raise ValueError("it has another form")
    found, names = _Unpickler(file).load(), _Unpickler(file).load()
    tensors = [t for t in found.values() if isinstance(t, _Tensor)]
    kinds = {tensor.storage: tensor.kind for tensor in tensors}
    arrays = {}
    for name in names:
        count = int.from_bytes(file.read(8), "little")
        arrays[name] = file.read(count * np.dtype(kinds[name]).itemsize)
    return found, arrays


def _array(tensor: _Tensor, arrays: dict[str, bytes]) -> np.ndarray:
    """The array of a tensor."""
    numbers = np.frombuffer(arrays[tensor.storage], tensor.kind)
    count = math.prod(tensor.shape)
    # A contiguous tensor: its strides follow from its shape, where sides are not 1.
    steps = [math.prod(tensor.shape[axis + 1 :]) for axis in range(len(tensor.shape))]
    for side, stride, step in zip(tensor.shape, tensor.strides, steps, strict=True):
        if side != 1 and stride != step:
            raise ValueError("a tensor is not contiguous")
    return numbers[tensor.offset : tensor.offset + count].reshape(tensor.shape)
