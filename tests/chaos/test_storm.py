"""Short form: a storm of kills."""

from tests.chaos import storm
from tests.chaos.short import short_forms

test_storm = short_forms(storm)
