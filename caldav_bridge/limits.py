"""How much a calendar app may ask for. RFC 4791 §5.2.5–5.2.9, §7."""

from datetime import timedelta

# radicale.conf [server] max_content_length is the limit of a body; these are not settings.
MAX_RESOURCE_SIZE = 262_144
MAX_INSTANCES = 3500
MAX_ATTENDEES = 200
# vdirsyncer asks for all that it does not have at once
MAX_HREFS = 10_000
MAX_EXPANSION = timedelta(days=366)
MAX_EXPANDED = 10_000
MAX_FREE_BUSY = timedelta(days=1100)
# Of many people at once
MAX_SCHEDULED = timedelta(days=100)
MAX_CALENDARS = 100
MAX_PROPERTIES = 200
# Names of unknown properties come back once for every member
MAX_PROPERTY_NAMES = 8192
MAX_FILTERS = 64
