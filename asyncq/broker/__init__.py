"""Everything that speaks Redis, and nothing else does: keys, connections, scripts, and the doors built on them."""
