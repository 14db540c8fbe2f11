"""The version of this package; in a file of its own so that a build needs no JAX.

CITATION.cff and the first heading of CHANGELOG.md name it, too.
"""

__version__ = "0.2.0"
