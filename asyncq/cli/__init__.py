"""The roof: the command line. The only room that knows everybody; nobody imports it."""
