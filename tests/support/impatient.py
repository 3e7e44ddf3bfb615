"""`python -m tests.support.impatient supervise ...`: our command line; a crash loop is given up after 4 s.

For what takes most of a minute otherwise; everything else is as it is. There is no setting for it.
"""

import functools
import sys

from asyncq.cli import main, supervise

CRASH_LOOP_EXIT_S = 4.0

if __name__ == "__main__":
    supervise.SupervisorSettings = functools.partial(  # type: ignore[misc, assignment]
        supervise.SupervisorSettings, crash_loop_exit_s=CRASH_LOOP_EXIT_S
    )
    sys.exit(main.main())
