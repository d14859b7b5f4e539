"""Evaluate a formula as the terminal shows it: a reader of its own, so that what is printed can be held against what was proved."""

from __future__ import annotations

import math
import re

TOKEN = re.compile(r"\s*(Σ|√|[0-9]+|[^\W\d_](?:(?!²)[\w\u0305])*|.)")
FUNCTIONS = {"exp": math.exp, "log": math.log, "tanh": math.tanh, "logistic": lambda x: 1 / (1 + math.exp(-x)), "softplus": lambda x: math.log(1 + math.exp(x))}


def close(a, b):
    return abs(a - b) <= 1e-9 * max(1, abs(a), abs(b))


COMPARE = {
    "≤": lambda a, b: a <= b,
    "<": lambda a, b: a < b,
    ">": lambda a, b: a > b,
    "=": close,
    "≠": lambda a, b: not close(a, b),
}


class Formula:
    """The right side of an equation; `arrays` give entries for indices, as many as were printed: their `axes`."""

    def __init__(self, lines, arrays):
        self.arrays = arrays
        where = next((k for k, line in enumerate(lines) if line.strip().startswith("where ")), len(lines))
        body, short = " ".join(lines[:where]), " and ".join(lines[where:])
        self.body = self.tokens(body)
        defined = re.split(r"\s+and\s+", short.strip().removeprefix("where ").removeprefix("and ")) if short else []
        self.short = {part.removeprefix("and ").partition(" = ")[0].strip(): self.tokens(part.partition(" = ")[2]) for part in defined}

    @staticmethod
    def tokens(text):
        return TOKEN.findall(text.strip())

    def at(self, values):
        """The value for sizes, hyperparameters and indices by their printed names."""
        value, rest = self.sum(self.body, 0, values)
        assert rest == len(self.body), self.body[rest:]
        return value

    def sum(self, tokens, at, values):
        total, sign = 0, 1
        if at < len(tokens) and tokens[at] == "-":
            sign, at = -1, at + 1
        while True:
            term, at = self.term(tokens, at, values)
            total += sign * term
            if at >= len(tokens) or tokens[at] not in "+-":
                return total, at
            sign, at = 1 if tokens[at] == "+" else -1, at + 1

    def term(self, tokens, at, values):
        if tokens[at] == "Σ":
            index, compare = tokens[at + 2], tokens[at + 3]
            bound, start = self.sum(tokens, at + 4, values)
            assert tokens[start] == ")"
            total, end = 0, self.skip(tokens, start + 1)
            for k in range(int(bound) + (compare == "≤")):
                value, after = self.term(tokens, start + 1, {**values, index: k})
                assert after == end
                total += value
            return total, end
        value, at = self.power(tokens, at, values)
        while at < len(tokens) and tokens[at] not in ")],+-≤<>=≠":
            divide = tokens[at] == "/"
            # Behind a bracket that is 0 nothing needs a value.
            factor, at = self.power(tokens, at + divide, values)
            value = value / factor if divide else value * factor
        return value, at

    @staticmethod
    def skip(tokens, at):
        """Where a term ends."""
        depth = 0
        while at < len(tokens):
            if tokens[at] in "([":
                depth += 1
            elif tokens[at] in ")]":
                if not depth:
                    break
                depth -= 1
            elif not depth and tokens[at] in "+-" and tokens[at - 1] != "^":
                break
            at += 1
        return at

    def power(self, tokens, at, values):
        if tokens[at] == "√":
            value, at = self.power(tokens, at + 1, values)
            return math.sqrt(value), at
        value, at = self.factor(tokens, at, values)
        if at < len(tokens) and tokens[at] == "²":
            return value**2, at + 1
        if at < len(tokens) and tokens[at] == "^":
            exponent, at = self.factor(tokens, at + 1, values)
            return value**exponent, at
        return value, at

    def factor(self, tokens, at, values):
        first = tokens[at]
        if first.isdecimal():
            return int(first), at + 1
        if first == "(":
            value, at = self.sum(tokens, at + 1, values)
            assert tokens[at] == ")", tokens[at:]
            return value, at + 1
        if first == "[":
            left, at = self.sum(tokens, at + 1, values)
            holds = True
            while tokens[at] != "]":
                compare = COMPARE[tokens[at]]
                right, at = self.sum(tokens, at + 1, values)
                holds, left = holds and compare(left, right), right
            return int(holds), at + 1
        name, follows = first, tokens[at + 1] if at + 1 < len(tokens) else ""
        # δ(y) is one name.
        if name == "δ" and follows == "(" and tokens[at + 3] == ")":
            name, at = f"δ({tokens[at + 2]})", at + 3
            follows = tokens[at + 1] if at + 1 < len(tokens) else ""
        if follows == "(" and name in FUNCTIONS:
            value, at = self.sum(tokens, at + 2, values)
            return FUNCTIONS[name](value), at + 1
        if follows == "[" and name in self.arrays and self.arrays[name].axes:
            indices, at = [], at + 1
            while tokens[at] != "]":
                index, at = self.sum(tokens, at + 1, values)
                indices.append(index)
            return self.arrays[name](*indices), at + 1
        if name in self.short:
            return self.sum(self.short[name], 0, values)[0], at + 1
        return (self.arrays[name]() if name in self.arrays else values[name]), at + 1
