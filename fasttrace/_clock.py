"""Whether the processor's time stamp counter may be the clock, and keeping it in step.

The counter is used only where the kernel itself trusts it as its clock source; the core checks
besides that the processor calls it invariant, and gives it up for good if it ever disagrees with
the system's monotonic clock by more than a millisecond.
"""

from __future__ import annotations

from fasttrace._span import adjust_clock

_SOURCE = "/sys/devices/system/clocksource/clocksource0/current_clocksource"

_trusted: bool | None = None


def tick(enabled: bool) -> str:
    """Calibrate or re-anchor the clock; called at every flush. Return its source's name.

    Args:
        enabled: what FASTTRACE_TSC says.

    """
    global _trusted
    if _trusted is None:
        _trusted = _kernel_trusts_counter()
    return adjust_clock(enabled and _trusted)


def _kernel_trusts_counter() -> bool:
    try:
        # As bytes: for text `open` would import a codec, and a background thread imports nothing.
        with open(_SOURCE, "rb") as source:
            return source.read().strip() == b"tsc"
    except OSError:
        return False
