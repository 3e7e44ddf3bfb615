"""The window: one small HTTP server beside the workers that tells what is true of all of them.

`app` answers /metrics, /livez, /readyz and /startupz; `health` decides, `queues` asks Redis at most once a second,
`gauges` turns both into families, `server` listens. Changes no state and shows no payload.
"""
