"""Short forms: the supervisor itself."""

from tests.chaos import supervision
from tests.chaos.short import short_forms

test_supervision = short_forms(supervision, without=("bar-standstill", "bar-crash-loop"))  # as tests/system has them
