"""Short forms: processes that are alive or lost and nobody can tell."""

from tests.chaos import cut_off
from tests.chaos.short import short_forms

test_cut_off = short_forms(cut_off)
