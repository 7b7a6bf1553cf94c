"""The pages of the practice: calendar, hours, leave, waitlist, devices, administration."""
