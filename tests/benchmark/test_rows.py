"""Rows, their JSON, and the digests that tell whether they still hold."""

import json
import math

import numpy as np
import pytest

from kernelgan_jax.benchmark import rows, store
from kernelgan_jax.benchmark.store import Store, read_rows
from kernelgan_jax.estimate import Confidence

COMMON = {
    "scale": 2,
    "system": "s",
    "image": "a",
    "seed": 1,
    "fingerprint": "f",
    "files": {"image": "d"},
    "seconds": 0.5,
    "memory": None,
}


def confidence(**values):
    """A confidence of level high, but for the values that are given."""
    fields = dict.fromkeys(Confidence._fields, 0.25) | {"level": "high", "reason": ""}
    return Confidence(**(fields | {"samples": np.ones((1, 3, 3))} | values))


def kernel_row(**values):
    return rows.KernelRow(**(COMMON | values))


def image_row(**values):
    measures = {"psnr_y": 30.0, "ssim_y": 0.5, "lr_psnr_y": None, "shift": (0.1, -0.2)}
    return rows.ImageRow(**(COMMON | measures | values))


@pytest.mark.parametrize(
    "row",
    [
        kernel_row(),
        kernel_row(
            failure="diverged", trusted=True, noise_std=0.01, kernel_psnr=50.0,
            covariance_error=0.1, widths=(2.0, 1.0, 30.0), true_widths=(2.0, None, 1.0),
            confidence=confidence().to_dict(),
        ),
        image_row(),
        image_row(psnr_y=None, shift=None),
    ],
)  # fmt: skip
def test_a_row_survives_its_json(row):
    line = rows.to_json(row)
    assert "\n" not in line
    assert rows.from_json(line) == row
    assert rows.from_json(line).key == row.key


def test_json_has_no_infinities():
    endless = confidence(covariance_error=math.inf, longer_std=math.nan).to_dict()
    line = rows.to_json(kernel_row(confidence=endless))
    values = json.loads(line, parse_constant=pytest.fail)["confidence"]
    assert values["expected_covariance_error"] is None
    assert values["standard_deviations"]["longer"] is None
    assert values["expected_kernel_psnr"] == 0.25


@pytest.mark.parametrize(
    "line", ["", "[]", '{"kind": "ker', '{"kind": "other"}', '{"kind": "kernel"}']
)
def test_lines_that_are_no_rows(line):
    with pytest.raises(ValueError, match="not a row"):
        rows.from_json(line)


def test_rows_of_earlier_versions_are_left_out(tmp_path):
    """Their fields had other names; what they measured is measured again."""
    old = json.loads(rows.to_json(kernel_row())) | {"reason": "", "sure": False}
    new = [kernel_row(), kernel_row(seed=2), kernel_row(seconds=0.7)]
    lines = [json.dumps(old), *map(rows.to_json, new), '{"kind": "ker']
    (tmp_path / "runs.jsonl").write_bytes("\n".join(lines).encode() + b"\n\xff")
    assert read_rows(tmp_path / "runs.jsonl") == [new[2], new[1]]
    assert read_rows(tmp_path / "nothing.jsonl") == []


def test_the_store_gives_a_row_only_with_its_files(tmp_path):
    store = Store(tmp_path, 2)
    key = kernel_row().key
    files = store.write_kernels(key, [(2, np.eye(3))])
    files |= store.write_image(key, np.full((4, 4, 1), 0.5), dtype=np.dtype(np.uint8))
    row = kernel_row(files=files)
    store.add(row)
    for again in (store, Store(tmp_path, 2)):
        assert again.get(key, "f") == row
        assert again.get(key, "other") is None
        assert again.get(key._replace(seed=7), "f") is None
        np.testing.assert_array_equal(again.read_kernel(row, 2), np.eye(3))
        assert (again.read_image(row) == 128).all()
    np.save(store.file(key, "kernel_x2"), np.eye(2))
    assert store.get(key, "f") is None
    store.file(key, "kernel_x2").unlink()
    assert store.get(key, "f") is None


def test_fingerprints_know_the_code(monkeypatch):
    """They are of the settings, the package's code and the form of the rows."""
    one = store.fingerprint(settings={"a": 1})
    assert one == store.fingerprint(settings={"a": 1})
    assert one != store.fingerprint(settings={"a": 2})
    monkeypatch.setattr(store, "FORMAT", rows.FORMAT + 1)
    assert one != store.fingerprint(settings={"a": 1})
    monkeypatch.undo()
    monkeypatch.setattr(store, "provenance", lambda: "other code")
    assert one != store.fingerprint(settings={"a": 1})


def test_file_digests_are_of_the_content(tmp_path):
    for name, content in (("a", b"1"), ("b", b"1"), ("c", b"2")):
        (tmp_path / name).write_bytes(content)
    a, b, c = (store.file_digest(tmp_path / name) for name in "abc")
    assert a == b != c
