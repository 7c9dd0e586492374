// npm `fhir-kit-client` against the server at the address given: each finding is one key of the object written at the end.
import { Client } from "fhir-kit-client";

const client = new Client({ baseUrl: process.argv[2] });
const found = {};
const system = "http://example.org/kit";
const person = (family) => ({ resourceType: "Patient", name: [{ family }], identifier: [{ system, value: family }] });
const pulse = (reference, value) => ({
  resourceType: "Observation",
  status: "final",
  code: { coding: [{ system: "http://loinc.org", code: "8867-4" }] },
  subject: { reference },
  valueQuantity: { value, unit: "/min", system: "http://unitsofmeasure.org", code: "/min" },
});
const refused = async (work) => {
  try {
    await work;
  } catch ({ response: { status, data } }) {
    return [status, data.issue?.[0].code];
  }
};

const said = await client.capabilityStatement();
found.capabilities = [said.resourceType, said.fhirVersion];

const made = await client.create({ resourceType: "Patient", body: person("Kitlife") });
const one = { resourceType: "Patient", id: made.id };
const changed = await client.update({ ...one, body: { ...made, gender: "other" } });
const patched = await client.patch({ ...one, jsonPatch: [{ op: "replace", path: "/gender", value: "female" }] });
found.versions = [made, changed, patched].map(({ meta }) => meta.versionId);
found.first = (await client.vread({ ...one, version: "1" })).gender ?? null;
found.now = (await client.read(one)).gender;
const { response } = Client.httpFor(await client.read(one));
const [etag, type] = ["etag", "content-type"].map((name) => response.headers.get(name));
found.headers = [etag, type];
const lost = { ...one, body: made, options: { headers: { "If-Match": 'W/"1"' } } };
found.lost = await refused(client.update(lost));

const stored = await client.transaction({
  body: {
    resourceType: "Bundle",
    type: "transaction",
    entry: [60, 61, 62, 63, 64].map((rate) => ({
      resource: pulse(`Patient/${made.id}`, rate),
      request: { method: "POST", url: "Observation" },
    })),
  },
});
found.transaction = stored.entry.map(({ response: { status } }) => status.slice(0, 3));
found.dangling = await refused(
  client.transaction({
    body: {
      resourceType: "Bundle",
      type: "transaction",
      entry: [{ resource: pulse("Patient/nobody", 70), request: { method: "POST", url: "Observation" } }],
    },
  }),
);
const mixed = await client.batch({
  body: {
    resourceType: "Bundle",
    type: "batch",
    entry: [`Patient/${made.id}`, "Patient/nobody", `Observation?subject=${made.id}&_summary=count`].map((url) => ({
      request: { method: "GET", url },
    })),
  },
});
found.batch = mixed.entry.map(({ response: { status }, resource }) => [status.slice(0, 3), resource?.total ?? null]);

const asked = { subject: `Patient/${made.id}`, _sort: "value-quantity", _count: 2, _include: "Observation:subject" };
let page = await client.search({ resourceType: "Observation", searchParams: asked });
found.pages = [];
for (; page; page = await client.nextPage({ bundle: page })) {
  const matches = page.entry.filter(({ search }) => search.mode === "match");
  found.pages.push(matches.map(({ resource }) => resource.valueQuantity.value));
}
const posted = { resourceType: "Observation", searchParams: { ...asked, _count: 50 }, options: { postSearch: true } };
found.posted = (await client.search(posted)).total;
const compartment = { resourceType: "Patient", id: made.id };
found.compartment = (await client.search({ resourceType: "Observation", compartment })).total;
found.system = (await client.search({ searchParams: { _type: "Patient,Observation", _id: made.id } })).total;
const everything = await client.operation({ ...one, name: "everything", method: "GET" });
found.everything = everything.entry.length;
const judged = await client.operation({ resourceType: "Patient", name: "$validate", input: { ...made, gender: "rather" } });
found.validate = judged.issue.find(({ severity }) => severity === "error").expression;
const [entry] = (await client.search({ resourceType: "Observation", searchParams: asked })).entry;
found.resolved = (await client.resolve({ reference: entry.resource.subject.reference })).id === made.id;

const ifNone = { headers: { "If-None-Exist": `identifier=${system}|Kitlife` } };
const twice = await client.create({ resourceType: "Patient", body: person("Kitlife"), options: ifNone });
found.conditionalCreate = twice.id === made.id;
const meant = { identifier: `${system}|Kitlife` };
const moved = await client.update({ resourceType: "Patient", searchParams: meant, body: person("Kitlife") });
found.conditionalUpdate = [moved.id === made.id, moved.meta.versionId];

await client.delete(one);
found.gone = await refused(client.read(one));
found.history = (await client.history(one)).entry.map(({ request: { method } }) => method);
found.ofType = (await client.history({ resourceType: "Observation" })).entry.length >= 5;
found.ofAll = (await client.history()).type;
found.unknown = await refused(client.search({ resourceType: "Patient", searchParams: { colour: "red" } }));
process.stdout.write(JSON.stringify(found));
