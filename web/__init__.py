"""Pages, the API and feeds (Flask), the WSGI composition and the command line."""
