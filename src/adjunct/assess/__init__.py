"""Record + knowledge -> verdict, findings with their reasons, and what is still open."""

from adjunct.assess.check import check_items
from adjunct.assess.result import Assessment, Contact, Finding, Gap
from adjunct.assess.weigh import assess

__all__ = ["Assessment", "Contact", "Finding", "Gap", "assess", "check_items"]
