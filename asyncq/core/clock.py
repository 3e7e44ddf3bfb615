"""The only place that reads wall and monotonic time for decisions."""

from __future__ import annotations

import time

wall_s = time.time
mono_s = time.monotonic
mono_ns = time.monotonic_ns
