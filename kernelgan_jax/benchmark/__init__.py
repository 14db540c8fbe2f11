"""The benchmark: test sets made, estimators and methods compared on them.

`degrade` makes a test set from HR images, `evaluate` runs systems on one and measures
them. `python -m kernelgan_jax.benchmark` is the same as a command.
"""

from kernelgan_jax.benchmark.degrade import PROTOCOLS, Protocol, degrade
from kernelgan_jax.benchmark.evaluate import Evaluation, evaluate
from kernelgan_jax.benchmark.systems import SYSTEMS, Answer, System, finished, from_file
from kernelgan_jax.benchmark.testset import Case, Found, read

__all__ = [
    "PROTOCOLS",
    "SYSTEMS",
    "Answer",
    "Case",
    "Evaluation",
    "Found",
    "Protocol",
    "System",
    "degrade",
    "evaluate",
    "finished",
    "from_file",
    "read",
]
