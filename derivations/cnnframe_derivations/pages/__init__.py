"""Pages that show a derivation, its steps read off the proof: for a terminal, as LaTeX, as HTML."""

from ._html import document as document
from ._html import math as math
from ._page import Page as Page
from ._page import index as index
from ._page import page as page
