"""Test sets are read, in our layout and DIV2KRK's, and their faults are named."""

import re

import numpy as np
import pytest

from kernelgan_jax.app import kernel_files
from kernelgan_jax.app.images import image_files
from kernelgan_jax.benchmark import make_test_set, read_test_set, run_benchmark, testset
from kernelgan_jax.benchmark.systems import SYSTEMS


def test_a_test_set_is_read(data):
    found = read_test_set(data, 2)
    assert [case.name for case in found.cases] == ["10", "one", "two"]
    assert not found.problems
    case = found.cases[1]
    assert case.lr().shape == (32, 28, 3) and case.hr().shape == (64, 56, 3)
    assert case.kernel().shape == (11, 11)
    assert case.all_names == {"10", "one", "two"}
    (alone,) = read_test_set(data, 2, names=["two"]).cases
    assert alone.name == "two" and alone.all_names == case.all_names
    assert testset.find_scales(data) == [2, 4]


def test_names_in_our_own_layout_are_names(images, tmp_path):
    """They may look like DIV2KRK's, and their numbers may be of any script."""
    names = ("swim_2", "im_1", "img_1", "5²", "a|b #1.x")
    hr = images(tmp_path / "odd", *names, size=(16, 16))
    make_test_set(hr, tmp_path / "set", scales=[2])
    found = read_test_set(tmp_path / "set", 2)
    assert {case.name for case in found.cases} == set(names)


def test_the_layout_of_div2krk(data, tmp_path):
    """gt/img_1_gt.png, lr_x2/im_1.png, gt_k_x2/kernel_1.mat; sorted by number."""
    theirs = tmp_path / "DIV2KRK"
    for i, case in enumerate(read_test_set(data, 2).cases):
        number = (10, 9, 100)[i]
        for part, name, path in (
            ("gt", f"img_{number}_gt.png", case.hr_path),
            ("lr_x2", f"im_{number}.png", case.lr_path),
            ("gt_k_x2", f"kernel_{number}.mat", case.kernel_path),
        ):
            (theirs / part).mkdir(parents=True, exist_ok=True)
            (theirs / part / name).write_bytes(path.read_bytes())
    found = read_test_set(theirs, 2)
    assert [case.name for case in found.cases] == ["9", "10", "100"]
    assert not found.problems


def break_set(folder, write):
    """Adds images, each with another fault; returns words of the message for each."""
    hr, lr, k = folder / "hr", folder / "lr_x2", folder / "gt_k_x2"
    for name in "abcdefg":
        write(hr / f"{name}.png", image_files.read(hr / "one.png").pixels)
        write(lr / f"{name}.png", image_files.read(lr / "one.png").pixels)
        kernel_files.write_mat(k / f"{name}.mat", np.ones((3, 3)))
    (k / "a.mat").unlink()
    write(hr / "b.png", image_files.read(hr / "one.png").pixels[:-8])
    (lr / "c.png").write_bytes(b"nothing")
    np.save(k / "d.npy", np.ones((3, 3)))
    kernel_files.write_mat(k / "e.mat", np.zeros((3, 3)))
    (hr / "f.png").unlink()
    np.save(k / "g.npy", np.ones((2, 3, 3)))
    (k / "g.mat").unlink()
    return {
        "a": "has no kernel at x2",
        "b": "LR is 28x32x3 and HR 56x56x3, which do not match at x2",
        "c": "c.png",
        "d": "there are",
        "e": "sum",
        "f": "has no HR image",
        "g": "a stack of 2 kernels",
    }


def test_faults_of_a_test_set(own_data, write):
    faults = break_set(own_data, write)
    found = read_test_set(own_data, 2)
    assert [case.name for case in found.cases] == ["10", "one", "two"]
    for name, words in faults.items():
        own = [p for p in found.problems if re.search(rf"\b{name}(\.\w+)?:", p)]
        assert own and words in own[0] and "\n" not in own[0], name
    assert "no such image" in read_test_set(own_data, 2, names=["three"]).problems[-1]
    with pytest.raises(ValueError, match="has no lr_x3"):
        read_test_set(own_data, 3)


@pytest.mark.parametrize("cut", [1, 3])
def test_hr_sides_that_the_scale_does_not_divide(own_data, tmp_path, write, cut):
    """Both ways of DIV2K: the LR image has ceil or floor of the sides."""
    case = read_test_set(own_data, 4).cases[0]
    write(case.hr_path, case.hr()[: 64 - cut, : 56 - cut])
    found = run_benchmark(
        own_data, tmp_path / "out", scale=4, systems=[SYSTEMS["bicubic"]]
    )
    assert not found.problems and len(found.rows) == 3
