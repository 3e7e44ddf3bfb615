"""Sign-up: a service enqueues one event per new user; workers send a mail, track it and tell the CRM.

`python -m examples.signup` runs the whole story against sinks on this machine; `tasks` is the app that
`asyncq-supervise` loads in this checkout. Importing a module here opens no connection and reads no
environment.
"""
