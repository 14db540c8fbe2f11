"""The first pass over a test set: kernels are estimated and measured."""

from collections.abc import Sequence
from typing import Any

from kernelgan_jax.benchmark.estimation import Cost, Trial, images_at_a_time, run_system
from kernelgan_jax.benchmark.measure import kernel_measures
from kernelgan_jax.benchmark.rows import KernelRow, kernel_file
from kernelgan_jax.benchmark.session import Session
from kernelgan_jax.benchmark.systems import Output, System
from kernelgan_jax.benchmark.testset import Case


def measure_kernels(
    session: Session, system: System, *, seeds: int, sr_seeds: int
) -> list[KernelRow]:
    """The rows of a system's kernels; those that are missing are measured.

    Args:
      system: A system with an estimator.
      seeds: Number of seeds, for a system that makes kernels.
      sr_seeds: Number of seeds, for a system that only makes images.
    """
    rows: list[KernelRow] = []
    for seed in range(seeds):
        missing: list[Trial] = []
        for case in session.cases:
            row = session.kernel_row(system, case, seed)
            if row is not None:
                rows.append(row)
            elif seed < sr_seeds or _has_kernel(session, system, case):
                missing.append((case, seed))
        size = images_at_a_time(system, session.store.scale)
        for start in range(0, len(missing), size):
            rows += _estimate(session, system, missing[start : start + size])
    return rows


def _has_kernel(session: Session, system: System, case: Case) -> bool:
    """Whether a system makes kernels, and not only images."""
    row = session.kernel_row(system, case, 0)
    return row is not None and kernel_file(case.scale) in row.files


def _estimate(
    session: Session, system: System, trials: Sequence[Trial]
) -> list[KernelRow]:
    """Measures kernels as one batch; if it fails, one by one."""
    rows: list[KernelRow] = []
    try:
        outputs, cost = run_system(system, trials, session.analyses)
        for (case, seed), output in zip(trials, outputs, strict=True):
            rows.append(_keep_kernel(session, system, case, seed, output, cost))
    except (Exception, SystemExit) as error:  # Whatever it is, the other images go on.
        if len(trials) == 1:
            session.fail(system.kernel_name, *trials[0], error)
        else:
            for trial in trials[len(rows) :]:
                rows += _estimate(session, system, [trial])
    return rows


def _keep_kernel(
    session: Session, system: System, case: Case, seed: int, output: Output, cost: Cost
) -> KernelRow:
    """Writes an output's kernel and image, and measures the kernel."""
    key = session.kernel_key(system, case, seed)
    files: dict[str, str] = {}
    values: dict[str, Any] = {}
    if output.image is not None:
        dtype = case.lr().dtype
        files |= session.store.write_image(key, output.image, dtype=dtype)
    if (estimate := output.estimate) is not None:
        stages = (*estimate.intermediate, (case.scale, estimate.kernel))
        files |= session.store.write_kernels(key, stages)
        values = kernel_measures(estimate.kernel, case) | {
            "failure": estimate.failure,
            "trusted": estimate.trusted,
            "noise_std": estimate.noise_std,
        }
        if estimate.confidence is not None:
            values["confidence"] = estimate.confidence.to_dict()
    row = KernelRow(
        scale=case.scale,
        system=key.system,
        image=key.image,
        seed=key.seed,
        fingerprint=session.kernel_fingerprint(system, case),
        files=files,
        seconds=cost.seconds,
        memory=cost.memory,
        **values,
    )
    session.store.add(row)
    psnr = row.kernel_psnr
    session.report_row(row, "done" if psnr is None else f"{psnr:.2f} dB", row.failure)
    return row
