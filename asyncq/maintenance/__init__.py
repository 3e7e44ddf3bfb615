"""What is done because time passed or somebody died: promote, renew, reap. Receives a Broker; never sees Redis."""
