"""The training program of the second look at kernels."""
