"""The configurations of `configs/`, for `--config=NAME` without a clone.

The files there have the command of each, and what was measured with it.
"""
