"""Transactions and SQL: the ledger beside the calendars, and the one write path to them."""
