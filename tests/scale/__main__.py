"""`make scale`: makes docs/scale.md again from a lead's bill and the queue's figures."""

from __future__ import annotations

import argparse
import sys

from scale.bill import measure, rounded
from scale.page import KEPT, Kept, keep, queue_now, read


def main() -> int:
    parser = argparse.ArgumentParser(prog="make scale", description=__doc__)
    parser.add_argument("--measure", action="store_true", help="measure the bill first, about half a minute")
    arguments = parser.parse_args()
    if not arguments.measure and not KEPT.exists():
        print(f"{KEPT} is not there: make scale MEASURE=1", file=sys.stderr)
        return 1
    bill = rounded(measure(lambda text: print(text, file=sys.stderr, flush=True))) if arguments.measure else read().bill
    keep(Kept(bill, queue_now()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
