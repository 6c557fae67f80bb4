#!/usr/bin/env node
// Writes what the Rust bindings compile in (ABI and creation bytecode, from forge's output) to bindings/abi/, so that
// a Rust build needs no forge. With --check it writes nothing and fails where the committed files differ.
import { readFileSync, writeFileSync, mkdirSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { spawnSync } from "node:child_process";

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const artifacts = { ComputeMarket: "ComputeMarket.sol", TestToken: "TestToken.sol" };
const check = process.argv.includes("--check");

const build = spawnSync("forge", ["build", "--root", root], { stdio: ["ignore", "inherit", "inherit"] });
if (build.status !== 0) {
  console.error(build.error ? `forge: ${build.error.message} (run this through npm: npm run artifacts)` : "forge build failed");
  process.exit(1);
}

const stale = [];
mkdirSync(join(root, "bindings/abi"), { recursive: true });
for (const [name, source] of Object.entries(artifacts)) {
  const built = JSON.parse(readFileSync(join(root, "out", source, `${name}.json`), "utf8"));
  const text = `${JSON.stringify({ contractName: name, abi: built.abi, bytecode: { object: built.bytecode.object } }, null, 1)}\n`;
  const path = join(root, "bindings/abi", `${name}.json`);
  let committed = "";
  try {
    committed = readFileSync(path, "utf8");
  } catch {
    // Not there yet: it differs.
  }
  if (committed === text) continue;
  if (check) stale.push(path);
  else writeFileSync(path, text);
}
if (stale.length > 0) {
  console.error(`out of date: ${stale.join(", ")}\nrun: npm --prefix contracts run artifacts`);
  process.exit(1);
}
