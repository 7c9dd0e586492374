"""What a person writes to us -> red flags: how urgent a message is, what was recognised, what to tell the person."""

from adjunct.messages.reading import LEVELS, Hit, Message, read_message

__all__ = ["LEVELS", "Hit", "Message", "read_message"]
