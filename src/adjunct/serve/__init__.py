"""The record over HTTP: FHIR R4 at `/fhir` for this computer only, and what keeps it: backup, restore, doctor."""
