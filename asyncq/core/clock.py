"""Wall and monotonic time for decisions.

Who only measures how long something took asks `time` itself; so does the supervisor, which imports next to nothing.
"""

from __future__ import annotations

import time

wall_s = time.time
mono_s = time.monotonic
