"""Which release of FHIR a resource was written for: R4 is read, everything else is refused by name."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import cache

from fhirkit import RESOURCE_TYPES

from adjunct.base import BadInput
from adjunct.fhir.wire import listed, mapped

_R5, _OLDER = "R5", "STU3 or older"
# Only what R4 does not have under that name, so that one hit decides.
_ELSEWHERE: Mapping[str, frozenset[str]] = {
    _R5: frozenset(
        """
        ActorDefinition AdministrableProductDefinition ArtifactAssessment BiologicallyDerivedProductDispense Citation
        ClinicalUseDefinition ConditionDefinition DeviceAssociation DeviceDispense DeviceUsage EncounterHistory
        EvidenceReport FormularyItem GenomicStudy ImagingSelection Ingredient InventoryItem InventoryReport
        ManufacturedItemDefinition MedicinalProductDefinition NutritionIntake NutritionProduct
        PackagedProductDefinition Permission RegulatedAuthorization Requirements SubscriptionStatus SubscriptionTopic
        SubstanceDefinition TestPlan Transport
        AllergyIntolerance.participant Condition.participant Consent.controller Consent.decision
        DiagnosticReport.supportingInfo Encounter.actualPeriod Encounter.admission Encounter.subjectStatus
        FamilyMemberHistory.participant MedicationAdministration.medication MedicationAdministration.occurenceDateTime
        MedicationAdministration.occurencePeriod MedicationDispense.medication MedicationRequest.medication
        MedicationStatement.adherence MedicationStatement.medication Observation.triggeredBy
        Procedure.occurrenceDateTime Procedure.occurrencePeriod
        """.split()
    ),
    _OLDER: frozenset(
        """
        BodySite Conformance DataElement DeviceComponent DeviceUseRequest DiagnosticOrder EligibilityRequest
        EligibilityResponse ExpansionProfile ImagingManifest ImagingObjectSelection MedicationOrder NutritionRequest
        ProcedureRequest ProcessRequest ProcessResponse ReferralRequest Sequence ServiceDefinition
        AllergyIntolerance.assertedDate Condition.assertedDate Condition.context Condition.dateRecorded
        Condition.patient Consent.except DiagnosticReport.codedDiagnosis DiagnosticReport.context
        Encounter.incomingReferral FamilyMemberHistory.notDone Immunization.explanation Immunization.notGiven
        MedicationAdministration.notGiven MedicationAdministration.prescription MedicationAdministration.wasNotGiven
        MedicationDispense.notDone MedicationRequest.context MedicationStatement.patient MedicationStatement.taken
        MedicationStatement.wasNotTaken Observation.comment Observation.context Observation.related Patient.animal
        Patient.careProvider Procedure.context Procedure.notDone Procedure.notPerformed QuestionnaireResponse.context
        QuestionnaireResponse.parent
        """.split()
    ),
}
# Elements that both releases have: the JSON type tells which one wrote them.
_ELSEWHERE_TYPED: Mapping[str, tuple[type, str]] = {
    "AllergyIntolerance.clinicalStatus": (str, _OLDER),
    "AllergyIntolerance.type": (dict, _R5),
    "Condition.clinicalStatus": (str, _OLDER),
    "Condition.verificationStatus": (str, _OLDER),
    "Encounter.class": (list, _R5),
}
_PROFILE = re.compile(r"http://hl7\.org/fhir/(?:(\d+\.\d+)/)?StructureDefinition/[^|]*(?:\|(\d+\.\d+)[\w.\-]*)?")
_THIS, _NEAR = "4.0", ("4.1", "4.3")  # R4B differs from R4 in no resource that is read here


@cache
def types() -> frozenset[str]:
    """Every resource type of R4."""
    return frozenset(RESOURCE_TYPES)


def unknown_type(kind: str, at: str) -> BadInput:
    """The refusal of a type that R4 does not have, naming the release that has it."""
    release = next((name for name, marks in _ELSEWHERE.items() if kind in marks), "")
    said = f"a resourceType of FHIR {release}, not of R4" if release else "not a resourceType of FHIR R4"
    return BadInput(f"{said}: send the record as FHIR R4 (4.0.1)", at)


def refuse_other_releases(resource: Mapping[str, object], at: str) -> Iterator[tuple[str, str]]:
    """Raises for R5, STU3 and older; yields what is only near R4, with its place."""
    kind = resource["resourceType"]
    for name, value in resource.items():
        element = f"{kind}.{name}"
        typed = _ELSEWHERE_TYPED.get(element)
        release = typed[1] if typed and isinstance(value, typed[0]) else ""
        release = release or next((r for r, marks in _ELSEWHERE.items() if element in marks), "")
        if release:
            raise BadInput(f"FHIR {release}, not R4: send the record as FHIR R4 (4.0.1)", f"{at}.{name}")
    for i, profile in enumerate(listed(mapped(resource.get("meta")).get("profile"))):
        claim = _PROFILE.fullmatch(profile) if isinstance(profile, str) else None
        version = (claim[1] or claim[2]) if claim else None
        if version in _NEAR:
            yield "claims FHIR R4B, read as R4", f"{at}.meta.profile[{i}]"
        elif version and version != _THIS:
            said = f"a profile of FHIR {version}, not R4: send the record as FHIR R4 (4.0.1)"
            raise BadInput(said, f"{at}.meta.profile[{i}]")
