"""Where products are taken in bfloat16 while training."""

from functools import cache

import torch


@cache
def multiplies_bfloat16(device_type: str) -> bool:
    """Whether such a device has units for it: others would be slower so, not faster."""
    if device_type == "cpu":
        known = torch.cpu.get_capabilities()
        return bool(known.get("amx_bf16") or known.get("avx512_bf16"))
    return device_type == "cuda"
