"""Waiting for a condition with a deadline: the only way tests wait."""

import time


class Deadline(Exception):
    """The condition did not come true in time."""


def until(condition, seconds, what, interval=0.01):
    """Returns the first true value of condition(); raises Deadline with `what` after `seconds`."""
    end = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise Deadline(f"not in {seconds:g} s: {what() if callable(what) else what}")
        time.sleep(interval)
