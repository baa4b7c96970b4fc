"""`python -m audiochat` without bfloat16 units: their rounding would hide a wrong gradient."""

import sys

import torch

from audiochat.__main__ import main

torch.cpu.get_capabilities = dict  # type: ignore[assignment]

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
