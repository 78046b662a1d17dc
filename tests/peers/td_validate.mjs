// Validates Thing Descriptions against the JSON Schema of the standard's own repository, as its package carries it.
// Arguments: path of node_modules, files. Says on standard output what is wrong with which file.
import { createRequire } from "node:module";
import { readFileSync } from "node:fs";

const [modules, ...files] = process.argv.slice(2);
const load = createRequire(`${modules}/`);
const Ajv = load("ajv").default;
const formats = load("ajv-formats").default;

const ajv = new Ajv({ strict: false, allErrors: true });
formats(ajv);
const validate = ajv.compile(load("wot-thing-description-types/schema/td-json-schema-validation.json"));
for (const file of files) {
  validate(JSON.parse(readFileSync(file, "utf8")));
  for (const { instancePath, message } of validate.errors ?? []) {
    console.log(`${file}: ${instancePath} ${message}`);
  }
}
