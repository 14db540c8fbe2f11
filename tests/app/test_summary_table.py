"""`summary.csv`: a row for each image of the folder, whichever run did it."""

import csv
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from kernelgan_jax.app import cli, manifest, report_values, summary_table


def rows_of(folder: Path) -> list[dict[str, str]]:
    with open(folder / summary_table.NAME, newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    folder.mkdir()
    for i, name in enumerate(("a", "b, or not")):
        pixels = np.random.default_rng(i).integers(0, 256, (28, 26, 3), np.uint8)
        Image.fromarray(pixels).save(folder / f"{name}.png")
    return folder


def test_images_of_one_name_have_rows_of_their_own(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    flags = ["--sr=bicubic", "--sr_kernel=bicubic", "--nofigures", "-o", "../out"]
    for name in ("a", "b, or not"):
        folder = tmp_path / name
        folder.mkdir()
        (photos / f"{name}.png").rename(folder / "a.png")
        monkeypatch.chdir(folder)
        assert cli.main([*flags, "a.png"]) == 0
    rows = [(row["image"], row["results"]) for row in rows_of(tmp_path / "out")]
    assert rows == [("a.png", "a"), ("a.png", "a_2")]


def test_all_images_of_the_folder(
    photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    flags = ["--sr=bicubic", "--nofigures", f"--output_dir={out}"]
    flags.append("--sr_kernel=bicubic")
    assert cli.main([*flags, f"--image={photos / 'a.png'}"]) == 0
    assert [row["status"] for row in rows_of(out)] == ["done"]
    (photos / "bad.png").write_text("text")
    assert cli.main([*flags, f"--image={photos}"]) == 1
    rows = rows_of(out)
    assert [Path(row["image"]).stem for row in rows] == ["a", "b, or not", "bad"]
    assert [row["status"] for row in rows] == ["done", "done", "failed"]
    assert rows[0]["sr_method"] == "bicubic" and rows[0]["scale"] == "2"
    assert rows[0]["sr_file"] == "sr_x2.png" and float(rows[0]["seconds"]) >= 0
    assert "bad.png" in rows[2]["error"] and rows[2]["scale"] == ""
    assert list(rows[0]) == list(summary_table.COLUMNS)
    assert rows[0]["files"] == "sr_x2.png"
    record = manifest.read(out / "manifest.jsonl")[rows[1]["results"], ""]
    assert {
        n: "" if record[n] is None else str(record[n]) for n in report_values.VALUES
    } == {n: rows[1][n] for n in report_values.VALUES}
    # The printed table has the images of this run, also those finished before.
    printed = capsys.readouterr().out
    (out / "manifest.jsonl").unlink()
    assert cli.main([*flags, f"--image={photos}"]) == 1
    tables = [
        text[text.index("\n\n") : text.rindex("\n", 0, -1)]
        for text in (printed, capsys.readouterr().out)
    ]
    assert tables[0] == tables[1]
    assert [line.split("/")[-1] for line in tables[0].split("\n")[3:]] == [
        "a.png", "b, or not.png",
    ]  # fmt: skip
    assert rows_of(out) == rows


def test_no_name_is_a_formula(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (photos / "a.png").rename(photos / "=1+1.png")
    (photos / "-bad.png").write_text("text")
    monkeypatch.chdir(photos)
    flags = ["--sr=bicubic", "--sr_kernel=bicubic", "--nofigures", "-o", "out"]
    assert cli.main([*flags, "--image==1+1.png", "--image=-bad.png"]) == 1
    bad, good = rows_of(photos / "out")
    assert (good["image"], good["results"]) == ("./=1+1.png", "./=1+1")
    assert (photos / good["image"]).is_file()
    assert (photos / "out" / good["results"]).is_dir()
    assert bad["image"] == "./-bad.png" and bad["error"].startswith("./-bad.png: ")


def test_the_pool_has_the_kernels_of_all_runs(
    photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    flags = ["--config.estimator=constant", "--sr=none", "--nofigures", "-o", str(out)]
    assert cli.main([*flags, str(photos / "a.png")]) == 0
    assert cli.main([*flags, "--export=pool", str(photos)]) == 0
    path = out / "kernel_pool_x2.npz"
    assert f"2 kernels -> {path}\n" in capsys.readouterr().out
    with np.load(path) as pool:
        stems = [Path(name).stem for name in pool["names"]]
        assert stems == ["a", "b, or not"]
        kernel = np.load(out / "a/kernel_x2.npy")
        assert pool["kernels"].shape[1:] == kernel.shape  # odd already
        np.testing.assert_allclose(pool["kernels"][0], kernel, atol=1e-6)


def test_what_lies_in_the_way(
    photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    (out / summary_table.NAME / "mine").mkdir(parents=True)
    flags = ["--sr=bicubic", "--sr_kernel=bicubic", "--nofigures"]
    assert cli.main([*flags, f"--output_dir={out}", str(photos / "a.png")]) == 1
    line = capsys.readouterr().err
    assert line.startswith(f"error: {out / summary_table.NAME}: cannot be written: ")
    assert (out / "a" / "sr_x2.png").is_file()
    assert (out / summary_table.NAME / "mine").is_dir()
