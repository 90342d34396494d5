"""What a method leaves in its folder: `config.toml`, and when it is finished one line in `metrics.jsonl`."""

import json
import os
import tempfile
from pathlib import Path

from data import DataError


def finished(folder: Path, config: dict) -> bool:
    """Whether `folder` holds the results of `config`.

    Those of another configuration are not written over.
    """
    if not (folder / "metrics.jsonl").exists():
        return False
    if (folder / "config.toml").read_text() != toml(config):
        raise DataError(f"{folder} holds the results of other settings (compare its config.toml): give another --out")
    return True


def write(path: Path, text: str):
    """Puts `text` at `path` whole or not at all."""
    with tempfile.NamedTemporaryFile("w", dir=path.parent, prefix=f".{path.name}.", delete=False) as file:
        try:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
            os.chmod(file.name, 0o644)
            os.replace(file.name, path)
        except BaseException:
            os.unlink(file.name)
            raise


def toml(config: dict) -> str:
    """Values first, then a table for each dictionary. JSON's texts, numbers and arrays are TOML's."""
    values = [f"{key} = {json.dumps(value)}\n" for key, value in config.items() if not isinstance(value, dict)]
    tables = [f"\n[{key}]\n{toml(value)}" for key, value in config.items() if isinstance(value, dict)]
    return "".join(values + tables)
