"""The pytest plugin under a name to load it by, where pytest does not load plugins by itself.

pytest_plugins = ["fasttrace.pytest_plugin"]  # in conftest.py
"""

from _fasttrace_pytest import fasttrace_spans

__all__ = ["fasttrace_spans"]
