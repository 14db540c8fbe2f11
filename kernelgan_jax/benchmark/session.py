"""What the two passes over a test set share: results, reports, problems."""

from collections.abc import Callable, Sequence

from kernelgan_jax.benchmark.estimation import Analyses
from kernelgan_jax.benchmark.rows import KERNEL, KernelRow, Key, Row
from kernelgan_jax.benchmark.store import Store, file_digest, fingerprint
from kernelgan_jax.benchmark.systems import System
from kernelgan_jax.benchmark.testset import Case


class Session:
    """One run of the benchmark on the images of one scale."""

    def __init__(
        self,
        store: Store,
        cases: Sequence[Case],
        method: str,
        report: Callable[[str], None],
    ):
        self.store = store
        self.cases = cases
        self.method = method
        """The super-resolution method of systems that have none of their own."""
        self.report = report
        self.problems: list[str] = []
        """One line for each run that failed."""
        self.analyses = Analyses()
        self.digests = {
            case.name: [
                file_digest(path)
                for path in (case.lr_path, case.hr_path, case.kernel_path)
            ]
            for case in cases
        }
        """Digests of the files of each image."""

    def kernel_row(self, system: System, case: Case, seed: int) -> KernelRow | None:
        """The row of a kernel, if it has been measured."""
        key = self.kernel_key(system, case, seed)
        row = self.store.get(key, self.kernel_fingerprint(system, case))
        return row if isinstance(row, KernelRow) else None

    def kernel_key(self, system: System, case: Case, seed: int) -> Key:
        """The key of a kernel's row; the seed is 0 if the kernel has none."""
        seed = seed if system.seeded else 0
        return Key(KERNEL, case.scale, system.kernel_name, case.name, seed)

    def kernel_fingerprint(self, system: System, case: Case) -> str:
        """The fingerprint of a kernel's row."""
        return fingerprint(
            files=self.digests[case.name], estimator=system.estimator_identity(case)
        )

    def report_row(self, row: Row, result: str, failure: str = "") -> None:
        """Reports a measurement in one line."""
        done = f"x{row.scale} {row.system}, {row.image}, seed {row.seed}"
        took = "" if row.seconds is None else f", {row.seconds:.1f} s"
        failed = f", NOT CONVERGED ({failure})" if failure else ""
        self.report(f"{done}: {row.kind} {result}{took}{failed}")

    def fail(self, system: str, case: Case, seed: int, error: BaseException) -> None:
        """Reports and keeps a problem in one line."""
        text = str(error) if isinstance(error, ValueError) else ""
        text = " ".join((text or f"{type(error).__name__}: {error}").split())
        problem = f"{system}, {case.name}, seed {seed}: {text}"
        self.problems.append(problem)
        self.report(f"x{case.scale} {problem}")
