"""`python -m cnnframe` is the command `cnnframe`."""

from __future__ import annotations

import sys

from .cli import main

sys.argv[0] = "cnnframe"
main()
