"""A preforking server in small: the Flask app is used, then forked, then used in the parent and all children at once.

Prints one JSON line per answer: who got it, by which view, and what it said. Run by test_flask_prefork.py.
"""

import json
import os
import sys
import threading

from examples.signup.flask_app import app
from tests.support.states import wait_until

VIEWS = ("/signup", "/signup/sync")


def sign_up(who, number):
    for view in VIEWS:
        user = {"email": f"{who}-{number}@example.com", "name": view}
        answer = app.test_client().post(view, json=user)
        line = json.dumps({"email": user["email"], "view": view, "status": answer.status_code, **answer.get_json()})
        os.write(1, f"{line}\n".encode())  # one write: lines of several processes stay whole


def child(who, count, begin):
    os.read(begin, 1)  # ends when the parent has closed its end
    for number in range(count):
        sign_up(who, number)


def main(children, count):
    sign_up("before", 0)
    wait_until(
        lambda: threading.active_count() == 1, what="the async view's thread has ended"
    )  # no server forks threads
    begin, gun = os.pipe()
    pids = []
    for who in range(children):
        pid = os.fork()
        if pid == 0:
            os.close(gun)
            child(f"child{who}", count, begin)
            os._exit(0)
        pids.append(pid)
    os.close(gun)
    for number in range(count):
        sign_up("parent", number)
    return max(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in pids)


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), int(sys.argv[2])))
