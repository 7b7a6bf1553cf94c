"""Run the tables one after the other and print each as it is done."""

import sys

from bench import analytics, bookings, caldav, slots

TABLES = {"analytics": analytics.table, "slots": slots.table, "bookings": bookings.table, "caldav": caldav.table}


def main() -> None:
    asked = sys.argv[1:] or list(TABLES)
    unknown = [name for name in asked if name not in TABLES]
    if unknown:
        sys.exit(f"There is no table {unknown[0]}; there are {', '.join(TABLES)}.")
    for name in asked:
        TABLES[name]()


if __name__ == "__main__":
    main()
