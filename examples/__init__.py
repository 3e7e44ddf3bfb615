"""Programs that use asyncq the way an application does. Nothing in the package asyncq imports them."""
