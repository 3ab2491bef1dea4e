"""Runs of pytest within the tests, which find the pytest plugin as in an installed package."""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).parent.parent


def entry_points() -> str:
    """Return the project's entry points as the metadata of an installed package have them."""
    lines: list[str] = []
    inside = False
    for line in (ROOT / "pyproject.toml").read_text().splitlines():
        if line.startswith("["):
            prefix, _, group = line.rpartition("entry-points.")
            inside = prefix == "[project."
            if inside:
                lines.append(f"[{group}")
        elif inside and "=" in line:
            lines.append(line.partition("#")[0].replace('"', "").strip())
    return "\n".join(lines) + "\n"


def write_metadata(directory: Path) -> None:
    """Make `directory`, once it is on the path, say what an installed fasttrace says of itself."""
    metadata = directory / "fasttrace-0.dist-info"
    metadata.mkdir(parents=True)
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: fasttrace\nVersion: 0\n")
    (metadata / "entry_points.txt").write_text(entry_points())
