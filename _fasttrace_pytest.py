"""fasttrace's pytest plugin: the fixture `fasttrace_spans`.

pytest imports it at the start of every run. It stands outside of the package because importing that
reads the settings from the environment, which a `conftest.py` may still want to change, and because
nothing that is imported so early is seen by coverage. The tracer is imported by the first test that
uses the fixture.
"""

from __future__ import annotations

import pytest

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from fasttrace.testing import CapturedSpans


@pytest.fixture
def fasttrace_spans() -> Iterator[CapturedSpans]:
    """Return the spans of the traces completed in this test, captured instead of sent."""
    from fasttrace.testing import capture

    with capture() as spans:
        yield spans
