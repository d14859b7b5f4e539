"""JAX: a step that is compiled as a whole, parameters given back in place."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax


def apply(layer, x, parameters):
    kind = layer[0]
    if kind == "conv":
        options = layer[3]
        p, s, d = options.get("padding", 0), options.get("stride", 1), options.get("dilation", 1)
        k, b = next(parameters), next(parameters)
        return lax.conv_general_dilated(x, k, (s, s), [(p, p)] * 2, rhs_dilation=(d, d)) + b[:, None, None]
    if kind == "dense":
        w, b = next(parameters), next(parameters)
        return x @ w.T + b
    if kind in ("sum", "mean"):
        total = lax.reduce_window(x, 0.0, lax.add, (1, 1, 2, 2), (1, 1, 2, 2), "VALID")
        if kind == "mean":
            return total / 4
        beta, b = next(parameters), next(parameters)
        return beta[:, None, None] * total + b[:, None, None]
    if kind == "max":
        return lax.reduce_window(x, -jnp.inf, lax.max, (1, 1, 2, 2), (1, 1, 2, 2), "VALID")
    if kind == "flatten":
        return x.reshape(len(x), -1)
    return {"tanh": lambda a: 1.7159 * jnp.tanh(2 / 3 * a), "logistic": jax.nn.sigmoid, "relu": jax.nn.relu, "plugin": jax.nn.silu}[kind](x)


def make(job, batch, x, target, parameters, *, contestant, threads):  # the process is held to its processors
    x, parameters = jnp.asarray(x), [jnp.asarray(array) for array in parameters]
    t = jnp.asarray(np.eye(10, dtype=np.float32)[target] if job.loss == "squared" else target)

    def loss_of(parameters, x, t):
        rest = iter(parameters)
        y = x
        for layer in job.layers:
            y = apply(layer, y, rest)
        if job.loss == "squared":
            return 0.5 * ((y - t) ** 2).sum() / batch
        if job.loss == "entropy":
            return -jnp.take_along_axis(jax.nn.log_softmax(y), t[:, None], 1).mean()
        return (y * t).sum() / batch

    slope = jax.value_and_grad(loss_of, (0, 1) if job.dx else 0)

    def update(parameters, x, t):
        loss, found = slope(parameters, x, t)
        gradients, dx = found if job.dx else (found, None)
        return [p - 1e-6 * g for p, g in zip(parameters, gradients, strict=True)], loss, dx

    compiled = jax.jit(update, donate_argnums=0)
    state = {"parameters": [array.copy() for array in parameters]}

    def step():
        state["parameters"], loss, dx = compiled(state["parameters"], x, t)
        jax.block_until_ready((state["parameters"], loss, dx))

    def gradients():
        loss, found = jax.jit(slope)(parameters, x, t)
        own, dx = found if job.dx else (found, None)
        return float(loss), [np.concatenate([np.ravel(g) for g in own]), *([np.asarray(dx)] if job.dx else [])]

    return step, gradients


def version():
    return f"JAX {jax.__version__}"
