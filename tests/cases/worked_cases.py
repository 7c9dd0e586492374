"""The worked cases D01 to D20: invented people, the decision a careful team would take, what it must say and not say.

Each case holds the facts that were given and nothing more. A `Must` is a meaning: the ids that may carry it (a finding,
the fact of a gap, or `contact:` and its purpose) and, where one id says several things, a pattern that its text has to
match. `must_not` are finding ids, `never` patterns that may stand in no text except when denied ("do not ...").
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from bundles import (
    ATC,
    LOCAL,
    NOW,
    SUBJECT,
    answer,
    consented,
    cssrs,
    diagnosis,
    last_use,
    medicine,
    no_known_allergy,
    number,
    observation,
    person,
    pregnancy_test,
    pressure,
)

Resource = Mapping[str, Any]


@dataclass(frozen=True)
class Must:
    """One meaning, and what may carry it."""

    meaning: str
    ids: str
    text: str = ""


@dataclass(frozen=True)
class Case:
    id: str
    title: str
    age: int
    sex: str
    facts: Sequence[Resource]
    decision: str
    must_have: Sequence[Must] = ()
    must_not: str = ""
    never: Sequence[str] = ()
    phase: str = "intake"
    treatment: str = "ketamine-iv"
    country: str = "US"
    complete: bool | None = None

    @property
    def bundle(self) -> dict[str, Any]:
        """The facts as one bundle, each resource with an id of its own."""
        facts = [{**fact, "id": f"{fact['id']}-{number}"} for number, fact in enumerate(self.facts, start=1)]
        return person(age=self.age, sex=self.sex, extra=facts)


def vitals(
    systolic: float | None = None,
    diastolic: float | None = None,
    *,
    hr: float | None = None,
    spo2: float | None = None,
    rr: float | None = None,
    at: str = NOW,
) -> list[Resource]:
    found: list[Resource] = [pressure(systolic, diastolic, at)] if systolic and diastolic else []
    found += [number("heart_rate", hr, "/min", at, loinc="8867-4")] if hr else []
    found += [number("spo2", spo2, "%", at, loinc="59408-5")] if spo2 else []
    found += [number("resp_rate", rr, "/min", at, loinc="9279-1")] if rr else []
    return found


TRD = diagnosis(
    "F33.2",
    "Major depressive disorder, recurrent severe without psychotic features",
    also="treatment_resistant_depression",
)
ESCORT = answer("escort", "named")
ATTESTED: list[Resource] = [no_known_allergy(), answer("history_reviewed", "yes"), answer("reconciled", "yes")]
NO_SUICIDALITY = cssrs(q1=False, q2=False, q6=False)
CONSENT = consented()

# What may stand in no answer, whoever it is about.
NEVER = (
    r"\bsafe\b",
    r"\bno interactions?\b",
    r"\bcures?\b",
    r"\bnot addictive\b",
    r"\b(give|start with|administer)\b[^.]{0,40}\bmg/kg\b",
)
FIRST_VISIT = "trd-criterion-met off-label-consent-and-routes keep-the-antidepressant"

D01 = Case(
    "D01",
    "Eligible straightforward TRD",
    44,
    "F",
    [
        diagnosis("F33.2", "Major depressive disorder, recurrent severe without psychotic features"),
        number("failed_trials", 3, "1"),
        medicine("321988", "escitalopram", 20, state="completed", start="2024-09-02", end="2024-11-15"),
        medicine("39786", "venlafaxine", 225, state="completed", start="2024-12-02", end="2025-02-03"),
        medicine("89013", "aripiprazole", 5, state="stopped", start="2025-06-02", end="2025-08-04"),
        medicine("36437", "sertraline", 150),
        number("phq9", 19, "{score}", loinc="44261-6"),
        number("madrs", 31, "{score}"),
        *vitals(124, 78, hr=72, spo2=98),
        *cssrs(q1=True, q2=False, q6=False),
        ESCORT,
        pregnancy_test("negative"),
        CONSENT,
        *ATTESTED,
    ],
    "ELIGIBLE",
    [
        Must("TRD criterion met (at least two adequate trials)", "trd-criterion-met"),
        Must("off-label consent if racemic", "off-label-consent-and-routes", r"off-label"),
        Must("route options incl. esketamine", "off-label-consent-and-routes", r"esketamine"),
        Must("baseline scales before dose 1", "baseline-set-before-first-dose", r"MADRS"),
        Must("baseline bladder before dose 1", "baseline-set-before-first-dose", r"bladder"),
        Must("baseline cognition before dose 1", "baseline-set-before-first-dose", r"cogniti"),
        Must("baseline liver tests before dose 1", "baseline-set-before-first-dose", r"liver tests"),
        Must("keep sertraline", "keep-the-antidepressant", r"Keep taking your antidepressant"),
        Must("no driving until next day after sleep", "no-driving-until-after-sleep", r"next day"),
        Must("C-SSRS low: safety plan offer", "suicide-low", r"safety plan"),
    ],
    must_not="suicide-moderate suicide-high serotonin-two-strong maoi-after-serotonergic-antidepressant",
    never=(r"\bstop(ping)? (taking )?(the |your )?(sertraline|antidepressant)",),
    complete=True,
)

D02 = Case(
    "D02",
    "Uncontrolled BP today",
    57,
    "M",
    [
        TRD,
        medicine("29046", "lisinopril", 20, note="Missed today."),
        medicine("72625", "duloxetine", 60),
        *vitals(166, 102, hr=88, at="2026-11-21T08:45:00-06:00"),
        *vitals(168, 100, at="2026-11-21T08:55:00-06:00"),
        answer("red_flags_asked", "yes"),
        *(
            answer(symptom, "no")
            for symptom in (
                "chest_pain",
                "dyspnoea",
                "severe_headache",
                "visual_disturbance",
                "neurological_deficit",
                "confusion",
            )
        ),
    ],
    "DEFER",
    [
        Must("BP over limit on two readings", "bp-too-high-to-start", r"readings 5 minutes apart"),
        Must("take missed antihypertensive", "bp-too-high-to-start", r"missed.*take it as prescribed"),
        Must("re-measure or re-book", "bp-too-high-to-start", r"measure again"),
        Must("home BP log and primary care contact", "bp-too-high-to-start", r"home.*primary care"),
        Must("duloxetine/adherence noted", "bp-high-with-noradrenergic-antidepressant", r"adherence"),
    ],
    must_not="hypertensive-crisis bp-severe-no-symptoms bp-very-high-without-symptoms",
    never=(
        r"\bstart (the )?infusion",
        r"\bstop (taking )?(the |your )?(lisinopril|blood pressure medicine|antihypertensive)",
        r"\b(ambulance|emergency transfer)",
    ),
    phase="pre-dose",
)

D03 = Case(
    "D03",
    "Brain AVM",
    35,
    "F",
    [TRD, diagnosis("Q28.2", "Arteriovenous malformation of cerebral vessels", onset="2023"), *vitals(112, 70)],
    "NOT_ELIGIBLE",
    [
        Must("AVM is a label contraindication", "arteriovenous-malformation", r"contraindication"),
        Must("ECT needs neurosurgery advice", "arteriovenous-malformation", r"ECT only with the advice of neurosurg"),
        Must("offer TMS", "arteriovenous-malformation", r"TMS"),
        Must("offer medication", "arteriovenous-malformation", r"change of medicine"),
        Must("suicide screen still done", "arteriovenous-malformation", r"suicide screen"),
        Must("suicide screen is asked for", "cssrs_q1 cssrs_q2 cssrs_q6"),
    ],
    never=(r"\bwaiver\b", r"benefit outweighs"),
)

D04 = Case(
    "D04",
    "Positive pregnancy test",
    29,
    "F",
    [
        TRD,
        pregnancy_test("positive"),
        observation(
            {"system": "http://loinc.org", "code": "8665-2", "display": "Last menstrual period start date"},
            NOW,
            valueDateTime="2026-09-26",
        ),
        *vitals(118, 74),
        *cssrs(q1=True, q2=True, q3=False, q6=False),
    ],
    "NOT_ELIGIBLE",
    [
        Must(
            "fetal neurotoxicity concern, advise not to use", "pregnancy-test-positive", r"fetal brain.*advises against"
        ),
        Must("tell the person privately", "pregnancy-test-positive", r"private"),
        Must("confirm", "pregnancy-test-positive", r"Confirm the pregnancy"),
        Must("obstetric + perinatal psychiatry referral", "pregnancy-test-positive", r"obstetrics and perinatal"),
        Must("C-SSRS LOW, safety plan", "suicide-low suicide-low-so-far", r"LOW.*safety plan"),
        Must("review other medicines", "pregnancy-test-positive", r"[Rr]eview the other medicines"),
        Must("no stop advice to the person", "pregnancy-test-positive", r"Do not stop or change your medicines"),
        Must("items 4 and 5 were not asked", "cssrs_q4 cssrs_q5"),
    ],
    must_not="suicide-high suicide-moderate pregnancy-test-needed",
    never=(r"\bstop (taking )?(the |your )?antidepressant",),
)

D05 = Case(
    "D05",
    "Schizophrenia",
    40,
    "M",
    [
        diagnosis("F20.9", "Schizophrenia, unspecified"),
        diagnosis("R44.0", "Auditory hallucinations"),
        diagnosis("R45.89", "Other symptoms and signs involving emotional state"),
        medicine("61381", "olanzapine", 15),
    ],
    "NOT_ELIGIBLE",
    [
        Must("active psychotic disorder: not in routine clinic", "current-psychosis", r"routine"),
        Must("treat by standard care", "current-psychosis", r"standard care"),
        Must("team review", "current-psychosis", r"[Tt]eam review"),
    ],
    must_not="trd-criterion-met psychosis-same-day",
    never=(r"\bschedule (the )?(induction|infusion)",),
)

D06 = Case(
    "D06",
    "Bipolar I on lithium",
    38,
    "F",
    [
        diagnosis("F31.4", "Bipolar disorder, current episode depressed, severe, without psychotic features"),
        medicine("6448", "lithium carbonate", 900),
        number("lithium_level", 0.8, "mmol/L", loinc="14334-7"),
        medicine("28439", "lamotrigine", 200),
        number("asrm", 2, "{score}"),
        number("ymrs", 3, "{score}"),
        number("phq9", 21, "{score}", loinc="44261-6"),
        *vitals(122, 76, spo2=98),
        ESCORT,
        pregnancy_test("negative"),
        CONSENT,
        *NO_SUICIDALITY,
        *ATTESTED,
    ],
    "CAUTION",
    [
        Must("on mood stabiliser", "bipolar-on-mood-stabiliser", r"on a mood stabiliser"),
        Must("ASRM before every session, hold if >=6", "bipolar-on-mood-stabiliser", r"before every session.*6"),
        Must("YMRS if ASRM positive", "bipolar-on-mood-stabiliser", r"YMRS if the ASRM is positive"),
        Must("off-label, specialist agreement", "bipolar-on-mood-stabiliser", r"off-label, with specialist agreement"),
        Must("stop rule for switch", "bipolar-on-mood-stabiliser", r"YMRS 12.*same-day psychiatry"),
    ],
    must_not="clinical-mania ymrs-in-manic-range asrm-positive mania-screen-positive bipolar-without-mood-stabiliser"
    " antidepressant-bipolar-one",
    never=(r"\bcontraindicated\b", r"\bstop (taking )?lithium"),
    complete=True,
)

D07 = Case(
    "D07",
    "Kratom 25 g/day with sertraline",
    33,
    "M",
    [
        TRD,
        medicine("36437", "sertraline", 200),
        medicine("kratom-leaf", "kratom powder", 6.25, 4, unit="g", system=LOCAL, start="2023-11"),
        last_use("kratom-leaf", "2026-11-21T04:00:00-06:00"),
        number("cows", 9, "{score}"),
        number("audit_c", 2, "{score}"),
        *(
            {
                **number(name, value, "U/L", loinc=code),
                "referenceRange": [{"high": {"value": 40, "unit": "U/L", "code": "U/L"}}],
            }
            for name, code, value in (("alt", "1742-6", 48), ("ast", "1920-8", 48))
        ),
        *vitals(128, 82, spo2=98),
        ESCORT,
        CONSENT,
    ],
    "DEFER",
    [
        Must("same-day kratom use (hard)", "kratom-same-day"),
        Must("COWS mild withdrawal", "kratom-withdrawal-present opioid-withdrawal-score", r"COWS"),
        Must(
            "TAPS/DAST/KDS/DSM-5 count", "kratom-daily-unstable kratom-stable-or-occasional", r"TAPS.*DAST.*KDS.*DSM-5"
        ),
        Must(
            "planned taper or buprenorphine with the addiction clinician",
            "kratom-daily-unstable kratom-stable-or-occasional",
            r"reduction.*buprenorphine.*addiction clinician",
        ),
        Must("liver tests, ECG", "kratom-daily-unstable kratom-same-day", r"[Ll]iver tests, ECG"),
        Must("specific LC-MS/MS if testing", "kratom-facts kratom-same-day kratom-daily-unstable", r"LC-MS/MS"),
        Must("serotonin sign check (Hunter)", "kratom-with-serotonergic", r"Hunter"),
        Must("keep sertraline", "keep-the-antidepressant", r"Keep taking your antidepressant"),
        Must(
            "do not stop suddenly for this visit", "kratom-same-day kratom-daily-unstable", r"[Dd]o not stop suddenly"
        ),
        Must("the session may be moved", "kratom-same-day", r"session|move"),
        Must("C-SSRS not on record: ask today", "cssrs_q1 cssrs_q2 cssrs_q6"),
    ],
    must_not="serotonin-high-pair serotonin-toxicity",
    never=(
        r"\bskip (the |your )?kratom",
        r"\bwithout kratom for 24",
        r"\bkratom (boosts|helps|improves)",
        r"\bstop kratom (today|now)",
        r"\bproven (CYP2D6|interaction)",
    ),
)

D08 = Case(
    "D08",
    "Tranylcypromine",
    51,
    "F",
    [
        TRD,
        medicine("10734", "tranylcypromine", 60),
        *vitals(126, 80, hr=74, spo2=98),
        ESCORT,
        pregnancy_test("negative"),
        CONSENT,
        *NO_SUICIDALITY,
        *ATTESTED,
    ],
    "CAUTION",
    [
        Must("BP rises more", "ketamine-maoi", r"Blood pressure rises more"),
        Must("senior/prescriber agreement", "ketamine-maoi", r"prescriber and a senior colleague agree"),
        Must("BP q5-10 min, treat plan ready", "ketamine-maoi", r"every 5[^.]{0,6}10 minutes, treatment plan ready"),
        Must(
            "small series no crisis, uncertain",
            "ketamine-maoi",
            r"small series saw no crisis and no serotonin syndrome",
        ),
        Must("MAOI diet, tyramine-poor aftercare", "maoi-food-and-additions", r"tyramine.*Aftercare"),
        Must("no additions without the prescriber", "maoi-food-and-additions ketamine-maoi", r"without the prescriber"),
        Must("washouts", "maoi-food-and-additions", r"14 d"),
    ],
    must_not="maoi-with-serotonergic-antidepressant maoi-after-serotonergic-antidepressant",
    never=(r"\bstop (taking )?tranylcypromine", r"\bcontraindicat", r"serotonin syndrome (is certain|will)"),
    complete=True,
)

D09 = Case(
    "D09",
    "Bupropion with seizure",
    27,
    "F",
    [
        TRD,
        medicine("42347", "bupropion XL", 300),
        diagnosis("R56.9", "Unspecified convulsions", onset="2026-07-19", clinical="resolved"),
        *vitals(116, 72, spo2=98),
        ESCORT,
        pregnancy_test("negative"),
        CONSENT,
    ],
    "DEFER",
    [
        Must("seizure within 6 months", "seizure-recent", r"6 mo"),
        Must("bupropion contraindicated in seizure disorder", "bupropion-with-seizure-history", r"contraindicated"),
        Must("prescriber review the same day", "bupropion-with-seizure-history", r"same day"),
        Must("EEG/neurology", "seizure-recent", r"EEG and neurology"),
        Must(
            "sodium, alcohol/benzo withdrawal check", "seizure-recent", r"sodium, alcohol or benzodiazepine withdrawal"
        ),
    ],
    must_not="seizure-new keep-the-antidepressant",
    never=(r"\bstop (taking )?bupropion", r"ketamine (caused|causes) seizures"),
)

D10 = Case(
    "D10",
    "Adolescent",
    16,
    "F",
    [
        diagnosis("F32.2", "Major depressive disorder, single episode, severe without psychotic features"),
        number("phq9", 20, "{score}", loinc="89204-2"),
        {
            "resourceType": "RelatedPerson",
            "id": "guardian",
            "active": True,
            "patient": SUBJECT,
            "relationship": [
                {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/v3-RoleCode", "code": "GUARD"}]}
            ],
        },
        *cssrs(q4=False),
    ],
    "NOT_ELIGIBLE",
    [
        Must("not approved under 18", "age-under-18", r"not approved"),
        Must(
            "off-label only in expert centre/trial",
            "age-under-18",
            r"off-label use only in a trial or an expert centre",
        ),
        Must(
            "child psychiatry, fluoxetine/CBT/IPT optimise",
            "age-under-18",
            r"child and adolescent.*fluoxetine, CBT, IPT",
        ),
        Must("boxed suicidality warning", "age-under-18", r"boxed warning"),
        Must("safety plan with guardian", "age-under-18", r"safety plan together with the guardian"),
        Must("youth line", "contact:youth"),
        Must("C-SSRS has only Q4: ask the rest", "cssrs_q1 cssrs_q2 cssrs_q6"),
    ],
    must_not="trd-criterion-met off-label-consent-and-routes suicide-none suicide-low",
    never=(r"\bmg\b",),
)

D11 = Case(
    "D11",
    "Stable buprenorphine",
    45,
    "M",
    [
        TRD,
        diagnosis("F11.21", "Opioid dependence, in remission", onset="2024-11"),
        medicine("N07BC51", "buprenorphine and naloxone", 16, system=ATC),
        medicine("15996", "mirtazapine", 30),
        answer("drug_screen", "expected"),
        *vitals(130, 80, spo2=98),
        ESCORT,
        CONSENT,
        *NO_SUICIDALITY,
        *ATTESTED,
    ],
    "CAUTION",
    [
        Must("keep buprenorphine dose", "ketamine-moud", r"kept at the usual dose"),
        Must("extra sedation/SpO2 checks", "ketamine-moud", r"sedation.*SpO2"),
        Must(
            "addiction clinician in loop, SUD consent", "ketamine-moud", r"addiction clinician in the loop with consent"
        ),
        Must("misuse monitoring", "ketamine-moud", r"misuse monitoring"),
        Must("naloxone at hand", "ketamine-moud opioid-keep-naloxone", r"Keep naloxone with you"),
        Must(
            "naloxone in the tablet is no antagonist load", "ketamine-moud opioid-keep-naloxone", r"no antagonist load"
        ),
    ],
    must_not="ketamine-naltrexone antagonist-with-opioid antagonist-with-moud naltrexone-opioid-use-disorder"
    " ketamine-opioid opioid-with-sedative substance-use-disorder-without-plan",
    never=(
        r"\btaper(ed|ing)? (the |your )?buprenorphine",
        r"\b(hold|skip) (the |your )?buprenorphine",
        r"[Kk]etamine precipitates withdrawal",
    ),
    complete=True,
)

D12 = Case(
    "D12",
    "Elderly, obese, sleep apnoea",
    78,
    "M",
    [
        TRD,
        number("weight", 128, "kg", loinc="29463-7"),
        number("height", 178, "cm", loinc="8302-2"),
        diagnosis("I10", "Essential (primary) hypertension"),
        diagnosis("G47.33", "Obstructive sleep apnea (adult)"),
        answer("sleep_apnoea_treated", "cpap"),
        diagnosis("I44.7", "Left bundle-branch block, unspecified"),
        answer("ecg", "known stable"),
        number("moca", 25, "{score}", loinc="72172-0"),
        number("stop_bang", 6, "{score}"),
        *vitals(134, 76, spo2=96),
        ESCORT,
        CONSENT,
        *NO_SUICIDALITY,
        *ATTESTED,
    ],
    "CAUTION",
    [
        Must("older adult: start low, 28 mg where licensed", "age-65-and-over", r"start low.*28 mg"),
        Must("BMI 40.4 known", "high-bmi-dose-cap because", r"40\.4"),
        Must("adjusted weight and cap", "high-bmi-dose-cap", r"adjusted weight.*cap"),
        Must("OSA treated; untreated severe would be DEFER", "sleep-apnoea", r"Untreated and severe.*defer"),
        Must("respiratory depression risk, bring CPAP", "sleep-apnoea", r"respiratory depression.*CPAP"),
        Must("ECG/cardiac advice", "ecg-abnormal age-65-and-over", r"cardiac advice"),
        Must("fall and cognition monitoring", "age-65-and-over", r"fall risk and cognition"),
    ],
    must_not="sleep-apnoea-severe-untreated saturation-below-limit uncontrolled-hypertension dementia-capacity-open",
    never=(r"\bskip (the )?ECG",),
    complete=True,
)

D13 = Case(
    "D13",
    "No escort",
    30,
    "M",
    [TRD, answer("escort", "drives self"), *vitals(118, 76, spo2=98), CONSENT],
    "DEFER",
    [
        Must("no escort is hard stop", "no-escort", r"hard stop"),
        Must("arrange adult or accompanied transport", "no-escort", r"Arrange an adult, or transport with someone"),
        Must("re-book same week", "no-escort", r"same week"),
    ],
    never=(
        r"taxi (alone )?(counts|is enough)",
        r"waiver opens",
        r"\bafter 3 h\b",
        r"ride (alone|on your own) is enough",
    ),
    phase="pre-dose",
)

D14 = Case(
    "D14",
    "Active plan and intent",
    36,
    "F",
    [
        TRD,
        answer("dose", "2026-11-18T10:00:00-06:00"),
        *cssrs(q2=True, q3=True, q4=True, q5=True, q6=False),
        number("phq9_item9", 3, "{score}", loinc="44260-8"),
    ],
    "ESCALATE",
    [
        Must("HIGH risk by Q4/Q5", "suicide-high", r"HIGH by screener item 4, item 5"),
        Must("do not leave alone", "suicide-high", r"do not leave alone"),
        Must(
            "same-day psychiatric evaluation, means safety",
            "suicide-high",
            r"psychiatric evaluation the same day.*means",
        ),
        Must("notify prescriber in 15 min", "suicide-high", r"prescriber within 15 min"),
        Must("crisis number for the country", "contact:suicide", r"988"),
        Must("ketamine not substitute for evaluation", "suicide-high", r"no substitute for the evaluation"),
        Must("the evaluation decides about the session", "suicide-high", r"evaluation decides about the session"),
    ],
    must_not="suicide-low suicide-moderate suicide-intent-denied suicide-none suicide-unfinished suicide-item-trigger",
    never=(r"C-SSRS (score|sum|total)", r"wait for (the|your) next session"),
    phase="follow-up",
    treatment="esketamine-nasal",
)

D15 = Case(
    "D15",
    "BP 186/112 with headache at 35 min",
    60,
    "M",
    [
        answer("infusion_start", "2026-11-21T08:25:00-06:00"),
        *vitals(186, 112, hr=96),
        answer("severe_headache", "yes"),
        answer("visual_disturbance", "yes"),
    ],
    "ESCALATE",
    [
        Must("hypertensive emergency criteria (symptoms)", "session-hypertensive-emergency", r"sudden severe headache"),
        Must("stop infusion (hard)", "session-hypertensive-emergency", r"Stop the dose \(no override\)"),
        Must("call emergency (clinic settings)", "session-hypertensive-emergency", r"emergency number of the clinic"),
        Must("BP/ECG repeat, neuro exam", "session-hypertensive-emergency", r"ECG, repeat pressure, neurological exam"),
        Must(
            "report event, course on hold", "session-hypertensive-emergency", r"Report the event; the course is on hold"
        ),
    ],
    must_not="session-bp-severe session-bp-high",
    never=(
        r"\bpause\b",
        r"\bre-?check in 30 min",
        r"\bfinish the dose",
        r"\bimmediate-release nifedipine",
        r"\brapid (normalisation|lowering)",
    ),
    phase="during",
)

D16 = Case(
    "D16",
    "Hypoxia after unreported kratom",
    28,
    "M",
    [
        answer("infusion_start", "2026-11-21T08:40:00-06:00"),
        *vitals(spo2=88, rr=8),
        number("moaas", 2, "{score}"),
        last_use("kratom-extract", "2026-11-21T06:30:00-06:00"),
    ],
    "ESCALATE",
    [
        Must(
            "stop, airway, oxygen, ventilate first",
            "session-respiratory-emergency",
            r"Stop.*airway, oxygen, ventilate first",
        ),
        Must(
            "naloxone titrated to breathing",
            "session-naloxone-opioid-possible",
            r"naloxone titrated to breathing, not to",
        ),
        Must("repeat: extract outlasts it", "session-naloxone-opioid-possible", r"repeat, because extracts.*outlast"),
        Must("emergency call", "session-respiratory-emergency", r"emergency number of the clinic"),
        Must(
            "transfer after naloxone, gate closed",
            "session-naloxone-opioid-possible",
            r"Transfer after naloxone; gate closed",
        ),
        Must(
            "kratom hard stop for next visits", "session-naloxone-opioid-possible", r"same-day kratom stop.*next visits"
        ),
    ],
    must_not="session-hypoxia session-sedation",
    never=(r"more ketamine", r"until (the person is )?awake"),
    phase="during",
)

D17 = Case(
    "D17",
    "Leaving early, perfect score",
    48,
    "F",
    [
        answer("dose", "2026-11-21T07:25:00-06:00"),
        number("aldrete", 10, "{score}"),
        *vitals(128, 80),
        answer("oriented", "yes"),
        answer("escort_present", "yes"),
    ],
    "DEFER",
    [
        Must(
            "under 2 h observation is hard stop",
            "discharge-two-hours-nasal",
            r"2 h.*no score, signature, waiver or reason",
        ),
        Must("all other criteria recorded", "discharge-two-hours-nasal", r"Record the other criteria"),
        Must("explain and re-check at 120", "discharge-two-hours-nasal", r"explain, re-check at 2 h"),
        Must("left-before-discharge if she walks out", "discharge-two-hours-nasal", r"left before discharge"),
        Must(
            "no-driving warning, call her and the escort",
            "discharge-two-hours-nasal",
            r"no-driving.*person and the escort",
        ),
        Must("prescriber in 15 min", "discharge-two-hours-nasal", r"prescriber told within 15 min"),
        Must("form flagged, next dose held", "discharge-two-hours-nasal", r"form flagged, next dose held"),
    ],
    must_not="discharge-recovery-score discharge-escort left-before-discharge",
    never=(r"released by", r"against medical advice", r"\bAMA\b"),
    phase="discharge",
    treatment="esketamine-nasal",
)

D18 = Case(
    "D18",
    "Alprazolam 6 mg/day",
    50,
    "F",
    [
        TRD,
        medicine("596", "alprazolam", 2, 3),
        medicine("32937", "paroxetine", 40),
        diagnosis("R56.9", "Withdrawal seizure", onset="2018", clinical="resolved"),
        *vitals(120, 74, spo2=98),
        ESCORT,
        pregnancy_test("negative"),
        CONSENT,
        *NO_SUICIDALITY,
        *ATTESTED,
    ],
    "CAUTION",
    [
        Must("more than 8 mg diazepam equivalent", "ketamine-benzodiazepine-high", r"8 mg a day diazepam equivalent"),
        Must("about 120 mg", "ketamine-benzodiazepine-high because", r"120"),
        Must("efficacy and sedation", "ketamine-benzodiazepine-high", r"weaker response.*sedation"),
        Must("slow supervised taper discussion", "ketamine-benzodiazepine-high", r"discuss a slow, supervised taper"),
        Must(
            "never abrupt stop; seizure history",
            "ketamine-benzodiazepine-high",
            r"[Nn]ever stopped abruptly.*past seizure",
        ),
        Must("seizure history counts", "seizure-history"),
        Must("SpO2 monitor", "ketamine-benzodiazepine-high", r"SpO2"),
    ],
    must_not="seizure-recent seizure-new bupropion-with-seizure-history alcohol-or-sedative-withdrawal",
    never=(r"\bstop (taking )?alprazolam", r"do not take the next dose", r"\bcontraindicat"),
    complete=True,
)

D19_FACTS: list[Resource] = [
    TRD,
    *(answer("dose", day) for day in ("2026-10-10T10:00:00-06:00", "2026-10-24T10:00:00-06:00")),
    answer("missed_session", "2026-11-14"),
    *vitals(124, 80, hr=70, spo2=98),
    ESCORT,
    CONSENT,
    *ATTESTED,
]
SCORES = ("2026-10-10T09:30:00-06:00", "2026-10-24T09:30:00-06:00", NOW)
D19 = Case(
    "D19",
    "Missed one maintenance session, no worsening",
    52,
    "M",
    [
        *D19_FACTS,
        *(number("phq9", value, "{score}", at, loinc="44261-6") for value, at in zip((6, 5, 5), SCORES, strict=True)),
        *cssrs(q1=False, q2=False, q3=False, q4=False, q5=False, q6=False),
    ],
    "ELIGIBLE",
    [
        Must("keep the current dosing frequency", "missed-session-no-worsening", r"keep the current dosing frequency"),
        Must(
            "re-score mood and suicide screen today",
            "missed-session-no-worsening",
            r"Re-score mood and the suicide screen",
        ),
        Must("ask why and re-book", "missed-session-no-worsening", r"ask why the session was missed, re-book"),
        Must("same tolerated dose", "missed-session-no-worsening", r"last tolerated dose"),
    ],
    must_not="missed-session-worsening missed-infusion-rescore missed-infusion-restart phq9-deterioration",
    never=(r"\btwice (weekly|a week)", r"\bdouble dose", r"\brestart (the )?induction", r"\bmore frequent"),
    phase="follow-up",
    treatment="esketamine-nasal",
    complete=True,
)

D20 = Case(
    "D20",
    "Aftercare with heart failure and MAOI",
    66,
    "F",
    [
        answer("dose", "2026-11-21T09:00:00-06:00"),
        diagnosis("I50.9", "Heart failure, unspecified"),
        answer("fluid_limit", "yes"),
        medicine("8123", "phenelzine", 45),
        *cssrs(q1=False, q2=False, q3=False, q4=False, q5=False, q6=False),
        *ATTESTED,
    ],
    "DEFER",
    [
        Must("respect fluid limit", "aftercare-fluids-limit", r"Keep to the fluid limit"),
        Must("tyramine foods unsafe on MAOI", "aftercare-tyramine", r"aged cheese"),
        Must("antioxidant benefit unproven", "aftercare-antioxidants", r"unproven"),
        Must("no strenuous exercise 24 h", "aftercare-no-strenuous-exercise", r"No strenuous exercise for 24 h"),
        Must("BP check", "aftercare-no-strenuous-exercise", r"Check blood pressure"),
        Must("phenelzine label contraindicates heart failure", "phenelzine-heart-failure", r"heart failure"),
        Must("same-day prescriber review", "phenelzine-heart-failure", r"same day|today"),
        Must("next dose held until then", "phenelzine-heart-failure", r"held until"),
        Must("no abrupt stop of phenelzine", "phenelzine-heart-failure", r"not stopped abruptly|no abrupt stop"),
    ],
    must_not="aftercare-fluids",
    never=(
        r"\bstop (taking )?phenelzine",
        r"\bdo not take the next dose of phenelzine",
        r"\bdrink (plenty|3 L|more water)",
        r"\brestores?\b[^.]{0,30}stores",
    ),
    phase="follow-up",
    treatment="esketamine-nasal",
)

CASES = (D01, D02, D03, D04, D05, D06, D07, D08, D09, D10, D11, D12, D13, D14, D15, D16, D17, D18, D19, D20)


# --- neighbours of the cases: one fact differs, and so does the answer ------------------------------------------------


def without(case: Case, *ids: str) -> list[Resource]:
    """The facts of a case except those resources."""
    kept = [fact for fact in case.facts if fact["id"] not in ids]
    assert len(kept) + len(ids) <= len(case.facts), ids
    return kept


D02_VERY_HIGH = replace(
    D02,
    id="D02-180/110",
    title="180/110 without symptoms: still DEFER, the prescriber sees the person today",
    facts=[*without(D02, "bp-0845", "bp-0855"), pressure(180, 110)],
    must_have=[
        Must(
            "prescriber sees the person today",
            "bp-severe-no-symptoms bp-very-high-without-symptoms",
            r"prescriber sees",
        ),
        Must("no rapid lowering, symptoms asked", "bp-severe-no-symptoms bp-very-high-without-symptoms", r"[Aa]sk"),
    ],
    must_not="hypertensive-crisis bp-very-high-with-symptoms bp-too-high-to-start",
)
D02_HEADACHE = replace(
    D02_VERY_HIGH,
    id="D02-180/110-headache",
    title="180/110 with a severe headache: ESCALATE",
    facts=[
        *without(D02, "bp-0845", "bp-0855", "o-severe-headache"),
        pressure(180, 110),
        answer("severe_headache", "yes"),
    ],
    decision="ESCALATE",
    must_have=[Must("emergency", "hypertensive-crisis bp-very-high-with-symptoms", r"[Ee]mergency")],
    must_not="bp-severe-no-symptoms bp-very-high-without-symptoms",
    never=(),
)
AVM_AS_TEXT: Resource = {
    **{key: value for key, value in diagnosis("Q28.2", "brain AVM").items() if key != "code"},
    "code": {"text": "brain AVM"},
}
D03_TEXT = replace(
    D03,
    id="D03-text",
    title="AVM written as text only: DEFER and ask, never NOT_ELIGIBLE",
    facts=[TRD, AVM_AS_TEXT, *vitals(112, 70)],
    decision="DEFER",
    must_have=[Must("confirm or code it", "record text arteriovenous_malformation", r"confirm")],
    must_not="arteriovenous-malformation",
    complete=False,
)
D01_TEXT_AVM = replace(
    D01,
    id="D01-text",
    title="Nothing stands against it, but an AVM is written as text: DEFER although the history was reviewed",
    facts=[*D01.facts, AVM_AS_TEXT],
    decision="DEFER",
    must_have=[Must("confirm or code it", "record text arteriovenous_malformation", r"confirm|text only")],
    must_not="arteriovenous-malformation",
    complete=False,
)
D07_FIRST_INFUSION = replace(
    D07, id="D07-pre-dose", title="The same facts with the infusion due today", phase="pre-dose"
)
D12_UNTREATED = replace(
    D12,
    id="D12-untreated",
    title="Severe sleep apnoea without treatment: DEFER",
    facts=[
        *without(D12, "o-sleep-apnoea-treated"),
        answer("sleep_apnoea_treated", "untreated"),
        answer("sleep_apnoea_severity", "severe"),
    ],
    decision="DEFER",
    must_have=[Must("untreated severe sleep apnoea", "sleep-apnoea-severe-untreated")],
    must_not="",
    complete=True,
)
D17_AT_125 = replace(
    D17,
    id="D17-125",
    title="125 min after the dose with every item of the gate: may leave after the sign-off",
    facts=[
        *without(D17, "o-dose", "bp-0900"),
        answer("dose", "2026-11-21T06:55:00-06:00"),
        *vitals(128, 80, hr=74, spo2=98, rr=14),
        number("moaas", 5, "{score}"),
        number("cadss6", 0, "{score}"),
        answer("dissociation_resolved", "yes"),
        answer("walks_steadily", "yes"),
        answer("aftercare_given", "yes"),
        answer("discharge_signed", "yes"),
        *NO_SUICIDALITY,
    ],
    decision="ELIGIBLE",
    must_have=[Must("no driving until tomorrow", "discharge-no-driving", r"tomorrow")],
    must_not="discharge-two-hours-nasal discharge-sign-off left-before-discharge",
    complete=True,
)
D19_WORSE = replace(
    D19,
    id="D19-worse",
    title="The twin: missed one session and worse",
    facts=[
        *D19_FACTS,
        *(number("phq9", value, "{score}", at, loinc="44261-6") for value, at in zip((6, 5, 14), SCORES, strict=True)),
        *cssrs(q1=False, q2=False, q3=False, q4=False, q5=False, q6=False),
    ],
    decision="CAUTION",
    must_have=[Must("consider the previous schedule", "missed-session-worsening", r"previous, more frequent schedule")],
    must_not="missed-session-no-worsening",
    never=(r"\bdouble dose", r"\brestart (the )?induction"),
)
NEIGHBOURS = (
    D01_TEXT_AVM,
    D02_VERY_HIGH,
    D02_HEADACHE,
    D03_TEXT,
    D07_FIRST_INFUSION,
    D12_UNTREATED,
    D17_AT_125,
    D19_WORSE,
)

# Cases that are complete as given: each without one of its attestations must not be ELIGIBLE, and says what to attest.
ATTESTED_CASES = (D01, D06, D08, D11, D12, D18, D19)
ATTESTATIONS = ("no-known-allergy", "o-history-reviewed", "o-reconciled")
UNATTESTED = tuple(
    replace(case, id=f"{case.id}-{gone}", facts=without(case, gone)) for case in ATTESTED_CASES for gone in ATTESTATIONS
)
