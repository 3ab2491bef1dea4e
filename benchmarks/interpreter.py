"""Which interpreter a figure belongs to; a figure without it says little."""

from __future__ import annotations

import os
import platform
import sysconfig


def _options() -> list[str]:
    """The build options that matter for speed, as far as the build recorded them."""
    arguments = str(sysconfig.get_config_var("CONFIG_ARGS"))
    return [option for option in ("--enable-optimizations", "--with-lto") if option in arguments]


def describe() -> str:
    """Version, compiler, day of the build and recorded options, for people.

    Debian's interpreter is built with profile-guided optimisation and does not record it.
    """
    details = [platform.python_compiler(), *_options(), f"built {platform.python_build()[1]}"]
    return f"{platform.python_implementation()} {platform.python_version()} ({', '.join(details)})"


def key() -> str:
    """The same in one word, with the architecture instead of the day, for files."""
    compiler = platform.python_compiler().replace(" ", "")
    name = f"cpython-{platform.python_version()}-{platform.machine()}-{compiler}"
    return "".join([name, *(option.replace("--", "-") for option in _options())])


def clean_environment() -> dict[str, str]:
    """The variables of this process without those that configure a tracer."""
    ours = ("DD_", "OTEL_", "FASTTRACE_", "SENTRY_", "ELASTIC_")
    return {key: value for key, value in os.environ.items() if not key.startswith(ours)}
