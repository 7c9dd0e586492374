"""Messages of bedside devices become events of sessions; a simulator plays monitors, nurses and what goes wrong."""

from adjunct.devices.files import messages_of, read_files
from adjunct.devices.stream import Stream

__all__ = ["Stream", "messages_of", "read_files"]
