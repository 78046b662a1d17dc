// Makes src/api/schema.d.ts from the service's OpenAPI document.
//
// Operation ids are left out: types would be shared by name, and several calls have the name `list`.

import { readFile, writeFile } from "node:fs/promises";
import openapiTS, { astToString } from "openapi-typescript";

const [document, schema] = ["../docs/openapi.json", "./src/api/schema.d.ts"].map(
  (path) => new URL(path, import.meta.url),
);

const api = JSON.parse(await readFile(document, "utf8"));
for (const operations of Object.values(api.paths)) {
  for (const operation of Object.values(operations)) delete operation.operationId;
}
await writeFile(schema, astToString(await openapiTS(api)));
