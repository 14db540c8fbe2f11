"""The second pass over a test set: images are super-resolved and measured."""

from typing import Any

import jax
import numpy as np

from kernelgan_jax import kernels
from kernelgan_jax.benchmark.estimation import Cost, measured_cost
from kernelgan_jax.benchmark.measure import image_measures
from kernelgan_jax.benchmark.rows import SR, ImageRow, KernelRow, Key, kernel_file
from kernelgan_jax.benchmark.session import Session
from kernelgan_jax.benchmark.store import IMAGE, fingerprint
from kernelgan_jax.benchmark.systems import (
    System,
    UserMethod,
    method_identity,
    method_settings,
)
from kernelgan_jax.benchmark.testset import Case
from kernelgan_jax.config import NO_SR
from kernelgan_jax.estimate import KernelEstimate
from kernelgan_jax.estimators.run import rate
from kernelgan_jax.pixels import from_array, to_unit
from kernelgan_jax.super_resolution import plan, super_resolve
from kernelgan_jax.super_resolution.registry import METHODS


def measure_images(session: Session, system: System, *, seeds: int) -> list[ImageRow]:
    """The rows of a system's images; those that are missing are measured.

    Args:
      session: The run of the benchmark, after the kernels have been measured.
    """
    rows = []
    for seed in range(seeds):
        for case in session.cases:
            try:
                row = _image(session, system, case, seed)
            except (Exception, SystemExit) as error:  # The other images go on.
                session.fail(system.name, case, seed, error)
            else:
                rows += [] if row is None else [row]
    return rows


def _image(session: Session, system: System, case: Case, seed: int) -> ImageRow | None:
    """The row of an image; None if the system has none for this seed."""
    kernel_row = None
    method: str | UserMethod | None = system.method or session.method
    if system.estimator is not None:
        kernel_row = session.kernel_row(system, case, seed)
        if kernel_row is None:
            return None  # It failed, which has been reported.
        if IMAGE in kernel_row.files:
            method = None
        elif method == NO_SR:
            return None
        entry = METHODS[method] if isinstance(method, str) else method
        seeded = system.seeded or (entry is not None and entry.seeded)
        if seed > 0 and not seeded:
            return None  # It would be the same image again.
    key = Key(SR, case.scale, system.name, case.name, seed)
    settings = method and method_settings(system, method, case.scale)
    mark = fingerprint(
        files=session.digests[case.name],
        kernel=None if kernel_row is None else _inputs(kernel_row),
        method=method and method_identity(method, settings),
    )
    row = session.store.get(key, mark)
    if isinstance(row, ImageRow):
        return row
    estimate = None
    if kernel_row is not None and method is not None:
        estimate = _estimate(session, case, kernel_row)
    with measured_cost() as total:
        if method is None:
            assert kernel_row is not None
            sr = to_unit(session.store.read_image(kernel_row))
        else:
            sr = _super_resolve(case, seed, estimate, method, settings)
        cost = total()
    if kernel_row is not None and method is None:  # The time of making it.
        cost = Cost(kernel_row.seconds, kernel_row.memory)
    row = ImageRow(
        scale=case.scale,
        system=system.name,
        image=case.name,
        seed=seed,
        fingerprint=mark,
        seconds=None if cost.seconds is None else round(cost.seconds, 3),
        memory=cost.memory,
        **image_measures(sr, case),
        files=session.store.write_image(key, sr, dtype=case.lr().dtype),
    )
    session.store.add(row)
    psnr = row.psnr_y
    session.report_row(row, "no difference" if psnr is None else f"{psnr:.2f} dB")
    return row


def _super_resolve(
    case: Case,
    seed: int,
    estimate: KernelEstimate | None,
    method: str | UserMethod,
    settings: Any,
) -> np.ndarray:
    """The super-resolved image, `H x W x C` float32 in [0, 1]."""
    if isinstance(method, UserMethod):
        assert estimate is not None
        kernel = _kernel_of_plan(estimate)
        found = method.function(case.lr(), kernel, case.scale, seed)
        return to_unit(from_array(found))
    return super_resolve(
        jax.random.key(seed),
        case.lr(),
        estimate,
        scale=case.scale,
        method=method,
        config=settings,
    )


def _estimate(session: Session, case: Case, row: KernelRow) -> KernelEstimate:
    """The estimate of a row, with what the spectrum of its image says."""
    scales = (n for n in range(1, row.scale + 1) if kernel_file(n) in row.files)
    *smaller, (_, kernel) = (
        (scale, session.store.read_kernel(row, scale)) for scale in scales
    )
    estimate = KernelEstimate(
        kernel,
        row.scale,
        tuple(smaller),
        failure=row.failure,
        trusted=row.trusted,
        noise_std=row.noise_std,
    )
    evidence = session.analyses[case].evidence
    return rate(estimate, evidence, estimated=row.confidence is not None)


def _inputs(row: KernelRow) -> list[Any]:
    """What super-resolution reads of an estimate, as JSON."""
    return [dict(row.files), row.failure, row.trusted, row.noise_std]


def _kernel_of_plan(estimate: KernelEstimate) -> np.ndarray:
    """The kernel that a method of the user's gets: the estimate's, or, if it failed,
    the bicubic kernel, aligned."""
    planned = plan(estimate)
    assert planned.kernel is not None
    if planned.source == "bicubic":
        return kernels.centre(planned.kernel, planned.scale)
    return planned.kernel
