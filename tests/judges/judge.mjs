// Judges submit bodies with ajv and ajv-errors: node judge.mjs SCHEMA FOLDER-OF-node_modules.
// Reads one JSON body a line, writes {"valid": ..., "message": the first one or null} a line.
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { createInterface } from "node:readline";

const [schema, modules] = process.argv.slice(2);
const require = createRequire(`${modules}/`);
const Ajv = require("ajv/dist/2020").default;
// One rule looks at one place, so a subschema does not repeat the types of all above it.
const ajv = new Ajv({ allErrors: true, allowUnionTypes: true, strictTypes: false });
require("ajv-errors")(ajv);
// Notes for people and for the emulator.
ajv.addVocabulary(["x-rule", "x-grade", "x-source"]);
const validate = ajv.compile(JSON.parse(readFileSync(schema, "utf8")));

for await (const line of createInterface({ input: process.stdin })) {
  const valid = validate(JSON.parse(line));
  const message = valid ? null : validate.errors[0].message;
  process.stdout.write(`${JSON.stringify({ valid, message })}\n`);
}
