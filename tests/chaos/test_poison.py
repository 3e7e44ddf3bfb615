"""Short forms: messages that end the process which runs them."""

from tests.chaos import poison
from tests.chaos.short import short_forms

test_poison = short_forms(poison, without=("T27-alone",))
