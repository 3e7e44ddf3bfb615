"""Numbers: what happened, counted in shared memory by every process and summed when somebody asks.

`recorder` writes into one region of the `segment`, `aggregate` sums regions, `exposition` writes them as
text; `catalogue` says which metrics there are. No file, no lock, no Redis call.
"""
