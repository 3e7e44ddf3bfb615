"""Short forms: processes are killed."""

from tests.chaos import kills
from tests.chaos.short import short_forms

test_kills = short_forms(kills)
