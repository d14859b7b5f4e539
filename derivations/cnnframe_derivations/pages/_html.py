"""HTML pages that stand alone: LaTeX as MathML, one file with its style in it, nothing that is fetched."""

from __future__ import annotations

import re
from html import escape

from latex2mathml.converter import convert

STYLE = """
:root { color-scheme: light dark; --text: #1c1c1c; --soft: #5b5b5b; --line: #d9d6cf; --paper: #fffefb; --box: #f6f3ec; --mark: #1d5d8f; --good: #2b6b3a;
  --bad: #9c3d1d; }
@media (prefers-color-scheme: dark) {
  :root { --text: #e7e4dc; --soft: #a5a199; --line: #3d3b37; --paper: #191917; --box: #232320; --mark: #8cc1ea; --good: #8fce9d; --bad: #eba083; }
}
* { box-sizing: border-box; }
html { background: var(--paper); color: var(--text); font: 17px/1.55 Charter, "Bitstream Charter", "Iowan Old Style", Palatino, Georgia, serif; }
body { max-width: 52rem; margin: 0 auto; padding: 2.5rem 1.25rem 5rem; }
h1 { font-size: 1.9rem; line-height: 1.2; margin: 0 0 .3rem; font-weight: 600; }
h2 { font-size: 1.3rem; margin: 2.6rem 0 .6rem; padding-top: .5rem; border-top: 1px solid var(--line); font-weight: 600; }
h2 math { font-size: 1.35em; vertical-align: -.15em; }
h3 { font-size: 1.05rem; margin: 1.8rem 0 .4rem; font-weight: 600; }
p { margin: .5rem 0; }
a { color: var(--mark); text-decoration-thickness: 1px; text-underline-offset: 2px; }
code, pre { font: .86em/1.5 ui-monospace, "DejaVu Sans Mono", Menlo, Consolas, monospace; }
pre { background: var(--box); padding: .8rem 1rem; overflow-x: auto; border-radius: 4px; }
.soft { color: var(--soft); }
math { font-family: "Latin Modern Math", "STIX Two Math", "Cambria Math", "Libertinus Math", math; }
math[display="block"] { width: max-content; margin: 0 auto; }
.formula { margin: .7rem 0; padding: .15rem 0; overflow-x: auto; overflow-y: hidden; }
mtd { padding: .3em .15em; }
mtd[columnalign="right"] { text-align: right; }
mtd[columnalign="left"] { text-align: left; }
table { border-collapse: collapse; width: 100%; margin: 1rem 0; font-size: .95em; }
th, td { text-align: left; vertical-align: top; padding: .4rem .8rem .4rem 0; border-bottom: 1px solid var(--line); }
th { font-weight: 600; color: var(--soft); }
ol.steps { list-style: none; counter-reset: step; padding: 0; margin: 1rem 0; }
ol.steps > li { counter-increment: step; position: relative; padding-left: 2.3rem; margin: 1rem 0; }
ol.steps > li::before { content: counter(step); position: absolute; left: 0; top: .15rem; width: 1.5rem; height: 1.5rem; font-size: .8rem;
  line-height: 1.5rem; text-align: center; border: 1px solid var(--line); border-radius: 50%; color: var(--soft); }
.claim { background: var(--box); border-left: 3px solid var(--mark); padding: .3rem 1rem; margin: 1rem 0; border-radius: 0 4px 4px 0; }
.proved, .unproved { font-size: .8rem; padding: .05rem .5rem; border: 1px solid currentColor; border-radius: 1rem; margin-left: .5rem; white-space: nowrap;
  font-weight: 400; vertical-align: .1em; }
.proved, .right { color: var(--good); }
.unproved, .wrong { color: var(--bad); }
details { margin: .6rem 0; font-size: .92em; }
summary { cursor: pointer; color: var(--soft); }
details table { font-size: .9em; }
@media (max-width: 40rem) { html { font-size: 16px; } body { padding: 1.5rem 1rem 3rem; } ol.steps > li { padding-left: 2rem; } }
@media print {
  :root { --text: #000; --soft: #444; --line: #bbb; --paper: #fff; --box: #f5f5f5; --mark: #000; --good: #000; --bad: #000; }
  html { font-size: 10.5pt; } body { max-width: none; padding: 0; } a { text-decoration: none; }
  h1, h2, h3 { break-after: avoid; } .formula, .claim, tr { break-inside: avoid; }
  .formula { overflow: visible; }
}
"""

WORD = re.compile(r"\\(mathrm|operatorname|text)\{([^{}]*)\}")
"""What stays upright and whole; the converter would set its letters one by one."""
PLACE = 0xE000
"""The first code point for private use; each word waits behind one of these while the converter runs."""
NAMESPACE = ' xmlns="http://www.w3.org/1998/Math/MathML"'
"""HTML needs none, and a page without it holds no address at all."""
ALIGNED = re.compile(r"\\begin\{(aligned|split)\}(.*?)\\end\{\1\}", re.DOTALL)
"""Environments that the converter knows as arrays alone."""


def math(latex: str, *, block: bool = False) -> str:
    """LaTeX as MathML, which carries its LaTeX along as an annotation."""
    words: list[str] = []

    def place(match: re.Match[str]) -> str:
        text = escape(match[2].replace("~", " ").replace(r"\_", "_").replace(r"\&", "&")).replace(" ", "\N{NO-BREAK SPACE}")
        words.append(f"<mtext>{text}</mtext>" if match[1] == "text" else f'<mi mathvariant="normal">{text}</mi>')
        return chr(PLACE + len(words) - 1)

    plain = ALIGNED.sub(r"\\begin{array}{rl}\2\\end{array}", WORD.sub(place, latex))
    # Within brackets and fractions the converter sets the range of a sum beside it unless it is told.
    plain = re.sub(r"\\sum(?![a-zA-Z]|\\limits)", r"\\sum\\limits", plain)
    found = convert(plain, display="block" if block else "inline").replace(NAMESPACE, "")
    if block:
        found = found.replace("<mtable>", '<mtable displaystyle="true">')
    for number, word in enumerate(words):
        found = found.replace(f"<mi>{chr(PLACE + number)}</mi>", word)
    start, _, inner = found.removesuffix("</math>").partition(">")
    annotated = f'{start}><semantics>{inner}<annotation encoding="application/x-tex">{escape(latex)}</annotation></semantics></math>'
    return f'<div class="formula">{annotated}</div>' if block else annotated


def document(title: str, body: str) -> str:
    """One whole page; `body` is HTML and begins with its own heading."""
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{escape(title)}</title>
<style>{STYLE}</style>
</head>
<body>
{body}
</body>
</html>
"""
