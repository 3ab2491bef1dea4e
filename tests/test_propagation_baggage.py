"""The style baggage, and baggage in headers ot-baggage-*."""

from __future__ import annotations

import logging
from typing import Any

import pytest
from propagation_cases import extracted, injected, styled

from fasttrace import Context, Tracer


def _written(items: dict[Any, Any]) -> str | None:
    return injected(Context(baggage=items), "baggage").get("baggage")


def _read(text: str) -> dict[str, str]:
    return extracted({"baggage": text}, "baggage").get_all_baggage_items()


@pytest.fixture
def warnings(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> Any:
    """Every warning, those of one cause too."""
    monkeypatch.setattr("fasttrace._log._rate_ns", 0)
    caplog.set_level(logging.WARNING, "fasttrace")
    return caplog


@pytest.mark.parametrize(
    ("items", "text"),
    [
        ({"k": "v"}, "k=v"),
        ({"a": "1", "b": "2"}, "a=1,b=2"),
        ({"k e": "v"}, "k%20e=v"),
        ({"v": "1,2"}, "v=1%2C2"),
        ({"v,1": "\u00e9"}, "v%2C1=%C3%A9"),
        ({"k=": 'a=b;c"d\\e'}, "k%3D=a%3Db%3Bc%22d%5Ce"),
        ({"a(b)": "a(b)/:<>?@[]{}"}, "a%28b%29=a(b)/:<>?@[]{}"),
        ({"!#$&'*+-.^_`|~": "!#$&'*+-.^_`|~"}, "!#$&'*+-.^_`|~=!#$&'*+-.^_`|~"),
        ({" k ": " v "}, "k=v"),
        ({1: 2.5}, "1=2.5"),
        ({"k": "100%"}, "k=100%25"),
        ({"k": "line\nbreak"}, "k=line%0Abreak"),
        ({"k": "\ud800"}, "k=%EF%BF%BD"),
    ],
)
def test_baggage_is_written(items: dict[Any, Any], text: str) -> None:
    """Keys and values are text without blanks around it, percent-encoded where needed."""
    assert _written(items) == text


def test_baggage_is_written_without_ids() -> None:
    """Baggage travels even where there is no trace."""
    assert injected(Context(baggage={"k": "v"}), "datadog", "baggage") == {"baggage": "k=v"}


def test_no_baggage_no_header() -> None:
    """Without items there is no header."""
    assert injected(Context(5, 6), "baggage") == {}


class _Unprintable:
    def __str__(self) -> str:
        raise ValueError("no text")


@pytest.mark.parametrize("item", [("k", ""), ("", "v"), ("  ", "v"), ("k", _Unprintable())])
def test_an_item_that_would_spoil_the_header(item: tuple[Any, Any]) -> None:
    """An item without key or value is left out: receivers drop all baggage because of one."""
    assert _written(dict([item, ("good", "1")])) == "good=1"


def test_at_most_64_items_are_written(warnings: Any) -> None:
    """The first 64 items are sent, the rest is dropped with one warning."""
    text = _written({f"k{number}": "v" for number in range(70)})
    assert text is not None
    assert text.split(",") == [f"k{number}=v" for number in range(64)]
    assert len(warnings.records) == 1


def test_at_most_8192_bytes_are_written(warnings: Any) -> None:
    """Items are sent up to 8192 bytes, commas included; the rest is dropped with one warning."""
    exact = {"a": "x" * 4093, "b": "y" * 4094}
    assert len(_written(exact) or "") == 8192
    assert not warnings.records
    over = {"a": "x" * 4093, "b": "y" * 4095, "c": "z"}
    assert _written(over) == "a=" + "x" * 4093
    assert len(warnings.records) == 1


@pytest.mark.parametrize(
    ("text", "items"),
    [
        ("k=v", {"k": "v"}),
        (" a = b , c=d", {"a": "b", "c": "d"}),
        ("k%20e=v%2C1%3D%C3%A9", {"k e": "v,1=\u00e9"}),
        ("a=b=c", {"a": "b=c"}),
        ("k=%zz", {"k": "%zz"}),
        ("k=100%", {"k": "100%"}),
        ("k=1;p=2", {"k": "1;p=2"}),
        ("k=\u00e9", {"k": "\u00e9"}),
        ("k=1,k=2", {"k": "2"}),
        ("k=%20", {"k": " "}),
        ("", {}),
    ],
)
def test_baggage_is_read(text: str, items: dict[str, str]) -> None:
    """Blanks are trimmed, the first `=` splits, escapes are undone where they are valid."""
    assert _read(text) == items


@pytest.mark.parametrize("bad", ["k", "=v", "k=", "", " ", "k= ", "=", " =v"])
def test_one_malformed_pair_drops_all(bad: str) -> None:
    """One pair without `=`, key or value drops all baggage."""
    assert _read(f"good=1,{bad}") == {}
    assert _read(f"{bad},good=1") == {}


def test_properties_are_part_of_the_value() -> None:
    """Properties after `;` stay within the value, and are escaped when sent on."""
    context = extracted({"baggage": "k=1;p=2"}, "baggage")
    assert injected(context, "baggage") == {"baggage": "k=1%3Bp%3D2"}


def test_at_most_64_items_are_read(warnings: Any) -> None:
    """The first 64 items are read, the rest is dropped unseen with one warning."""
    items = [f"k{number}=v" for number in range(64)]
    assert len(_read(",".join(items))) == 64
    assert not warnings.records
    assert _read(",".join([*items, "bad"])) == dict.fromkeys(
        (f"k{number}" for number in range(64)), "v"
    )
    assert len(warnings.records) == 1


def test_at_most_8192_bytes_are_read(warnings: Any) -> None:
    """Whole items up to 8192 bytes are read, commas and encoded letters counted."""
    fits = "a=" + "x" * 4093 + ",b=" + "y" * 4094
    assert len(fits) == 8192
    assert set(_read(fits)) == {"a", "b"}
    assert not warnings.records
    assert set(_read(fits + "y")) == {"a"}
    assert set(_read("a=" + "x" * 4093 + ",b=" + "\u00e9" * 2048)) == {"a"}
    assert set(_read("a=1," + "b=2," * 500_000)) == {"a", "b"}
    assert _read("a=" + "x" * 1_000_000) == {}
    assert len(warnings.records) >= 4


@pytest.mark.parametrize(
    ("keys", "tags"),
    [
        (None, {"baggage.user.id": "1", "baggage.session.id": "2"}),
        ("other", {"baggage.other": "3"}),
        ("*", {"baggage.user.id": "1", "baggage.session.id": "2", "baggage.other": "3"}),
        ("other, user.id,", {"baggage.other": "3", "baggage.user.id": "1"}),
        ("", {}),
    ],
)
def test_items_that_become_tags(keys: str | None, tags: dict[str, str]) -> None:
    """Extracted items named by DD_TRACE_BAGGAGE_TAG_KEYS become tags of the first span."""
    environ = {} if keys is None else {"DD_TRACE_BAGGAGE_TAG_KEYS": keys}
    header = "user.id=1,session.id=2,other=3"
    context = extracted(
        {"baggage": header, "x-datadog-trace-id": "5"}, "datadog", "baggage", **environ
    )
    assert {k: v for k, v in context._meta.items() if k.startswith("baggage.")} == tags


def test_baggage_alone_starts_a_trace_that_has_it(tracer: Tracer) -> None:
    """A context with nothing but baggage makes a new root that shares the baggage."""
    context = extracted({"baggage": "user.id=7"}, "datadog", "baggage")
    assert context.trace_id is None
    with tracer.start_span("root", child_of=context) as span:
        assert span.parent_id is None
        assert span.context.get_baggage_item("user.id") == "7"


def test_baggage_set_on_a_span_is_sent(tracer: Tracer) -> None:
    """`span.context.set_baggage_item` is what the next service gets."""
    with tracer.trace("root"), tracer.trace("child") as child:
        child.context.set_baggage_item("user.id", "7")
        headers = injected(child, "datadog", "baggage")
    assert extracted(headers, "datadog", "baggage").get_baggage_item("user.id") == "7"


def test_ot_baggage() -> None:
    """With DD_TRACE_PROPAGATION_HTTP_BAGGAGE_ENABLED items also have headers of their own."""
    on = {"DD_TRACE_PROPAGATION_HTTP_BAGGAGE_ENABLED": "true"}
    context = Context(5, 6, baggage={"user": "ann", "n": 1})
    assert "ot-baggage-user" not in injected(context, "datadog")
    headers = injected(context, "datadog", **on)
    assert (headers["ot-baggage-user"], headers["ot-baggage-n"]) == ("ann", "1")
    assert extracted(headers, "datadog").get_all_baggage_items() == {}
    for spelled in (
        headers,
        {key.upper(): value for key, value in headers.items()},
        {"HTTP_" + key.upper().replace("-", "_"): value for key, value in headers.items()},
        [(key.encode(), value.encode()) for key, value in headers.items()],
    ):
        items = extracted(spelled, "datadog", **on).get_all_baggage_items()
        assert items == {"user": "ann", "n": "1"}


def test_ot_baggage_needs_a_trace() -> None:
    """Headers ot-baggage-* are read and written only together with ids; `baggage` wins."""
    on = {"DD_TRACE_PROPAGATION_HTTP_BAGGAGE_ENABLED": "true"}
    assert injected(Context(baggage={"k": "v"}), "datadog", **on) == {}
    assert extracted({"ot-baggage-k": "v"}, "datadog", **on).get_all_baggage_items() == {}
    headers = {"x-datadog-trace-id": "5", "ot-baggage-k": "v", "baggage": "a=1"}
    context = styled("datadog", "baggage", **on).extract(headers)
    assert context.get_all_baggage_items() == {"a": "1"}


def test_ot_baggage_cannot_break_the_headers() -> None:
    """Items that may not stand in a header are left out."""
    on = {"DD_TRACE_PROPAGATION_HTTP_BAGGAGE_ENABLED": "true"}
    items = {"good": "1", "bad key": "1", "line": "a\r\nb", "\u00e9": "1", "letter": "\u00e9"}
    headers = injected(Context(5, 6, baggage=items), "datadog", **on)
    assert [name for name in headers if name.startswith("ot-")] == ["ot-baggage-good"]
