"""What a person sees of a text: names come from servers, and may hold anything."""

import re

# Control characters but tab and newline, and those that turn the direction of writing.
_UNSEEN = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]")


def seen(text: str) -> str:
    """A terminal obeys such characters, and names of databases may hold them: told as escapes."""
    return _UNSEEN.sub(lambda found: found[0].encode("unicode_escape").decode(), text)
