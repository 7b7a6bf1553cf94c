"""Ways to reach a patient. Each has one function `send(message, settings, now)`; see tasks.channels.base."""
