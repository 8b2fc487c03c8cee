#!/usr/bin/python3
"""The checker of crash.py finds what it is there to find."""

import sys
import unittest
from pathlib import Path

sys.path[:0] = [str(Path(__file__).resolve().parents[1] / "support/py")]

from model import Model
from watcher import Changes


class ModelTest(unittest.TestCase):
    def setUp(self):
        self.model = Model()
        self.model.read("A put 0 c/000/k01 1 10")
        self.model.read("A pair 0 c/000/p01 2 11")
        self.model.read("A put 1 c/001/k01 3 12")
        self.model.read("A delete 1 c/001/k01 4 13")
        self.held = {"c/000/k01": (1, 10), "c/000/p01/a": (2, 11), "c/000/p01/b": (2, 11)}

    def test_what_was_acknowledged_is_right(self):
        self.assertEqual(self.model.settle(self.held), [])
        self.assertEqual(self.model.revision, 13)
        self.assertEqual(self.model.puts, 4)

    def test_a_lost_write(self):
        del self.held["c/000/k01"]
        self.assertEqual(len(self.model.settle(self.held)), 1)

    def test_another_revision_or_value(self):
        self.held["c/000/k01"] = (1, 9)
        self.assertEqual(len(self.model.settle(self.held)), 1)
        self.held["c/000/k01"] = (7, 10)
        self.assertNotEqual(self.model.settle(self.held), [])

    def test_half_a_txn(self):
        self.model.read("U pair 0 c/000/p01 5 14 Socket closed")
        self.held["c/000/p01/a"] = (5, 14)
        self.assertTrue(any("half a txn" in text for text in self.model.settle(self.held)))

    def test_a_deleted_key_is_back(self):
        self.held["c/001/k01"] = (3, 12)
        self.assertEqual(len(self.model.settle(self.held)), 1)

    def test_a_key_nobody_wrote(self):
        self.held["c/009/k09"] = (9, 9)
        self.assertEqual(len(self.model.settle(self.held)), 1)

    def test_what_was_on_its_way_may_have_happened_or_not(self):
        for happened in (False, True):
            self.setUp()
            self.model.read("U put 0 c/000/k01 6 14 Socket closed")
            if happened:
                self.held["c/000/k01"] = (6, 20)
            self.assertEqual(self.model.settle(self.held), [])
            self.held["c/000/k01"] = (6, 21)
            self.assertNotEqual(self.model.settle(self.held), [])

    def test_what_was_on_its_way_gets_a_newer_revision(self):
        self.model.read("U put 0 c/000/k01 6 14 Socket closed")
        self.held["c/000/k01"] = (6, 10)
        self.assertEqual(len(self.model.settle(self.held)), 1)

    def test_an_error_that_no_crash_explains(self):
        self.model.read("U put 0 c/000/k01 6 3 etcdserver: key is not provided")
        self.assertEqual(len(self.model.settle(self.held)), 1)


class ChangesTest(unittest.TestCase):
    def setUp(self):
        self.changes = Changes()
        self.changes.events([("c/000/k01", 1, 10)])
        self.changes.events([("c/000/p01/a", 2, 11), ("c/000/p01/b", 2, 11), ("c/000/k02", 3, 12)])
        self.changes.events([("c/000/k02", None, 13)])
        self.changes.progress(20)
        self.held = {"c/000/k01": (1, 10), "c/000/p01/a": (2, 11), "c/000/p01/b": (2, 11), "c/111/k01": (7, 14)}
        self.recent = [("c/000/k01", 1, 10), ("c/000/k02", 3, 12), ("c/111/k01", 7, 14)]

    def settle(self):
        return self.changes.settle(self.held, self.recent)

    def test_what_happened_is_right(self):
        self.assertEqual(self.settle(), [])
        self.assertEqual(self.changes.next, 21)

    def test_a_lost_change(self):
        self.held["c/000/k03"] = (4, 19)
        self.assertEqual(len(self.settle()), 1)

    def test_a_lost_delete(self):
        del self.held["c/000/k01"]
        self.assertEqual(len(self.settle()), 1)

    def test_a_lost_change_that_another_one_hides(self):
        self.recent.append(("c/000/k01", 5, 9))
        self.assertEqual(len(self.settle()), 1)

    def test_a_change_that_comes_twice(self):
        self.changes.events([("c/000/k02", None, 13)])
        self.assertEqual(len(self.settle()), 1)

    def test_a_change_below_a_promised_progress(self):
        self.changes.events([("c/000/k01", 1, 20)])
        self.assertNotEqual(self.settle(), [])

    def test_a_change_that_a_kill_undid(self):
        self.changes.events([("c/000/k01", 8, 21)])
        self.assertEqual(len(self.settle()), 1)

    def test_half_a_txn(self):
        self.changes.events([("c/000/p02/a", 9, 22)])
        self.held["c/000/p02/a"] = (9, 22)
        self.assertEqual(len(self.settle()), 1)

    def test_what_was_compacted_before_it_was_read_is_not_known(self):
        self.changes.compacted(30)
        del self.held["c/000/k01"]
        self.recent.append(("c/000/k01", 6, 25))
        self.assertEqual(self.settle(), [])
        self.held["c/000/k01"] = (9, 31)
        self.assertEqual(len(self.settle()), 1)

    def test_canceled_for_nothing(self):
        self.changes.compacted(20)
        self.assertEqual(len(self.settle()), 1)


if __name__ == "__main__":
    unittest.main()
