"""Matrices in MATLAB's .mat files of versions 4 to 7, read within bounds.

`scipy.io.loadmat` trusts what a file says about itself: damaged files crash the whole
process, and small ones fill its memory. A kernel is a small full matrix of numbers, so
this reads only those, alone or in a cell array, in plain Python: sizes are compared
with what is there before anything is allocated, and compressed data are unpacked as far
as they are needed.

References:
  MathWorks, "MAT-File Format", 2024: levels 4 and 5.
"""

import io
import math
import struct
import zlib
from collections.abc import Iterator
from typing import IO, NamedTuple

import numpy as np

MAX_VARIABLES = 1000
"""Most variables of a file that is read."""

MAX_CELLS = 10000
"""Most cells of a cell array that is read."""

_NEW = (
    "is a MATLAB file of version 7.3 (HDF5); save it again with -v7: "
    "save(..., '-v7') in MATLAB"
)
"""What is wrong with a file of the version that this does not read."""

_HDF5 = b"\x89HDF\r\n\x1a\n"
"""First bytes of HDF5, which MATLAB puts behind 512 bytes of its own."""

_PREFIX = 4096
"""Bytes in which a variable's class, sides and name must lie."""

_MATRIX, _COMPRESSED = 14, 15
"""Types of the elements that hold a variable."""

_TYPES = {
    1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 9: "f8", 12: "i8",
    13: "u8",
}  # fmt: skip
"""NumPy's names for the types of numbers as they are stored."""

_CLASSES = {
    1: "cell array", 2: "struct", 3: "object", 4: "text", 5: "sparse matrix",
    6: "f8", 7: "f4", 8: "i1", 9: "u1", 10: "i2", 11: "u2", 12: "i4", 13: "u4",
    14: "i8", 15: "u8", 16: "function", 17: "object",
}  # fmt: skip
"""What a variable is: NumPy's name for a matrix of numbers, else a word."""

_TYPES_4 = ("f8", "f4", "i4", "i2", "u2", "u1")
"""NumPy's names for the types of level 4."""


class MatFileError(ValueError):
    """A .mat file that cannot be read; the message continues the file's name."""


class Variable(NamedTuple):
    """A variable of a file, which has not been read itself."""

    name: str
    """Its name."""
    kind: str
    """What it is: `matrix` of real numbers, or such as `cell array`."""
    shape: tuple[int, ...]
    """Its sides."""
    dtype: str
    """Type of its numbers, for a matrix."""
    start: int
    """Position of its data in the file."""
    size: int
    """Bytes of its data in the file."""
    order: str
    """`<` or `>`, the order of bytes."""
    packing: str
    """`raw` (level 4), `plain` or `zlib`."""


def variables(file: IO[bytes]) -> list[Variable]:
    """The variables of an open file.

    Raises:
      MatFileError: If it is no such file, or damaged.
    """
    end = file.seek(0, 2)
    file.seek(0)
    head = file.read(520)
    if head.startswith((_HDF5, b"MATLAB 7.3")) or head.endswith(_HDF5, 512):
        raise MatFileError(_NEW)
    try:
        if len(head) >= 20 and 0 in head[:4]:
            found = _level_4(file, end)
        else:
            found = _level_5(file, head, end)
        listed: list[Variable] = []
        for variable in found:
            if len(listed) == MAX_VARIABLES:
                raise MatFileError(f"has more than {MAX_VARIABLES} variables")
            listed.append(variable)
    except (struct.error, zlib.error) as error:
        raise MatFileError(f"is damaged or not a kernel ({error})") from error
    return listed


def read(file: IO[bytes], variable: Variable, max_values: int) -> np.ndarray:
    """The numbers of a matrix.

    Args:
      max_values: Most values that are read.

    Raises:
      MatFileError: If it is no matrix of real numbers, too large, or damaged.
    """
    name = variable.name
    if variable.kind == "sparse matrix":
        raise MatFileError(f"variable {name} is a sparse matrix; save full({name})")
    if variable.kind != "matrix":
        raise MatFileError(f"variable {name} is a {variable.kind}, not real numbers")
    count = math.prod(variable.shape)
    if count > max_values:
        size = " x ".join(map(str, variable.shape))
        raise MatFileError(
            f"variable {name} is {size}; at most {max_values} values are read"
        )
    try:
        values = _values(file, variable, count)
    except (struct.error, zlib.error) as error:
        raise MatFileError(f"is damaged ({error})") from error
    if len(values) != count:
        raise MatFileError(
            f"is damaged (variable {name} has {len(values)} of {count} values)"
        )
    return values.astype(variable.dtype).reshape(variable.shape, order="F")


def cells(
    file: IO[bytes], variable: Variable, max_bytes: int
) -> tuple[IO[bytes], list[Variable]]:
    """The cells of a cell array, column by column.

    Args:
      variable: One of `variables`, of level 5.
      max_bytes: Most bytes that are unpacked.

    Returns:
      A file to `read` the cells from, and the cells.

    Raises:
      MatFileError: If the cell array is too large or damaged.
    """
    name, count = variable.name, math.prod(variable.shape)
    if count > MAX_CELLS:
        raise MatFileError(f"variable {name} has {count} cells; {MAX_CELLS} are read")
    try:
        if variable.packing == "zlib":
            most = 8 + max_bytes + 1
            data = _inflated(file, variable.start, variable.size, most)[8:]
        else:
            file.seek(variable.start)
            data = file.read(min(variable.size, max_bytes + 1))
        if len(data) > max_bytes:
            raise MatFileError(
                f"variable {name} is larger than {max_bytes:,} bytes; save fewer "
                "kernels"
            )
        at = 0
        for _ in range(3):
            _, at = _element(data, at, variable.order)
        listed = []
        for number in range(count):
            kind, start, size, at = _tag(data, at, variable.order)
            if kind != _MATRIX or start + size > len(data):
                raise MatFileError(f"is damaged or incomplete (it ends in {name})")
            prefix = data[start : start + min(size, _PREFIX)]
            cell = Variable("", "value of no size", (), "", 0, 0, "", "")
            if prefix:
                cell = _described(prefix, variable.order, start, size, "plain")
            listed.append(cell._replace(name=f"{name}[{number}]"))
    except (struct.error, zlib.error) as error:
        raise MatFileError(f"is damaged or not a kernel ({error})") from error
    return io.BytesIO(data), listed


# --- Level 5 ---


def _level_5(file: IO[bytes], head: bytes, end: int) -> Iterator[Variable]:
    order = {b"IM": "<", b"MI": ">"}.get(head[126:128])
    if order is None:
        raise MatFileError("is damaged or not a kernel (its header is missing)")
    version = struct.unpack(f"{order}H", head[124:126])[0] >> 8
    if version == 2:
        raise MatFileError(_NEW)
    if version != 1:
        raise MatFileError(f"is damaged or not a kernel (version {version})")
    at = 128
    while at < end:
        file.seek(at)
        kind, size = struct.unpack(f"{order}II", file.read(8))
        if at + 8 + size > end:
            raise MatFileError("is damaged or incomplete (it ends in a variable)")
        if kind == _COMPRESSED:
            prefix = _inflated(file, at + 8, size, _PREFIX)
            kind, _ = struct.unpack_from(f"{order}II", prefix)
            prefix, packing = prefix[8:], "zlib"
            padding = 0
        else:
            prefix, packing = file.read(min(size, _PREFIX)), "plain"
            padding = -size % 8
        if kind != _MATRIX:
            raise MatFileError(f"is damaged (an element is of type {kind})")
        yield _described(prefix, order, at + 8, size, packing)
        at += 8 + size + padding


def _described(
    prefix: bytes, order: str, start: int, size: int, packing: str
) -> Variable:
    """A variable from the first bytes of its element."""
    flags, at = _element(prefix, 0, order)
    sides, at = _element(prefix, at, order)
    name, at = _element(prefix, at, order)
    if len(flags) != 8 or len(sides) % 4 or not 8 <= len(sides) <= 128:
        raise MatFileError("is damaged (a variable has no class or no sides)")
    shape = struct.unpack(f"{order}{len(sides) // 4}i", sides)
    if min(shape) < 0:
        raise MatFileError(f"is damaged (a variable is {shape})")
    bits = struct.unpack(f"{order}I", flags[:4])[0]
    kind = _CLASSES.get(bits & 0xFF, "value of an unknown class")
    dtype = ""
    if len(kind) == 2:
        kind, dtype = "matrix", kind
        if bits & 0x800:
            kind = "matrix of complex numbers"
    text = name.decode("latin-1")
    return Variable(text, kind, shape, dtype, start, size, order, packing)


def _element(data: bytes, at: int, order: str) -> tuple[bytes, int]:
    """The contents of the element at a position, and the position of the next one."""
    content, size, after = _tag(data, at, order)[1:]
    if content + size > len(data):
        raise MatFileError("is damaged or incomplete (it ends in an element)")
    return data[content : content + size], after


def _tag(data: bytes, at: int, order: str) -> tuple[int, int, int, int]:
    """Type, start and size of the element at a position, and where the next one is."""
    kind, size = struct.unpack_from(f"{order}II", data, at)
    if kind >> 16:  # Up to four bytes lie in the tag itself.
        kind, size = kind & 0xFFFF, kind >> 16
        if size > 4:
            raise MatFileError("is damaged (an element of more than 4 bytes)")
        return kind, at + 4, size, at + 8
    return kind, at + 8, size, at + 8 + size + -size % 8


def _values(file: IO[bytes], variable: Variable, count: int) -> np.ndarray:
    """The numbers of a matrix as they are stored; fewer if some are missing."""
    most = 8 * count
    if variable.packing == "raw":
        file.seek(variable.start)
        data, dtype = file.read(min(variable.size, most)), variable.dtype
        return _numbers(data, variable.order, dtype)
    if variable.packing == "zlib":
        limit = 8 + _PREFIX + most
        element = _inflated(file, variable.start, variable.size, limit)[8:]
    else:
        file.seek(variable.start)
        element = file.read(min(variable.size, _PREFIX + most))
    at = 0
    for _ in range(3):
        _, at = _element(element, at, variable.order)
    kind, start, size, _ = _tag(element, at, variable.order)
    if kind not in _TYPES:
        raise MatFileError(f"is damaged (numbers of type {kind})")
    if start + size > len(element):
        raise MatFileError("is damaged or incomplete (it ends in a matrix)")
    data = element[start : start + size]
    return _numbers(data, variable.order, _TYPES[kind])


def _numbers(data: bytes, order: str, dtype: str) -> np.ndarray:
    kind = np.dtype(f"{order}{dtype}")
    return np.frombuffer(data[: len(data) // kind.itemsize * kind.itemsize], kind)


def _inflated(file: IO[bytes], start: int, size: int, limit: int) -> bytes:
    """Up to `limit` bytes of compressed data."""
    unpack, out = zlib.decompressobj(), bytearray()
    file.seek(start)
    while size > 0 and len(out) < limit and not unpack.eof:
        packed = file.read(min(size, 2**14))
        if not packed:
            break
        size -= len(packed)
        out += unpack.decompress(packed, limit - len(out))
    return bytes(out)


# --- Level 4 ---


def _level_4(file: IO[bytes], end: int) -> Iterator[Variable]:
    at = 0
    while at < end:
        file.seek(at)
        head = file.read(20)
        order = "<" if 0 <= struct.unpack_from("<i", head)[0] <= 4052 else ">"
        code, rows, columns, is_complex, length = struct.unpack(f"{order}5i", head)
        machine, kind, layout = code // 1000, code // 10 % 10, code % 10
        is_known = machine in (0, 1) and kind < len(_TYPES_4) and layout < 3
        if not is_known or min(code, rows, columns) < 0 or not 1 <= length <= 1024:
            raise MatFileError("is damaged or not a kernel (a variable has no header)")
        name = file.read(length).rstrip(b"\0").decode("latin-1")
        dtype = _TYPES_4[kind]
        size = rows * columns * int(dtype[1]) * (2 if is_complex else 1)
        start = at + 20 + length
        if start + size > end:
            raise MatFileError("is damaged or incomplete (it ends in a variable)")
        word = ("matrix", "text", "sparse matrix")[layout]
        if is_complex and layout == 0:
            word = "matrix of complex numbers"
        shape = (rows, columns)
        yield Variable(name, word, shape, dtype, start, size, order, "raw")
        at = start + size
