"""One process, one event loop, K consumers: takes messages through a Broker, runs handlers, settles."""
