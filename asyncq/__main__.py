"""`python -m asyncq` is the command `asyncq`."""

import sys

from asyncq.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
