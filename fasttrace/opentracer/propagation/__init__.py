"""Span contexts into carriers and out of them, one file for each kind of carrier."""

from fasttrace.opentracer.propagation.binary import BinaryPropagator
from fasttrace.opentracer.propagation.http import HTTPPropagator

__all__ = ["BinaryPropagator", "HTTPPropagator"]
