"""All targets, in the order of the lead's way."""

from __future__ import annotations

from fuzz import disk, doors, settings, vendors  # each enters its own
from fuzz.target import TARGETS, Target

__all__ = ["TARGETS", "Target", "disk", "doors", "settings", "vendors"]
