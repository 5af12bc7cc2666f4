"""`python -m einfall` is the command line."""

import sys

from einfall.cli import main

if __name__ == "__main__":
    sys.exit(main())
