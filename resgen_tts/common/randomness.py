"""Named random generators, all derived from one run seed."""

import hashlib

import torch


def seed_of(seed: int, *names: str | int) -> int:
    """Derive a 63-bit seed from a run seed and a path of names, the same on every machine."""
    digest = hashlib.blake2b(repr((seed, *names)).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little") >> 1


def generator(seed: int, *names: str | int) -> torch.Generator:
    """A CPU generator for one purpose, e.g. ``generator(seed, "step", 12)``.

    Draws are made on the CPU and moved, so that a seed gives the same numbers on every device.
    """
    return torch.Generator().manual_seed(seed_of(seed, *names))
