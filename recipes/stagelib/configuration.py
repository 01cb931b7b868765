"""The one resolved configuration of a run: recipe defaults, then the smoke override, then the user's file."""

from pathlib import Path
from typing import Any

import yaml

from resgen_tts.common.errors import ConfigError


def read_yaml(path: Path) -> dict[str, Any]:
    """Read a YAML mapping; an empty file is an empty mapping.

    Raises:
        ConfigError: the file is missing, is not YAML, or is not a mapping.
    """
    try:
        data = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise ConfigError(f"{path} does not exist.", code="CONFIG_MISSING") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} is not valid YAML: {error}") from error
    if data is None:
        return {}
    if not isinstance(data, dict):
        raise ConfigError(f"{path} must hold names and values, got {type(data).__name__}.")
    return data


def merged(base: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    """``base`` with the leaves of ``over`` put on top."""
    result = dict(base)
    for key, value in over.items():
        both = isinstance(value, dict) and isinstance(result.get(key), dict)
        result[key] = merged(result[key], value) if both else value
    return result


def resolve(conf: Path, sections: list[str], *, smoke: bool, override: Path | None) -> dict[str, dict[str, Any]]:
    """Each section's configuration: ``conf/<section>.yaml``, ``conf/smoke/<section>.yaml``, then the override's part.

    Raises:
        ConfigError: the override names a section that no stage reads, or a section of it is not a mapping.
    """
    user = read_yaml(override) if override else {}
    unknown = sorted(set(user) - set(sections))
    if unknown:
        raise ConfigError(f"{override}: no section {unknown[0]!r}; the sections are {', '.join(sections)}.")
    resolved = {}
    for section in sections:
        files = [conf / f"{section}.yaml"] + ([conf / "smoke" / f"{section}.yaml"] if smoke else [])
        result: dict[str, Any] = {}
        for file in files:
            if file.is_file():
                result = merged(result, read_yaml(file))
        part = user.get(section) or {}
        if not isinstance(part, dict):
            raise ConfigError(f"{override}: section {section!r} must hold names and values.")
        resolved[section] = merged(result, part)
    return resolved
