"""Short forms: what producers push."""

from tests.chaos import inputs
from tests.chaos.short import short_forms

test_inputs = short_forms(
    inputs, known={"T30-idle": "the bell of an idle worker is a blocking move, and Redis replies with what it moved"}
)
