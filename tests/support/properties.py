"""How much the property tests try. A failure prints the example and a line that repeats it."""

from hypothesis import HealthCheck, settings

# No limits of time: the machine may be busy with other tests.
MANY = settings(max_examples=120, deadline=None, print_blob=True, suppress_health_check=[HealthCheck.too_slow])
SOME = settings(MANY, max_examples=30)


def register_profiles() -> None:
    """`--hypothesis-profile=long`: whoever has a longer run asks which profile is loaded."""
    settings.register_profile("long", MANY)
