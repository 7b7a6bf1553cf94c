"""The Radicale side: calendars over CalDAV, out of our own storage."""
