"""3.4: how many more outputs than needed the convolution with ones computes."""

import sympy as sp

from ._finding import Fact, Finding

h = sp.Symbol("h", positive=True, integer=True)
valid, full, same = ((2 * h - 1) / h) ** 2, ((2 * h + 1) / h) ** 2, (2 * h / h) ** 2

FINDING = Finding(
    where="four times as many outputs",
    section="3.4",
    printed=r"\text{convolution in this case actually computes four times as many outputs (assuming 2x downsampling) as we really need}",
    words="For a map of 2h by 2h, of which h by h outputs are needed.",
    verdict="right under a condition",
    condition="Exactly for border 'same'; for 'valid' it is a little less, for 'full' a little more, and both come close to it for large maps.",
    corrected=r"\left(\frac{2h - 1}{h}\right)^2 = 4 - \frac{4h - 1}{h^2} \text{ for 'valid'}",
    facts=(
        Fact("'valid' computes four times as many", "SymPy cancel", f"{valid.subs(h, 4)} times for h = 4", sp.cancel(valid - 4) == 0),
        Fact("'same' does", "SymPy cancel", "4 times", sp.cancel(same - 4) == 0),
        Fact("'valid' computes $(4h - 1) / h^2$ less than that", "SymPy cancel", "difference 0", sp.cancel(4 - valid - (4 * h - 1) / h**2) == 0),
        Fact("'valid' and 'full' come close to 4", "SymPy limit", "limit 4", {sp.limit(valid, h, sp.oo), sp.limit(full, h, sp.oo)} == {sp.Integer(4)}),
    ),
)
