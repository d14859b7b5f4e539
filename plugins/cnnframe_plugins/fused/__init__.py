"""Fused kernels: chains of operations as machine code, generated for their sizes by Numba and kept on disk.

A planner describes a stage, asks whether there is a kernel, and compiles it:

    stage = Stage((conv, tanh, subsample, tanh), shape=(64, 1, 32, 32), dx=False)
    if why_not(stage.ops, stage.shape, stage.dtype) is None:
        kernel = compile(stage)

What it gets says what buffers it wants: `input_layout` and `output_layout` (a `Layout` knows how many numbers an array
takes, and packs and unpacks arrays where layouts meet), `saved` and `scratch` as numbers of the element type, and
`parameters`, names with sizes. Parameters and their gradients go by "<position in the chain>.<name>", as "0.k".

    kernel.forward(x, params, y, saved, scratch)
    kernel.backward(dy, x, y, params, saved, dx, dparams, scratch)

write y and saved, and dx and dparams, and touch nothing else but scratch. Gradients overwrite what was there; those of
parameters are added to it if they are bound so. Buffers
need no zeros and no alignment, `scratch` may be shared by all stages, and `saved`, x and y must stay as they are until
`backward` has run. What lies in the lanes beyond the batch belongs to the kernels: `Layout.pack(..., gradient=True)`
writes zeros there, and a stage's dx may feed the dy of the one before as it is. It may lie exactly where x lies, which is gone then.

Buffers that stay the same are bound once: `bind_forward` and `bind_backward` return a `Run`, a call of which costs a
microsecond or two and holds no lock of the interpreter. Nothing here has threads: who calls shares a batch among its own.

Vectors go across the batch ("lanes"), for a few samples across columns ("rows"; arrays as NumPy has them), and for
many output maps across the maps ("maps"), with zeros behind the last one. There a stage reads its input between borders
of zeros as wide as its padding, and writes around its output the `border` of zeros that the next stage's padding asks for.

Nothing that compiles is imported: kernels are compiled in processes of their own, and only where none can be started, in this one.
"""

from __future__ import annotations

from ._cache import VARIABLE, CacheWarning
from ._compiler import KernelError, unavailable
from ._geometry import Declined
from ._kernel import FusedKernel
from ._layout import PLAIN, Layout
from ._run import Run
from ._stage import Compiled, Stage, compile_stage, why_not

__all__ = [
    "PLAIN",
    "VARIABLE",
    "CacheWarning",
    "Compiled",
    "Declined",
    "FusedKernel",
    "KernelError",
    "Layout",
    "Run",
    "Stage",
    "compile",
    "unavailable",
    "why_not",
]

compile = compile_stage  # noqa: A001 # as in `re.compile`: the package goes before it, and it says what it does
