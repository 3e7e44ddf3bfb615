"""Short forms: a supervisor is asked to stop."""

from tests.chaos import drains
from tests.chaos.short import short_forms

test_drains = short_forms(drains)
