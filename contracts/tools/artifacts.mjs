#!/usr/bin/env node
// Writes what follows from src/, from forge's output: what the Rust bindings compile in (ABI and creation bytecode, to
// bindings/abi/, so that a Rust build needs no forge), and the hashes of the bytecode (to snapshots/bytecode.json, so that
// whoever builds it sees that it is the same, and can compare it with what is deployed). With --check it writes nothing
// and fails where the committed files differ.
import { readFileSync, writeFileSync, mkdirSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { spawnSync } from "node:child_process";
import { keccak256 } from "ethers";

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const artifacts = { ComputeMarket: "ComputeMarket.sol", TestToken: "TestToken.sol" };
const check = process.argv.includes("--check");

const build = spawnSync("forge", ["build", "--root", root], { stdio: ["ignore", "inherit", "inherit"] });
if (build.status !== 0) {
  console.error(build.error ? `forge: ${build.error.message} (run this through npm: npm run artifacts)` : "forge build failed");
  process.exit(1);
}

// Runtime code has zeros where the constructor puts what it computes (the EIP-712 domain of the chain and the address):
// before code that is deployed is compared, these bytes are set to zero in it.
function hashes({ bytecode, deployedBytecode }) {
  const { settings, compiler } = market.metadata;
  return {
    compiler: compiler.version,
    evmVersion: settings.evmVersion,
    optimizerRuns: settings.optimizer.runs,
    viaIR: settings.viaIR ?? false,
    creation: keccak256(bytecode.object),
    runtime: keccak256(deployedBytecode.object),
    runtimeBytes: (deployedBytecode.object.length - 2) / 2,
    immutables: Object.values(deployedBytecode.immutableReferences ?? {}).flat().sort((a, b) => a.start - b.start),
  };
}

const read = (name) => JSON.parse(readFileSync(join(root, "out", artifacts[name], `${name}.json`), "utf8"));
const market = read("ComputeMarket");
const files = { "snapshots/bytecode.json": `${JSON.stringify(hashes(market), null, 2)}\n` };
for (const name of Object.keys(artifacts)) {
  const { abi, bytecode } = read(name);
  const binding = { contractName: name, abi, bytecode: { object: bytecode.object } };
  files[`bindings/abi/${name}.json`] = `${JSON.stringify(binding, null, 1)}\n`;
}

const stale = [];
for (const [name, text] of Object.entries(files)) {
  const path = join(root, name);
  mkdirSync(dirname(path), { recursive: true });
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
