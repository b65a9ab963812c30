"""JAX, the whole step (points, loss, gradient, Adam) in one jitted function that re-uses its buffers.

    hessian     the Laplacian as the trace of a nested Hessian, point by point under vmap, as jaxpi does
    laplacian   the Laplacian carried forward: value, gradient and Laplacian through the layers in one pass
    scan        the same, and SCAN steps in one call, between which nothing can be seen or changed
"""

from __future__ import annotations

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import jaxlib
import optax
import rounds

given = rounds.arguments("hessian", "laplacian", "scan")
SCAN = 20

Layer = tuple[jax.Array, jax.Array]
Parameters = list[Layer]
adam = optax.adam(rounds.LEARNING_RATE)


def initial(key: jax.Array) -> Parameters:
    """Glorot-normal weights and zero biases."""
    layers = []
    for width_in, width_out in zip(rounds.SIZES[:-1], rounds.SIZES[1:], strict=True):
        key, own = jax.random.split(key)
        weight = jax.nn.initializers.glorot_normal()(own, (width_in, width_out))
        layers.append((weight, jnp.zeros(width_out)))
    return layers


def network(parameters: Parameters, x: jax.Array) -> jax.Array:
    """u at points [..., 2]: [...]."""
    *hidden, (weight, bias) = parameters
    for inner, shift in hidden:
        x = jnp.tanh(x @ inner + shift)
    return (x @ weight + bias)[..., 0]


def by_hessian(parameters: Parameters, x: jax.Array) -> tuple[jax.Array, jax.Array]:
    """u and its Laplacian at points [N, 2]."""

    def at_point(point: jax.Array) -> tuple[jax.Array, jax.Array]:
        return network(parameters, point), jnp.trace(jax.hessian(network, argnums=1)(parameters, point))

    return jax.vmap(at_point)(x)


def forward(parameters: Parameters, x: jax.Array) -> tuple[jax.Array, jax.Array]:
    """u and its Laplacian at points [N, 2], carried through the layers.

    For a = tanh(z): grad a = a' grad z and lap a = a' lap z + a'' |grad z|^2, with a' = 1 - a^2, a'' = -2 a a'.
    """
    (weight, bias), *rest = parameters
    z = x @ weight + bias  # [N, W]
    gradient = jnp.broadcast_to(weight[:, None, :], (2, *z.shape))  # [2, N, W]
    laplacian = jnp.zeros_like(z)
    for weight, bias in rest:
        a = jnp.tanh(z)
        slope = 1 - a * a
        laplacian = slope * (laplacian - 2 * a * (gradient * gradient).sum(0))
        z, gradient, laplacian = a @ weight + bias, (slope * gradient) @ weight, laplacian @ weight
    return z[:, 0], laplacian[:, 0]


def loss(parameters: Parameters, interior: jax.Array, boundary: jax.Array) -> jax.Array:
    """Mean square of the residual plus mean square on the boundary."""
    u, laplacian = (by_hessian if given.variant == "hessian" else forward)(parameters, interior)
    a, b = (jnp.pi * wave for wave in rounds.WAVES)
    source = (1 - a**2 - b**2) * jnp.sin(a * interior[:, 0]) * jnp.sin(b * interior[:, 1])
    return jnp.mean((laplacian + u - source) ** 2) + jnp.mean(network(parameters, boundary) ** 2)


def draw(key: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Points inside [N, 2] and on the four edges [4 * EDGE_POINTS, 2]."""
    inside, along = jax.random.split(key)
    interior = jax.random.uniform(inside, (given.points, 2), minval=-1, maxval=1)
    edges = jax.random.uniform(along, (4, rounds.EDGE_POINTS), minval=-1, maxval=1)
    one = jnp.ones(rounds.EDGE_POINTS)
    pairs = ((-one, edges[0]), (one, edges[1]), (edges[2], -one), (edges[3], one))
    return interior, jnp.concatenate([jnp.stack(pair, axis=1) for pair in pairs])


State = tuple[Parameters, Any, jax.Array]


def step(state: State) -> tuple[State, jax.Array]:
    """One Adam step of (parameters, moments, key)."""
    parameters, moments, key = state
    key, own = jax.random.split(key)
    value, gradient = jax.value_and_grad(loss)(parameters, *draw(own))
    updates, moments = adam.update(gradient, moments, parameters)
    return (optax.apply_updates(parameters, updates), moments, key), value


@partial(jax.jit, donate_argnums=0)
def call(state: State) -> tuple[State, jax.Array]:
    """What is called from Python: a step, or SCAN of them; the losses of all."""
    if given.variant != "scan":
        return step(state)
    return jax.lax.scan(lambda before, _: step(before), state, length=SCAN)


weights = initial(jax.random.key(0))
state = (weights, adam.init(weights), jax.random.key(1))


def run(steps: int) -> float:
    """Make Adam steps; the last loss, when it is there."""
    global state
    each = SCAN if given.variant == "scan" else 1
    if steps % each:
        raise ValueError(f"the steps of a round must be a multiple of {SCAN}")
    losses = jnp.zeros(1)
    for _ in range(steps // each):
        state, losses = call(state)
    jax.block_until_ready(state)
    return float(losses.ravel()[-1])


rounds.serve({"jax": jax.__version__, "jaxlib": jaxlib.__version__, "optax": optax.__version__}, run)
