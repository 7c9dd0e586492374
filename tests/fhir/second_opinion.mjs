// What the npm package `fhir` finds wrong: one resource a line on standard input, one list of messages a line back.
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";

const { Fhir } = createRequire(import.meta.url)("fhir");
const validator = new Fhir();
for (const line of readFileSync(0, "utf8").split("\n").filter(Boolean)) {
  const { messages } = validator.validate(JSON.parse(line), { errorOnUnexpected: true });
  const wrong = messages.filter(({ severity }) => severity === "error" || severity === "fatal");
  process.stdout.write(JSON.stringify(wrong.map(({ location, message }) => `${location}: ${message}`)) + "\n");
}
