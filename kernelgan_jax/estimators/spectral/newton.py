"""Newton's method for a few unknowns, with damping: pure JAX.

At position x with gradient g and Hessian H = Q diag(v) Q' (eigenvalues v), the step is

    x + d,   d = -Q diag(1 / (|v| + damping)) Q' g                                   (1)

The absolute values turn away from saddle points and maxima; the damping shortens the
step. If the loss falls, the step is taken and the damping divided by 3; otherwise the
position stays and the damping is multiplied by 4. The search ends when the decrease
that the quadratic model predicts,

    sum_i |v_i| (Q' d)_i^2                                                           (2)

is below a tolerance.

References:
  Levenberg, "A method for the solution of certain non-linear problems in least
    squares", Quarterly of Applied Mathematics, 1944 (the damping).
  Nocedal and Wright, Numerical Optimization, 2nd edition, 2006, section 3.4 (Hessians
    with modified eigenvalues).
"""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from kernelgan_jax import checks
from kernelgan_jax.exact_products import matmul

Loss = Callable[[jax.Array], jax.Array]

FIRST_DAMPING = 0.01
"""Damping of the first step, in units of the Hessian's eigenvalues."""

MIN_DAMPING, MAX_DAMPING = 1e-6, 1e3
"""Limits of the damping."""


class Solution(NamedTuple):
    """Result of `minimise`."""

    position: jax.Array
    """The lowest position found, `n`."""
    value: jax.Array
    """Loss at the position; infinite if the loss was finite nowhere."""
    hessian: jax.Array
    """Hessian at the position, `n x n`. In rows and columns of fixed unknowns it is the
    identity."""
    converged: jax.Array
    """Whether the search ended because the predicted decrease was small enough."""
    steps: jax.Array
    """How often the loss and its derivatives were computed."""


class State(NamedTuple):
    """State of the search between two steps."""

    position: jax.Array
    value: jax.Array
    gradient: jax.Array
    hessian: jax.Array
    damping: jax.Array
    step: jax.Array
    """Number of steps done."""
    predicted_decrease: jax.Array
    """Formula (2) for the latest step, whether or not it was taken."""


def minimise(
    loss: Loss,
    start: jax.Array,
    *,
    free: Any = None,
    max_steps: int = 40,
    tolerance: float = 1e-7,
) -> Solution:
    """Finds a local minimum of a function of a few unknowns.

    Pure: it can be compiled by `jax.jit` and batched by `jax.vmap`. A position whose
    loss or Hessian is not finite is never taken.

    Args:
      loss: Function of `n` unknowns with a scalar value, twice differentiable.
      start: Where the search starts, `n` values, float32 or float64.
      free: `n` values, true or 1 for unknowns to solve for, false or 0 for those that
        keep their start; by default all are free.
      max_steps: Evaluations of the loss at most; the first is at the start.
      tolerance: The search ends when the predicted decrease is below it.

    Returns:
      The solution, of the dtype of `start`.

    Raises:
      ValueError: If the start is not float32 or float64, or has not one axis.

    Example:
      >>> import jax.numpy as jnp
      >>> from kernelgan_jax.estimators.spectral import minimise
      >>> solution = minimise(lambda x: ((x - 3) ** 2).sum(), jnp.zeros(2))
      >>> bool(solution.converged), [round(float(x), 3) for x in solution.position]
      (True, [3.0, 3.0])
    """
    start = checks.jax_array("start", start)
    checks.floating("start", start, (1,))
    if start.dtype.itemsize < 4:  # JAX has no eigenvalues of half precision.
        raise ValueError(f"start holds {start.dtype}; it must be float32 or float64")
    if free is None:
        free = jnp.ones_like(start)
    free = jnp.asarray(free).astype(start.dtype)

    def at_rest(state: State) -> jax.Array:
        # The first step only evaluates the start, so it predicts no decrease. A
        # predicted decrease of NaN does not end the search.
        return (state.step > 1) & (state.predicted_decrease < tolerance)

    def unfinished(state: State) -> jax.Array:
        return (state.step < max_steps) & ~at_rest(state)

    # Traced once, however often the loop, and loops of loops, are.
    derivatives = jax.jit(functools.partial(_derivatives, loss, free))

    def step(state: State) -> State:
        return _step(derivatives, state)

    final = jax.lax.while_loop(unfinished, step, _initial_state(start))
    converged = at_rest(final) & jnp.isfinite(final.value)
    return Solution(
        final.position, final.value, final.hessian, converged, steps=final.step
    )


def _initial_state(start: jax.Array) -> State:
    """The state before the start is evaluated.

    With a gradient of 0 and an infinite loss the first step goes to the start itself.
    So the loss and its derivatives appear once in the compiled program, in the loop.
    """
    zero = jnp.zeros_like(start)
    return State(
        position=start,
        value=jnp.full((), jnp.inf, start.dtype),
        gradient=zero,
        hessian=jnp.diag(zero + 1),
        damping=jnp.full((), FIRST_DAMPING, start.dtype),
        step=jnp.int32(0),
        predicted_decrease=jnp.zeros((), start.dtype),
    )


def _step(derivatives: Callable[[jax.Array], Any], state: State) -> State:
    """Tries one damped Newton step and adapts the damping."""
    values, axes = jnp.linalg.eigh(state.hessian)
    along = matmul(axes.T, state.gradient) / (jnp.abs(values) + state.damping)
    position = state.position - matmul(axes, along)  # (1)
    value, gradient, hessian = derivatives(position)
    # A comparison with NaN is false, so a loss of NaN is not taken either.
    better = jnp.isfinite(hessian).all() & (value < state.value)
    damping = jnp.where(better, state.damping / 3, state.damping * 4)
    return State(
        position=jnp.where(better, position, state.position),
        value=jnp.where(better, value, state.value),
        gradient=jnp.where(better, gradient, state.gradient),
        hessian=jnp.where(better, hessian, state.hessian),
        damping=jnp.clip(damping, MIN_DAMPING, MAX_DAMPING),
        step=state.step + 1,
        predicted_decrease=(along**2 * jnp.abs(values)).sum(),  # (2)
    )


def _derivatives(
    loss: Loss, free: jax.Array, position: jax.Array
) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Value, gradient and Hessian; those of fixed unknowns are 0, and 1 on the
    Hessian's diagonal."""

    def gradient_and_both(x: jax.Array) -> Any:
        value, gradient = jax.value_and_grad(loss)(x)
        return gradient, (value, gradient)

    hessian, (value, gradient) = jax.jacfwd(gradient_and_both, has_aux=True)(position)
    hessian = (hessian + hessian.T) / 2 * free[:, None] * free[None, :]
    return value, free * gradient, hessian + jnp.diag(1 - free)
