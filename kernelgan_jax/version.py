"""The version of this package; in a file of its own so that a build needs no JAX."""

__version__ = "0.1.0"
