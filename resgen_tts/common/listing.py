"""How culprits are named in a message: the first few of them, and how many more there are."""

from collections.abc import Iterable


def some(names: Iterable[str], named: int = 5) -> str:
    """The first ``named`` names, e.g. ``a, b and 3 more``."""
    names = list(names)
    return ", ".join(names[:named]) + (f" and {len(names) - named} more" if len(names) > named else "")
