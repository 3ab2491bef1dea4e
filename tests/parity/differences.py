"""The deliberate differences from ddtrace, as rows that the comparison may use.

Each row follows a decision of the architecture notes ("semantics: where we differ on purpose") and
is used by at least one case; a row without a use fails the report.
"""

from __future__ import annotations

from parity.compare import ABSENT, ANY, Row

ROWS: list[Row] = [
    Row("*", "*/meta/_dd.svc_src", ABSENT, ANY, "the source of a service name is not sent", "4.16"),
    Row("*", "*/meta/_dd.tags.process", ABSENT, ANY, "process tags are not sent", "4.16"),
]
