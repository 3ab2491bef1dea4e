"""The broken tracers the oracle must recognise: mutation name -> cases that have to turn red."""

from __future__ import annotations

MUTATIONS: dict[str, tuple[str, ...]] = {}
