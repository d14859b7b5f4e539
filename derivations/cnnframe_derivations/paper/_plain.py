"""The LaTeX of findings for a terminal."""

from __future__ import annotations

import re

GREEK = dict(
    zip(
        ("alpha", "beta", "delta", "epsilon", "eta", "lambda", "Omega", "Delta", "ell"),
        "\u03b1\u03b2\u03b4\u03b5\u03b7\u03bb\u03a9\u0394\u2113",
        strict=True,
    )
)
SIGNS = {
    r"\partial": "\u2202",
    r"\sum": "\u03a3",
    r"\circ": "\u2218",
    r"\cdot": "\u00b7",
    r"\le": "\u2264",
    r"\pm": "\u00b1",
    r"\approx": "\u2248",
    r"\in": "\u2208",
    r"\lfloor": "\u230a",
    r"\rfloor": "\u230b",
    r"\quad": "  ",
    r"\qquad": "  ",
    r"\otimes": "\u2297",
    r"\infty": "\u221e",
    r"\tanh": "tanh",
    r"\log": "log",
    r"\exp": "exp",
    r"\rightarrow": "\u2192",
}
UPRIGHT = re.compile(r"\\(?:text|mathrm|operatorname|texttt)\{([^{}]*)\}")
FRACTION = re.compile(r"\\frac\{([^{}]*)\}\{([^{}]*)\}")
ROOT = re.compile(r"\\sqrt\{([^{}]*)\}")
TILDE = re.compile(r"\\tilde\{([^{}]*)\}")
SCRIPT = re.compile(r"([_^])\{([^{}]*)\}")


def plain(latex: str) -> str:
    """LaTeX in Unicode, as far as a terminal can show it."""
    text = re.sub(r"\\(?:left|right)(?![a-z])|\\[,;:!]", " ", UPRIGHT.sub(r"\1", latex))
    text = ROOT.sub("\u221a" + r"\1", text)
    for name, sign in SIGNS.items():
        text = re.sub(re.escape(name) + r"(?![a-zA-Z])", sign, text)
    for name, sign in GREEK.items():
        text = re.sub(rf"\\{name}(?![a-zA-Z])", sign, text)
    before = ""
    while before != text:
        before = text
        text = TILDE.sub(r"\1~", FRACTION.sub(lambda m: f"{_grouped(m[1])}/{_grouped(m[2])}", text))
        text = SCRIPT.sub(lambda m: m[1] + (m[2] if len(m[2]) == 1 or m[2].isalnum() else f"({m[2]})"), text)
    text = re.sub(r"\s+", " ", text.replace("{", "").replace("}", "").replace(r"\|", "|"))
    return re.sub(r"(?<=\u2202) | (?=[)|])|(?<=[(|]) ", "", text).strip()


def sentence(text: str) -> str:
    """A sentence with LaTeX between dollar signs."""
    return "".join(plain(part) if k % 2 else part for k, part in enumerate(text.split("$")))


def _grouped(text: str) -> str:
    return f"({text})" if re.search(r"[ +-]", text.strip()) and not text.startswith("\u2202") else text.strip()
