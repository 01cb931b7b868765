"""What a report says of its protocol, and what must be read before the figures of a part or a change of it."""

from collections.abc import Mapping, Sequence
from typing import Any

from resgen_tts.evaluation.protocols.published import departures

_TOLD = {  # of protocol.json: how it is told
    "mode": "{}",
    "cut": "prompts cut {}",
    "prompt_seconds": "prompts of {} s",
    "aligner": "by {}",
    "seed": "seed {}",
    "trials": "trials: {}",
    "list_sha256": "list SHA-256 {}",
    "set_sha256": "set SHA-256 {}",
}
# What decides what the items are. The set's hash does not: parts of one protocol may be compared over what they share.
DECIDING = ("name", *(name for name in _TOLD if name != "set_sha256"))


def protocol_line(protocol: Mapping[str, Any]) -> str:
    """The protocol of an item set in a line, e.g. ``V, continuation, seed 49, ...``; "" for a corpus's own items."""
    if not protocol:
        return ""
    told = [shape.format(protocol[name]) for name, shape in _TOLD.items() if protocol.get(name) not in (None, "")]
    return ", ".join([protocol_name(protocol), *told])


def protocol_name(protocol: Mapping[str, Any]) -> str:
    """The letter of a protocol."""
    return str(protocol.get("name") or "without a name")


def protocol_warnings(protocol: Mapping[str, Any], *, used: int, skipped: int) -> list[str]:
    """What must be read before figures that are not those of the whole protocol as it is published.

    Args:
        protocol: facts of the item set; empty for a corpus's own items, of which nothing is said.
        used: items that were scored.
        skipped: items that could not be.
    Returns:
        SUBSET where items of the protocol are not among them, CHANGED where its set was built in another way.
    """
    if not protocol:
        return []
    name, items = protocol_name(protocol), protocol.get("items")
    found = []
    if protocol.get("is_subset") or skipped or (items is not None and used != items):
        counts = [] if items is None else [f"{items:,} in the item set"]
        counts += [f"{skipped:,} skipped"] if skipped else []
        shown = f" ({', '.join(counts)})" if counts else ""
        found.append(
            f"SUBSET: {used:,} items, which are not all of protocol {name}{shown}. "
            "These are not figures of the protocol."
        )
    changes = departures({**protocol, "is_subset": False})  # that it is one is said already
    if changes:
        found.append(
            f"CHANGED: differs from the published protocol {name}, or is not shown to be it: {_joined(changes)}. "
            "These figures do not stand beside published ones."
        )
    return found


def _joined(parts: Sequence[str]) -> str:
    return "; ".join(part.strip().removesuffix(".") for part in parts)
