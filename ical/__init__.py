"""What appointments, hours and leave mean as iCalendar: pure decisions over values (RFC 5545)."""
