"""Tags of every span: DD_TAGS, DD_ENV, DD_VERSION, tracer.set_tag and set_tags."""

from __future__ import annotations

from typing import Any

import pytest
from helpers import by_name, make_offline_tracer, spans_of

from fasttrace import Tracer
from fasttrace.config import Config


def tracer_from_env(**env: str) -> Tracer:
    """Return a Tracer without network that is configured by these environment variables."""
    tracer = make_offline_tracer()
    configured = Tracer(config=Config.from_env(env))
    configured._on_first_chunk = tracer._on_first_chunk
    return configured


def test_dd_tags_are_on_every_span() -> None:
    """Every span, whatever its service, carries the tags of DD_TAGS."""
    tracer = tracer_from_env(DD_TAGS="team:shop,region:eu west,flag")
    with tracer.trace("a"), tracer.trace("b", service="other"):
        pass
    for sent in spans_of(tracer):
        assert sent["meta"]["team"] == "shop"
        assert sent["meta"]["region"] == "eu west"
        assert sent["meta"]["flag"] == ""


def test_environment_is_on_every_span() -> None:
    """DD_ENV is the tag env of every span."""
    tracer = tracer_from_env(DD_SERVICE="svc", DD_ENV="prod")
    with tracer.trace("a"), tracer.trace("b", service="other"):
        pass
    assert [span["meta"]["env"] for span in spans_of(tracer)] == ["prod", "prod"]


def test_version_is_on_spans_of_the_own_service() -> None:
    """DD_VERSION is the tag version of spans of DD_SERVICE, and not of other services' spans."""
    tracer = tracer_from_env(DD_SERVICE="svc", DD_VERSION="1.2")
    with tracer.trace("root"), tracer.trace("child"), tracer.trace("db", service="pg"):
        pass
    with tracer.trace("foreign root", service="pg"), tracer.trace("child of foreign"):
        pass
    sent = by_name(spans_of(tracer))
    versions = {name: span.get("meta", {}).get("version") for name, span in sent.items()}
    assert versions == {
        "root": "1.2",
        "child": "1.2",
        "db": None,
        "foreign root": None,
        "child of foreign": None,
    }


def test_dd_tags_may_name_service_env_and_version() -> None:
    """service, env and version inside of DD_TAGS configure the tracer where nothing else does."""
    tracer = tracer_from_env(DD_TAGS="service:shop,env:test,version:3,team:x")
    with tracer.trace("op") as span:
        assert span.service == "shop"
    [sent] = spans_of(tracer)
    assert sent["service"] == "shop"
    meta = sent["meta"]
    assert (meta["env"], meta["version"], meta["team"]) == ("test", "3", "x")
    assert "service" not in meta


def test_set_tags_reaches_every_span_made_afterwards(tracer: Tracer) -> None:
    """tracer.set_tags adds its tags to every span made from then on, coerced as by set_tag."""
    with tracer.trace("before"):
        pass
    tracer.set_tags({"text": "a", "number": 1, "truth": True, "half": 0.5})
    with tracer.trace("root"), tracer.trace("child"):
        pass
    before, *after = spans_of(tracer)
    assert "text" not in before["meta"]
    assert len(after) == 2
    for sent in after:
        assert sent["meta"]["text"] == "a"
        assert sent["meta"]["truth"] == "True"
        assert (sent["metrics"]["number"], sent["metrics"]["half"]) == (1, 0.5)


def test_set_tag_adds_one(tracer: Tracer) -> None:
    """tracer.set_tag(key, value) adds one tag to every span; the newest value counts."""
    tracer.set_tag("key", "first")
    tracer.set_tag("key", "second")
    tracer.set_tag("other", 1)
    with tracer.trace("op") as span:
        assert span.get_tag("key") == "second"
        assert span.get_metric("other") == 1
    [sent] = spans_of(tracer)
    assert sent["meta"]["key"] == "second"
    assert sent["metrics"]["other"] == 1


def test_code_wins_over_the_environment() -> None:
    """A tag set in code replaces the same tag of DD_TAGS."""
    tracer = tracer_from_env(DD_TAGS="key:env,kept:yes")
    tracer.set_tags({"key": "code"})
    with tracer.trace("op"):
        pass
    [sent] = spans_of(tracer)
    assert (sent["meta"]["key"], sent["meta"]["kept"]) == ("code", "yes")


@pytest.mark.parametrize("version", ["v0.4", "v0.5"])
def test_a_span_can_override_a_global_tag(new_tracer: Any, version: str) -> None:
    """A span's own tag or metric replaces the global one, whose other spans keep it."""
    tracer = new_tracer(api_version=version, env="prod", tags={"team": "shop", "tier": "web"})
    tracer.set_tags({"number": 1})
    with tracer.trace("own") as span:
        span.set_tag("team", "other")
        span.set_tag("tier", 2)
        span.set_tag("number", "many")
        span.set_tag("env", "test")
    with tracer.trace("plain"):
        pass
    own, plain = spans_of(tracer)
    assert (own["meta"]["team"], own["metrics"]["tier"]) == ("other", 2)
    assert (own["meta"]["number"], own["meta"]["env"]) == ("many", "test")
    assert "tier" not in own["meta"]
    assert "number" not in own["metrics"]
    assert (plain["meta"]["team"], plain["meta"]["tier"]) == ("shop", "web")
    assert (plain["metrics"]["number"], plain["meta"]["env"]) == (1, "prod")


def test_global_tags_can_be_read_from_a_span() -> None:
    """get_tag, get_tags and get_metrics show global tags like those set on the span."""
    tracer = tracer_from_env(DD_SERVICE="svc", DD_TAGS="team:shop", DD_ENV="prod", DD_VERSION="1")
    tracer.set_tags({"number": 1})
    with tracer.trace("op") as span:
        span.set_tag("own", "x")
        assert span.get_tag("team") == "shop"
        tags = span.get_tags()
        assert {tags[key] for key in ("team", "env", "version", "own")} == {
            "shop",
            "prod",
            "1",
            "x",
        }
        assert span.get_metric("number") == 1


def test_many_global_tags(tracer: Tracer) -> None:
    """The number of global tags is not limited."""
    tags = {f"key{i}": f"value{i}" for i in range(300)}
    tracer.set_tags(tags)
    with tracer.trace("root"), tracer.trace("child") as child:
        child.set_tag("own", "x")
    sent = spans_of(tracer)[1]
    assert sent["meta"] == {**tags, "own": "x"}


def test_global_tags_that_cannot_be_texts_do_no_harm(tracer: Tracer) -> None:
    """Odd values of global tags are treated as those of a span's own tags are."""

    class Unprintable:
        def __str__(self) -> str:
            raise RuntimeError("no text")

    tracer.set_tags({"bad": Unprintable(), "surrogate": "a\ud800", "long": "x" * 30_000})
    with tracer.trace("root"), tracer.trace("child"):
        pass
    sent = spans_of(tracer)[1]
    assert sent["meta"] == {"surrogate": "a\ufffd", "long": "x" * 2486 + "<truncated>..."}


def test_tracers_have_tags_of_their_own(new_tracer: Any) -> None:
    """Tags set on one tracer are not on the spans of another."""
    first, second = new_tracer(), new_tracer()
    first.set_tags({"key": "first"})
    with first.trace("a"), second.trace("b"):
        pass
    assert spans_of(first)[0]["meta"]["key"] == "first"
    assert "key" not in spans_of(second)[0].get("meta", {})


def test_global_tags_arrive_at_the_agent(session: Any) -> None:
    """The agent receives the global tags on every span, in either version of the protocol."""
    for version in ("v0.4", "v0.5"):
        tracer = session.make_tracer(api_version=version, env="prod", tags={"team": "shop"})
        tracer.set_tags({"number": 2})
        with tracer.trace("root"), tracer.trace("child"):
            pass
    sent = session.received()
    assert len(sent) == 4
    for span in sent:
        assert (span["meta"]["team"], span["meta"]["env"]) == ("shop", "prod")
        assert span["metrics"]["number"] == 2
