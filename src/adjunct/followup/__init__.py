"""Follow-up: is this person getting better, is anyone in danger, and what is due?"""

from __future__ import annotations

from adjunct.followup.person import FollowUp, Settings, follow

__all__ = ["FollowUp", "Settings", "follow"]
