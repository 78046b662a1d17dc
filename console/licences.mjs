// Puts the licences of everything that is built in beside it, as they ask for.

import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";

export function licences() {
  return {
    name: "licences",
    generateBundle() {
      const folders = new Set();
      for (const id of this.getModuleIds()) {
        const [folder] = /^.*\/node_modules\/(@[^/]+\/)?[^/]+/.exec(id) ?? [];
        if (folder) folders.add(folder.replace(/^\0/, ""));
      }
      const source = [...folders].sort().map(licence).join("\n");
      this.emitFile({ type: "asset", fileName: "licences.txt", source });
    },
  };
}

function licence(folder) {
  const { name, version } = JSON.parse(readFileSync(join(folder, "package.json"), "utf8"));
  const file = readdirSync(folder).find((entry) => /^licen[cs]e/i.test(entry));
  if (!file) throw new Error(`${name} has no licence`);
  return `${name} ${version}\n\n${readFileSync(join(folder, file), "utf8").trim()}\n`;
}
