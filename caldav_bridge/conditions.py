"""Conditional requests: lists of entity tags, weak ones, `*`. RFC 9110 §8.8.3, §13."""

import re

_TAG = re.compile(r'(?:W/)?"([^"]*)"')


def matches(header: str, etag: str | None) -> bool:
    """Whether a header names the current (unquoted) entity tag; None: there is no such resource.

    A tag without quotes is taken too: some clients send it so. A weak tag counts as its strong twin, for a proxy
    that compresses weakens ours."""
    header = header.strip()
    if header == "*":
        return etag is not None
    if etag is None:
        return False
    tags = _TAG.findall(header)
    return etag in tags or header == etag


def fail(if_match: str, if_none_match: str, etag: str | None, text_etag: str | None = None) -> bool:
    """Whether a write's preconditions do not hold (412).

    `text_etag` is the tag by which the same text went before it was touched: whoever names that has missed nothing.
    """
    if if_match and not matches(if_match, etag) and not matches(if_match, text_etag):
        return True
    return bool(if_none_match) and matches(if_none_match, etag)
