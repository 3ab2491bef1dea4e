"""The commands of the Django shop: `fasttrace-run manage.py migrate`."""

import os
import sys


def main() -> None:
    """Run a command, as the file that Django generates does."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "settings")
    from django.core.management import execute_from_command_line

    execute_from_command_line(sys.argv)


if __name__ == "__main__":
    main()
