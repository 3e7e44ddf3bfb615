"""The roof: the command line. The only room that knows everybody; besides it only `asyncq.simple` imports from here."""
