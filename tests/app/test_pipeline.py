"""Many images: order, resuming, what fails alone, progress, shards, URLs."""

import csv
import dataclasses
import json
import os
import re
import threading
import time
from pathlib import Path

import helpers
import numpy as np
import pytest
import tifffile
from app import makers
from PIL import Image as pillow

from kernelgan_jax import blur_kernels
from kernelgan_jax.app import cli, pipeline, reading, results, super_resolving
from kernelgan_jax.app.images import image_decoding, image_files, tiff_decoding
from kernelgan_jax.app.job import POOLED, Job, Task
from kernelgan_jax.app.manifest import read, read_folder
from kernelgan_jax.config import Config
from kernelgan_jax.estimate import Progress
from kernelgan_jax.estimators.registry import GivenConfig
from kernelgan_jax.pixels import from_unit, to_unit
from kernelgan_jax.resize import bicubic_resize
from kernelgan_jax.usable_pixels import find

CONFIG = Config(estimator="kernelgan", kernelgan=makers.TINY, sr="none")
JOB = Job(config=CONFIG, figures=False)
LOAD_PROGRAMS = pipeline.load_programs
LARGE = GivenConfig(kernel=((1 / 17**2,) * 17,) * 17, source=POOLED)
OF_OTHERS = Config(estimator="given", given=LARGE)
"""With a kernel that was made of other images."""


def outcomes(tasks, job=JOB, batch_size=2, **options):
    return list(pipeline.process(tasks, job, batch_size=batch_size, **options))


def statuses(tasks, job=JOB):
    return [outcome.status for outcome in outcomes(tasks, job)]


def job(figures=False, resume=True, seed=0, **settings):
    """A job with other settings."""
    config = dataclasses.replace(CONFIG, **settings)
    return Job(config=config, figures=figures, resume=resume, seed=seed)


# --- Order and resuming ---


def test_outcomes_are_in_order_and_batches_are_full(tmp_path, estimation):
    tasks = makers.tasks(tmp_path, 8, bad=(0, 3))
    found = outcomes(tasks, batch_size=4)
    assert [outcome.task for outcome in found] == tasks
    assert [i for i, o in enumerate(found) if o.status == "failed"] == [0, 3]
    assert estimation.sizes == [4, 2]
    assert statuses(tasks) == [o.status.replace("done", "kept") for o in found]
    assert estimation.sizes == [4, 2]


def test_a_preparation_that_fails_is_no_error(tmp_path, estimation, monkeypatch):
    def fail():
        called.set()
        raise RuntimeError("no device")

    called = threading.Event()
    monkeypatch.setattr(pipeline, "load_programs", LOAD_PROGRAMS)
    monkeypatch.setattr(pipeline.jax, "default_backend", fail)
    assert statuses(makers.tasks(tmp_path, 1), job(sr="bicubic")) == ["done"]
    assert called.wait(10)


def test_what_is_done_again(tmp_path, estimation, monkeypatch):
    tasks = makers.tasks(tmp_path, 3)
    assert statuses(tasks) == ["done"] * 3
    assert statuses(tasks) == ["kept"] * 3
    (tasks[0].folder / "kernel_x2.mat").unlink()
    (tasks[1].folder / "report.json").write_text("{")
    assert statuses(tasks) == ["done", "done", "kept"]
    # Another image of the same size and time; and the same one at another time.
    status = tasks[2].path.stat()
    helpers.write_image(tasks[2].path, helpers.noise(84, 84, 3, seed=9))
    other = tasks[2].path.read_bytes()
    other += bytes(max(0, status.st_size - len(other)))
    tasks[2].path.write_bytes(other)
    os.utime(tasks[2].path, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert statuses(tasks) == ["kept", "kept", "done"]
    os.utime(tasks[2].path, ns=(0, 0))
    assert statuses(tasks) == ["kept"] * 3
    for other in (
        job(seed=1),
        job(kernelgan=dataclasses.replace(makers.TINY, iterations=4)),
        job(resume=False),
        job(scale=4),
    ):
        assert statuses(tasks, other) == ["done"] * 3
    assert statuses(tasks, job(scale=4)) == ["kept"] * 3
    # Results of other code are not taken for those of this one.
    monkeypatch.setattr(results, "provenance", lambda: "other code")
    assert statuses(tasks, job(scale=4)) == ["done"] * 3


def test_a_known_kernel_is_part_of_the_settings(tmp_path, estimation):
    tasks = makers.tasks(tmp_path, 1)
    for rows, status in ((3, "done"), (3, "kept"), (2, "done")):
        given = {"kernel": makers.SMALL[:rows], "source": "k.npy"}
        config = Config(estimator="given", given=given)
        assert statuses(tasks, Job(config=config, figures=False)) == [status]


def test_files_are_read_ahead_but_not_far(tmp_path, monkeypatch, estimation):
    tasks = makers.tasks(tmp_path, 20)
    read_image, seen = image_files.read, []

    def reading(path):
        seen.append(path)
        return read_image(path)

    monkeypatch.setattr(image_files, "read", reading)
    found = pipeline.process(tasks, JOB, batch_size=2)
    next(found)
    time.sleep(0.5)
    assert 4 <= len(seen) <= 10
    found.close()


def test_closing_ends_the_threads(tmp_path, estimation, monkeypatch):
    tasks = makers.tasks(tmp_path, 6)
    before = set(threading.enumerate())  # Some of other tests may be about to end.

    def others():
        return set(threading.enumerate()) - before

    enlarge = super_resolving.super_resolve_planned
    stopped = []

    def all_but_the_first_for_ever(keys, images, plans, *, progress, **_):
        if images[0].shape == (80, 80, 3):
            return enlarge(keys, images, plans)
        try:
            while True:
                progress(Progress(0, "zssr_fast", 1, 2))
                time.sleep(0.01)
        finally:
            stopped.append(True)

    helpers.write_image(tasks[0].path, helpers.noise(80, 80, 3))
    name = "super_resolve_planned"
    monkeypatch.setattr(super_resolving, name, all_but_the_first_for_ever)
    found = pipeline.process(tasks, Job(config=Config(), figures=False), batch_size=1)
    assert next(found).status == "done"
    assert not stopped and others()
    found.close()
    for _ in range(600):
        if not others():
            break
        time.sleep(0.1)
    else:
        pytest.fail("threads are left")
    assert stopped


# --- What fails ---


def test_a_batch_that_fails_as_a_whole_is_done_one_by_one(tmp_path, estimation):
    def no_memory_for_two(keys, images, **_):
        if len(images) > 1:
            raise RuntimeError("out of memory")
        return [makers.estimate()]

    estimation.function = no_memory_for_two
    assert [o.status for o in outcomes(makers.tasks(tmp_path, 3), batch_size=3)] == [
        "done"
    ] * 3
    assert estimation.sizes == [3, 1, 1, 1]


def test_a_flat_frame_is_enlarged_with_the_reason(tmp_path, estimation):
    tasks = makers.tasks(tmp_path, 3)
    flat = np.full((84, 84, 3), 99, np.uint8)
    helpers.write_image(tasks[1].path, flat)
    found = outcomes(tasks, Job(config=Config(), figures=False), batch_size=3)
    assert [outcome.status for outcome in found] == ["done"] * 3
    assert estimation.sizes == [2]
    assert "bicubically (image is constant" in found[1].summary.note
    larger = image_files.read(tasks[1].folder / "sr_x2.png").pixels
    np.testing.assert_array_equal(larger, np.full((168, 168, 3), 99))
    report = helpers.strict_json(tasks[1].folder / "report.json")
    assert report["super_resolution"]["method"] == "bicubic"
    assert "converged" not in report
    # Without super-resolution there is nothing to write.
    found = outcomes(tasks, batch_size=3)
    assert [outcome.status for outcome in found] == ["done", "failed", "done"]
    assert found[1].error.startswith(f"{tasks[1].path}: image is constant")


def test_a_flat_frame_needs_no_reason_where_only_bicubic_is_asked_for(tmp_path):
    (task,) = makers.tasks(tmp_path, 1)
    flat = pillow.fromarray(np.full((40, 50, 3), 99, np.uint8))
    wants = Job(config=Config(estimator="bicubic", sr="bicubic"), figures=False)
    notes = []
    for others in ([], [pillow.fromarray(helpers.ramps(40, 50))]):
        flat.save(task.path, save_all=True, append_images=others)
        (outcome,) = outcomes([task], wants)
        notes.append(outcome.summary.note)
    assert notes == ["", "in all 2 frames"]
    larger = image_files.read(task.folder / "sr_x2.png").pixels
    np.testing.assert_array_equal(larger, np.full((80, 100, 3), 99))


def test_an_image_without_estimate_is_enlarged_with_the_reason(tmp_path, estimation):
    (task,) = makers.tasks(tmp_path, 1)

    def refuse(keys, images, **_):
        raise ValueError("no spectrum fits")

    estimation.function = refuse
    (outcome,) = outcomes([task], Job(config=Config(), figures=False))
    assert outcome.status == "done" and "(no spectrum fits)" in outcome.summary.note
    assert (task.folder / "sr_x2.png").exists()


def test_messages_name_flags(tmp_path, estimation):
    (task,) = makers.tasks(tmp_path, 1)
    failure = "no end; try kernelgan.warm_start=per_channel"
    confidence = makers.confidence(reason=failure)
    estimation.function = lambda keys, images, **_: [
        makers.estimate(failure=failure, confidence=confidence)
    ]
    (outcome,) = outcomes([task])
    expected = "no end; try --config.kernelgan.warm_start=per_channel"
    assert outcome.summary.failure == outcome.summary.reason == expected
    report = helpers.strict_json(task.folder / "report.json")
    assert report["reason"] == report["confidence"]["reason"] == expected


@pytest.mark.parametrize(
    "config, reason",
    [
        (Config(), "40x15 pixels; its spectrum needs at least 32"),
        (Config(sr="bicubic"), "40x15 pixels; its spectrum needs at least 32"),
        (Config(estimator="bicubic", sr="zssr"), "the method zssr needs at least 16"),
        (OF_OTHERS, "kernel is 17x17, larger than the image"),
    ],
)
def test_an_image_that_is_too_small_is_enlarged_with_the_reason(
    tmp_path, no_estimation, config, reason
):
    (task,) = makers.tasks(tmp_path, 1)
    pixels = helpers.ramps(15, 40)
    helpers.write_image(task.path, pixels)
    (outcome,) = outcomes([task], Job(config=config, figures=False))
    assert outcome.status == "done"
    assert outcome.summary.note.startswith("bicubically (")
    assert reason in outcome.summary.note
    larger = image_files.read(task.folder / "sr_x2.png").pixels
    expected = from_unit(bicubic_resize(to_unit(pixels), 2), np.uint8)
    np.testing.assert_array_equal(larger, expected)


def test_an_image_too_large_for_the_memory_is_refused_before_estimation(
    tmp_path, monkeypatch, no_estimation
):
    (task,) = makers.tasks(tmp_path, 1)
    resources = "kernelgan_jax.app.resources"
    monkeypatch.setattr(f"{resources}.SMALL", 0)
    monkeypatch.setattr(f"{resources}.available_memory", lambda: 1e6)
    (outcome,) = outcomes([task], Job(config=Config()))
    assert "enlarged by 2 it needs about 0.0 GiB" in outcome.error
    assert "pass --sr=none" in outcome.error


# --- Files with several frames ---


@pytest.mark.parametrize("flat", [None, 0, 2])
@pytest.mark.parametrize(
    "kind, wanted, name",
    [
        ("gif", "png", "sr_x2.png"),
        ("gif", "jpg", ""),
        ("tif", "png", "sr_x2.tif"),
        ("webp", "same", "sr_x2.webp"),
    ],
)
def test_all_frames_come_out(tmp_path, estimation, kind, wanted, name, flat):
    frames = [helpers.noise(84, 84, seed=i) for i in range(3)]
    if flat is not None:
        frames[flat][:] = 7
    pictures = [pillow.fromarray(frame).convert("RGB") for frame in frames]
    path = tmp_path / f"a.{kind}"
    pictures[0].save(path, save_all=True, append_images=pictures[1:])
    (tmp_path / "out").mkdir()
    task = Task(path, tmp_path / "out" / "a")
    wants = Job(config=Config(), figures=False, format=wanted)
    assert statuses([task], wants) == ["done"]
    names = [name or f"sr_x2_{number:04}.jpg" for number in (1, 2, 3)]
    for i, frame in enumerate(frames):
        place = i if name else 0
        larger = image_files.read(task.folder / names[i], frame=place).pixels
        assert larger.shape[:2] == (168, 168)
        small = larger[..., 0].reshape(84, 2, 84, 2).mean((1, 3))
        assert np.abs(small - frame).mean() < 20
    report = helpers.strict_json(task.folder / "report.json")
    written = {file for file in report["files"] if file.startswith("sr")}
    assert written == set(names)
    sr = report["super_resolution"]
    assert sr["frames"] == 3
    assert sr["file"] == names[0] and "in all 3 frames" in sr["note"]
    # The second is no candidate, if the first has structure.
    assert f"the kernel of frame {2 if flat == 0 else 1}" in sr["note"]
    if flat is not None:
        assert f"frame {flat + 1} bicubically (image is constant" in sr["note"]
    assert statuses([task], wants) == ["kept"]
    # A later file with one frame leaves none of the others.
    pictures[1].save(path)
    assert statuses([task], wants) == ["done"]
    assert len(list(task.folder.glob("sr*"))) == 1


@pytest.mark.parametrize("source", ["k.npy", POOLED])
def test_a_known_kernel_is_of_no_frame(tmp_path, estimation, source):
    frames = [pillow.fromarray(helpers.noise(40, 40, seed=i)) for i in range(2)]
    task = Task(tmp_path / "a.gif", tmp_path / "out" / "a")
    frames[0].save(task.path, save_all=True, append_images=frames[1:])
    task.folder.parent.mkdir()
    given = GivenConfig(kernel=((0.25, 0.25), (0.25, 0.25)), source=source)
    config = Config(estimator="given", given=given, sr="wiener")
    assert statuses([task], Job(config=config, figures=False)) == ["done"]
    sr = helpers.strict_json(task.folder / "report.json")["super_resolution"]
    assert sr["kernel"] == source and sr["note"] == "in all 2 frames"


def test_a_first_frame_that_is_left_out_is_named(tmp_path, estimation):
    pictures = [pillow.fromarray(helpers.noise(84, 84, seed=i)) for i in range(3)]
    path = tmp_path / "a.png"
    pictures[0].save(
        path, save_all=True, append_images=pictures[1:], default_image=True
    )
    (tmp_path / "out").mkdir()
    task = Task(path, tmp_path / "out" / "a")
    wants = Job(config=Config(), figures=False, format="gif")
    assert statuses([task], wants) == ["done"]
    report = helpers.strict_json(task.folder / "report.json")
    assert "without frame 1" in report["super_resolution"]["note"]


def test_what_later_frames_lose_is_said_once(tmp_path):
    pixels = np.full((40, 40, 4), 255, np.uint8)
    pixels[..., :3] = helpers.noise(40, 40, 3)
    opaque = pillow.fromarray(pixels.copy())
    pixels[:9, :, 3] = 0
    holes = [pillow.fromarray(pixels[turn]) for turn in (np.s_[:], np.s_[::-1])]
    task = Task(tmp_path / "a.webp", tmp_path / "out" / "a")
    opaque.save(task.path, save_all=True, append_images=holes, lossless=True)
    task.folder.parent.mkdir()
    wants = Config(estimator="bicubic", sr="bicubic")
    assert statuses([task], Job(config=wants, figures=False, format="jpg")) == ["done"]
    report = helpers.strict_json(task.folder / "report.json")
    assert report["super_resolution"]["note"] == (
        "in all 3 frames and each in a file of its own, as JPEG holds one; "
        "some frames on white, as JPEG has no alpha"
    )


def test_the_pages_of_a_file_are_found_once_for_all_frames(tmp_path, monkeypatch):
    frames = helpers.noise(6, 40, 40)
    task = Task(tmp_path / "a.tif", tmp_path / "out" / "a")
    task.folder.parent.mkdir()
    tifffile.imwrite(task.path, frames, photometric="minisblack")
    opened = []

    def tiff(*args, **options):
        opened.append(1)
        return tiff_decoding.Tiff(*args, **options)

    monkeypatch.setattr(image_decoding, "Tiff", tiff)
    wants = Job(config=Config(estimator="bicubic", sr="bicubic"), figures=False)
    assert statuses([task], wants) == ["done"]
    assert len(opened) == 2  # To choose a frame, and for the others.
    found = tifffile.imread(task.folder / "sr_x2.tif")
    for frame, larger in zip(frames, found, strict=True):
        wanted = from_unit(bicubic_resize(to_unit(frame), 2), np.uint8)
        np.testing.assert_allclose(larger.astype(int), wanted, atol=1)


def test_an_animation_that_is_cut_off_is_damaged(tmp_path):
    pictures = [pillow.fromarray(helpers.noise(40, 40, 3, seed=i)) for i in range(3)]
    path = tmp_path / "a.png"
    pictures[0].save(path, save_all=True, append_images=pictures[1:])
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 2 // 3])
    (tmp_path / "out").mkdir()
    job = Job(config=Config(estimator="bicubic", sr="bicubic"), figures=False)
    (outcome,) = outcomes([Task(path, tmp_path / "out" / "a")], job)
    assert outcome.error.startswith(f"{path}: is damaged or incomplete (")


def test_the_frame_of_the_best_confidence_gives_the_kernel(tmp_path, monkeypatch):
    frames = [helpers.noise(40, 40, 3, seed=i) for i in range(20)]
    frames[6][:] = 3  # One of the candidates.
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, np.stack(frames), photometric="rgb", metadata=None)
    ratings = {0: (0, 9.0), 12: (2, -0.5), 19: (2, -0.6)}
    seen = []

    def rating(sample, _):
        np.testing.assert_array_equal(sample.image.pixels, frames[sample.frame])
        seen.append(sample.frame)
        return ratings.get(sample.frame, (0, 0.0)), f"of frame {sample.frame}"

    monkeypatch.setattr(reading, "rating", rating)
    chosen = reading.read(path, Job())
    assert chosen.frame == 12 and chosen.evidence == "of frame 12"
    assert seen == [0, 12, 19, 1]
    # If no kernel is estimated, nothing is looked for.
    assert reading.read(path, Job(config=Config(estimator="bicubic"))).frame == 0
    assert len(seen) == 4


def test_frames_of_another_kind_than_the_format_holds(tmp_path, estimation):
    task = Task(tmp_path / "a.tif", tmp_path / "out" / "a")
    task.folder.parent.mkdir()
    with tifffile.TiffWriter(task.path) as file:
        file.write(helpers.noise(40, 40, 3), photometric="rgb")
        file.write(helpers.smooth(36, 50, 5) * 9, planarconfig="contig")
    wants = Job(config=Config(), figures=False)
    assert statuses([task], wants) == ["done"]
    shapes = [
        image_files.read(task.folder / "sr_x2.tif", frame=i).pixels.shape
        for i in range(2)
    ]
    assert shapes == [(80, 80, 3), (72, 100, 5)]
    (outcome,) = outcomes([task], dataclasses.replace(wants, format="jpg"))
    assert "frame 2 of 2 is of another kind" in outcome.error


# --- Types, bands and formats ---


@pytest.mark.parametrize(
    "dtype, channels, wanted, name",
    [
        ("uint16", 5, "png", "sr_x2.tif"),
        ("float32", 3, "png", "sr_x2.tif"),
        ("uint8", 3, "jpg", "sr_x2.jpg"),
        ("uint8", 3, "same", "sr_x2.tif"),
    ],
)
def test_types_bands_and_formats(tmp_path, estimation, dtype, channels, wanted, name):
    (tmp_path / "out").mkdir()
    task = Task(tmp_path / "a.tif", tmp_path / "out" / "a")
    pixels = helpers.smooth(40, 48, channels) * (200 if dtype[0] == "u" else 1000)
    photometric = "rgb" if channels == 3 else "minisblack"
    pixels = pixels.astype(dtype)
    tifffile.imwrite(task.path, pixels, planarconfig="contig", photometric=photometric)
    wants = Job(config=Config(), format=wanted, figures=False)
    (outcome,) = outcomes([task], wants)
    assert outcome.status == "done", outcome.error
    larger = image_files.read(task.folder / name).pixels
    assert larger.dtype == dtype and larger.shape == (80, 96, channels)
    small = larger.reshape(40, 2, 48, 2, channels).mean((1, 3))
    span = float(np.ptp(pixels))
    assert np.abs(small - pixels).mean() < 0.02 * span
    assert (
        helpers.strict_json(task.folder / "report.json")["super_resolution"]["file"]
        == name
    )
    # Another quality is another result, but for formats without one.
    assert statuses([task], wants) == ["kept"]
    expected = "kept" if wanted == "png" else "done"
    assert statuses([task], dataclasses.replace(wants, quality=50)) == [expected]


def test_the_kernel_of_one_band(tmp_path, estimation):
    seen = []

    def function(keys, images, **_):
        seen.extend(usable.image for usable in images)
        return [makers.estimate()] * len(images)

    estimation.function = function
    pixels = helpers.noise(40, 48, 5, dtype=np.uint16)
    tasks = [Task(tmp_path / f"{i}.tif", tmp_path / "out" / str(i)) for i in (0, 1)]
    tifffile.imwrite(tasks[0].path, pixels, planarconfig="contig")
    tifffile.imwrite(tasks[1].path, pixels[..., :3], photometric="rgb")
    (tmp_path / "out").mkdir()
    wants = Job(config=Config(), figures=False, band=4)
    done, failed = outcomes(tasks, wants)
    assert done.status == "done", done.error
    assert failed.error.startswith(f"{tasks[1].path}: --band=4, but the image has 3 b")
    np.testing.assert_array_equal(seen, pixels[None, :, :, 3:4])
    assert image_files.read(tasks[0].folder / "sr_x2.tif").pixels.shape == (80, 96, 5)
    assert helpers.strict_json(tasks[0].folder / "report.json")["band"] == 4
    assert statuses(tasks[:1], wants) == ["kept"]
    assert statuses(tasks[:1], dataclasses.replace(wants, band=1)) == ["done"]
    pixels[..., 3] = 7
    tifffile.imwrite(tasks[0].path, pixels, planarconfig="contig")
    (flat,) = outcomes(tasks[:1], wants)
    assert "band 4 of the image is constant" in flat.error


@pytest.mark.parametrize("alpha", [False, True])
def test_usable_pixels_are_found_once(tmp_path, estimation, monkeypatch, alpha):
    estimated, enlarged = [], []

    def function(keys, images, **_):
        estimated.extend(images)
        return [makers.estimate()] * len(images)

    def enlarge(keys, images, plans, *, usable, **_):
        enlarged.extend(usable)
        return [bicubic_resize(to_unit(images[0]), 2)]

    estimation.function = function
    monkeypatch.setattr(super_resolving, "super_resolve_planned", enlarge)
    calls = []
    find_drawn = find.find_drawn
    monkeypatch.setattr(
        find, "find_drawn", lambda *args: calls.append(1) or find_drawn(*args)
    )
    pixels = helpers.noise(84, 84, 4 if alpha else 3)
    pixels[:20, :30, 3:] = 0
    pixels[:9] = 200
    (tmp_path / "out").mkdir()
    task = Task(helpers.write_image(tmp_path / "a.png", pixels), tmp_path / "out" / "a")
    assert statuses([task], Job(config=Config(), figures=False)) == ["done"]
    for usable in (*estimated, *enlarged):
        if alpha:  # What is transparent is no part of the picture.
            assert usable.unusable[9:20, :30].all()
        assert "a flat margin (top 9 px)" in usable.left_out or alpha
        assert 0.1 < usable.unusable.mean() < 0.2
    # What was filled is float32, which is not kept.
    assert len(calls) == (3 if alpha else 1)


def test_refitted_kernel_is_told_of_and_written(tmp_path, estimation, monkeypatch):
    another = np.full((5, 5), 1 / 25)

    def refine(image, planned, *, usable):
        stage = planned.stages[0]._replace(kernel=another)
        return planned._replace(stages=(stage,), notes=("refitted",))

    def used(keys, images, plans, **_):
        assert plans[0].kernel is another
        return [bicubic_resize(to_unit(images[0]), 2)]

    monkeypatch.setattr(super_resolving, "refine_plan", refine)
    monkeypatch.setattr(super_resolving, "super_resolve_planned", used)
    task = makers.tasks(tmp_path, 1)[0]
    assert statuses([task], Job(config=Config(), figures=False)) == ["done"]
    written = np.load(task.folder / "refitted_kernel_x2.npy")
    np.testing.assert_array_equal(written, another)
    found = json.loads((task.folder / "report.json").read_text())
    assert found["super_resolution"]["note"] == "refitted"
    assert found["super_resolution"]["kernel_measures"]["shape"] == [5, 5]
    assert "refitted_kernel_x2.npy" in found["files"]
    # Another run without it leaves no old one.
    monkeypatch.setattr(super_resolving, "refine_plan", lambda _, plan, **__: plan)
    monkeypatch.setattr(
        super_resolving,
        "super_resolve_planned",
        lambda keys, images, plans, **_: [bicubic_resize(to_unit(images[0]), 2)],
    )
    again = Job(config=Config(), figures=False, resume=False)
    assert statuses([task], again) == ["done"]
    assert not (task.folder / "refitted_kernel_x2.npy").exists()


# --- What is reported ---


def test_progress_is_of_images_among_all_tasks(tmp_path, estimation):
    tasks = makers.tasks(tmp_path, 5, bad=(1,))

    def train(keys, images, *, progress, **_):
        for i in range(len(images)):
            progress(Progress(i, "kernelgan", 3, 6, {"generator_loss": 1.0}))
        return [makers.estimate()] * len(images)

    estimation.function = train
    seen = []
    outcomes(tasks, batch_size=2, progress=seen.append)
    assert {done.phase for done in seen if not done.step} == {
        "estimating the kernel",
        "writing",
    }
    steps = [done for done in seen if done.step and done.phase == "kernelgan"]
    assert [done.image for done in steps] == [0, 2, 3, 4]
    for done in steps:
        assert done[1:] == ("kernelgan", 3, 6, {"generator_loss": 1.0})


@pytest.mark.parametrize(
    "config, source, kernels",
    [
        (Config(), "estimated", {"kernel_x2.npy", "kernel_x2.mat"}),
        (Config(estimator="bicubic"), "bicubic", set()),
        (
            Config(
                estimator="given", given={"kernel": makers.KERNEL, "source": "k.npy"}
            ),
            "k.npy",
            set(),
        ),
    ],
    ids=["estimated", "bicubic", "given"],
)
def test_where_the_kernel_comes_from(tmp_path, estimation, config, source, kernels):
    (task,) = makers.tasks(tmp_path, 1)
    estimation.function = lambda keys, images, **_: [
        makers.estimate(trusted=not config.chosen_estimator.estimates)
    ]
    assert statuses([task], Job(config=config, figures=False)) == ["done"]
    report = helpers.strict_json(task.folder / "report.json")
    assert report["super_resolution"]["kernel"] == source
    assert ("converged" in report) == bool(kernels)
    written = {path.name for path in task.folder.iterdir()}
    assert written == kernels | {"sr_x2.png", "report.json"}


def test_an_estimate_that_failed_is_replaced_and_the_report_says_so(
    tmp_path, estimation
):
    (task,) = makers.tasks(tmp_path, 1)
    estimation.function = lambda keys, images, **_: [
        makers.estimate(failure="it diverged")
    ]
    assert statuses([task], Job(config=Config(), figures=False)) == ["done"]
    report = helpers.strict_json(task.folder / "report.json")
    assert (report["converged"], report["reason"]) == (False, "it diverged")
    sr = report["super_resolution"]
    assert sr["kernel"] == "bicubic" and "it diverged" in sr["note"]
    bicubic = blur_kernels.bicubic(2)
    assert sr["kernel_measures"]["shape"] == list(bicubic.shape)


def test_without_need_for_a_kernel_none_is_estimated(tmp_path, no_estimation):
    (task,) = makers.tasks(tmp_path, 1)
    config = Config(estimator="bicubic", sr="bicubic")
    assert statuses([task], Job(config=config, figures=False)) == ["done"]


# --- Results at a URL, and shards ---


@pytest.mark.filterwarnings("ignore")
def test_results_at_a_url(tmp_path, estimation, capsys):
    upath = pytest.importorskip("upath")
    makers.tasks(tmp_path, 3, bad=(1,))
    url = "memory://bucket/results"
    arguments = [f"--image={tmp_path}", f"--output_dir={url}", "--sr=none"]
    for again in (False, True):
        assert cli.main(arguments) == 1
        assert ("2 finished before" in capsys.readouterr().out) == again
    assert sum(estimation.sizes) == 2
    found = upath.UPath(url)
    assert sorted(p.name for p in (found / "0").iterdir()) == [
        "kernel.png", "kernel_x2.mat", "kernel_x2.npy", "report.json",
    ]  # fmt: skip
    # Nothing can be added to an object, so each run has a manifest of its own; the
    # second one had nothing to say.
    *folders, name, table = sorted(p.name for p in found.iterdir())
    assert folders == ["0", "2"] and table == "summary.csv"
    assert re.fullmatch(r"manifest-\d{8}T\d{6}Z-\d+-[0-9a-f]{8}\.jsonl", name)
    np.testing.assert_array_equal(
        np.load((found / "2" / "kernel_x2.npy").open("rb")), makers.SMALL
    )
    records = read_folder(found)
    assert [r["status"] for r in records.values()] == ["done", "failed", "done"]
    rows = list(csv.DictReader((found / table).read_text().splitlines()))
    assert [row["scale"] for row in rows] == ["2", "", "2"]


def test_shards_make_the_whole(tmp_path, estimation):
    tasks = makers.tasks(tmp_path, 5)
    out = f"--output_dir={tmp_path / 'results'}"
    for part in range(2):
        arguments = [f"--image={tmp_path}", out, "--sr=none", f"--shard={part}/2"]
        assert cli.main([*arguments, "--nofigures"]) == 0
    names = []
    for part in range(2):
        records = read(tmp_path / "results" / f"manifest-{part}-of-2.jsonl")
        names += [Path(record["image"]).name for record in records.values()]
    assert sorted(names) == [task.path.name for task in tasks]
    assert sum(estimation.sizes) == 5
