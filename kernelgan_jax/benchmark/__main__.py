"""The benchmark as a module: `python -m kernelgan_jax.benchmark`."""

from kernelgan_jax.__main__ import benchmark_command

if __name__ == "__main__":
    benchmark_command()
