"""Configuration: frozen dataclasses to plain data and back (the leaf of jsonargparse)."""

from dataclasses import asdict
from typing import Any, TypeVar

from resgen_tts.common.errors import ConfigError

Config = TypeVar("Config")


def to_plain(config: Any) -> dict[str, Any]:
    """A dataclass as nested dictionaries, ready for JSON."""
    return asdict(config)


def from_plain(kind: type[Config], data: dict[str, Any]) -> Config:
    """Build a dataclass from what :func:`to_plain` gave; every value is checked, unknown names are errors.

    Raises:
        ConfigError: a name is unknown or a value is of the wrong type.
    """
    from jsonargparse import ArgumentError, ArgumentParser

    parser = ArgumentParser(exit_on_error=False)
    parser.add_argument("--config", type=kind)
    try:
        return parser.instantiate(parser.parse_object({"config": data})).config
    except ArgumentError as error:
        raise ConfigError(f"not a {kind.__name__}: {error}") from error
