"""Whom to call: the dated rows of crisis_lines.csv, chosen by where the person is now, never by a default."""

from __future__ import annotations

from collections.abc import Mapping

from adjunct.knowledge.load import Knowledge

Line = Mapping[str, str]
ANYWHERE = "INT"


def lines_for(purpose: str, country: str, knowledge: Knowledge) -> list[Line]:
    """The lines of a country for one purpose, current ones first; elsewhere the worldwide row."""
    rows = [r for r in knowledge.content["crisis_lines"] if r["show"] == "yes" and r["for_whom"] == purpose]
    local = [r for r in rows if r["country_code"] == country and country]
    found = local or [r for r in rows if r["country_code"] == ANYWHERE]
    return sorted(found, key=lambda r: r["review_by"], reverse=True)[:2]


def expired(review_by: str, today: str) -> bool:
    """Past its review date. ISO dates sort as they are written."""
    return review_by < today


def emergency_text(country: str, knowledge: Knowledge) -> str:
    """The emergency number of a country, or the words for an unknown one."""
    lines = [r for r in lines_for("emergency", country, knowledge) if r["country_code"] == country]
    return lines[0]["contact"] if lines else str(knowledge.wording["emergency"]["unknown_country"])
