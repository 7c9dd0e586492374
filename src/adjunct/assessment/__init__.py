"""Record + knowledge -> verdict, findings with their reasons, and what is still open."""

from adjunct.assessment.check import check_items
from adjunct.assessment.result import Assessment, Contact, Finding, Gap
from adjunct.assessment.weigh import assess

__all__ = ["Assessment", "Contact", "Finding", "Gap", "assess", "check_items"]
