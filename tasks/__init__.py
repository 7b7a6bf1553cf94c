"""What is done without being asked: messages, reminders, the waitlist, long series. Celery only rings the bell."""
