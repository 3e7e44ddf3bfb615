"""The parent: forks the children, watches them, replaces them, stops them in order.

`asyncq.cli` composes it: specs -> Scoreboard -> Arbiter(...).run(). Standard library only, one thread, no event loop,
no Redis, no user code: what a child runs is named as "module:function" and imported after the fork.
"""
