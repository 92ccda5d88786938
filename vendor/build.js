// Makes static/vendor/ from the packages of package-lock.json. Run by `make vendor`.
import { build } from "esbuild";
import { copyFileSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";

const TARGET = "../static/vendor";
const DESIGNER = "node_modules/sequential-workflow-designer";

await build({
  entryPoints: ["codemirror.js", "designer.js", "yaml.js"],
  outdir: TARGET,
  bundle: true,
  minify: true,
  format: "esm",
  target: "es2022",
  legalComments: "none",
});
copyFileSync(`${DESIGNER}/css/designer.css`, join(TARGET, "designer.css"));

function* packages(folder) {
  for (const entry of readdirSync(folder).sort()) {
    if (entry.startsWith(".") || entry.includes("esbuild")) continue;
    const path = join(folder, entry);
    if (entry.startsWith("@")) yield* packages(path);
    else yield path;
  }
}

const licences = [...packages("node_modules")].map((path) => {
  const { name, version, license } = JSON.parse(readFileSync(join(path, "package.json"), "utf8"));
  return `${name} ${version} (${license})\n\n${readFileSync(join(path, "LICENSE"), "utf8").trim()}\n`;
});
writeFileSync(join(TARGET, "LICENSES.txt"), licences.join(`\n${"-".repeat(80)}\n\n`));
