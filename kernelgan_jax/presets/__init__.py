"""The configurations of `configs/`, for `--config=NAME` without a clone."""
