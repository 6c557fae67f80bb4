#!/usr/bin/env node
// Writes what follows from src/, from forge's output: what the Rust bindings compile in (ABI and creation bytecode, to
// bindings/abi/, so that a Rust build needs no forge), the hashes of the bytecode (to snapshots/bytecode.json, so that
// whoever builds it sees that it is the same, and can compare it with what is deployed), and where each variable lies (to
// snapshots/storage.json). With --check it writes nothing and fails where the committed files differ.
import { readFileSync, writeFileSync, mkdirSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { spawnSync } from "node:child_process";
import { keccak256 } from "ethers";

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const artifacts = {
  ComputeMarket: "ComputeMarket.sol",
  ComputeMarketExtension: "ComputeMarketExtension.sol",
  TestToken: "TestToken.sol",
};
const check = process.argv.includes("--check");

const build = spawnSync("forge", ["build", "--root", root], { stdio: ["ignore", "inherit", "inherit"] });
if (build.status !== 0) {
  console.error(build.error ? `forge: ${build.error.message} (run this through npm: npm run artifacts)` : "forge build failed");
  process.exit(1);
}

// Runtime code has zeros where the constructor puts what it computes (the EIP-712 domain of the chain and the address, the
// extension): before code that is deployed is compared, these bytes are set to zero in it.
function runtime({ deployedBytecode }) {
  return {
    runtime: keccak256(deployedBytecode.object),
    runtimeBytes: (deployedBytecode.object.length - 2) / 2,
    immutables: Object.values(deployedBytecode.immutableReferences ?? {}).flat().sort((a, b) => a.start - b.start),
  };
}

function hashes(market, extension) {
  const { settings, compiler } = market.metadata;
  return {
    compiler: compiler.version,
    evmVersion: settings.evmVersion,
    optimizerRuns: settings.optimizer.runs,
    viaIR: settings.viaIR ?? false,
    creation: keccak256(market.bytecode.object),
    ...runtime(market),
    extension: runtime(extension),
  };
}

// Where each variable lies, without the compiler's numbers for its types.
function layout({ storageLayout }) {
  const plain = (type) => type.replace(/\)\d+_(storage|memory)?/g, ")$1").replace(/\)\d+/g, ")");
  const rows = (list) => list.map(({ label, slot, offset, type }) => `${slot}+${offset} ${label}: ${plain(type)}`);
  const structs = Object.entries(storageLayout.types).filter(([, { members }]) => members);
  return {
    variables: rows(storageLayout.storage),
    structs: Object.fromEntries(structs.map(([name, { members }]) => [plain(name), rows(members)]).sort()),
  };
}

// The functions of both halves are called at one address: one ABI.
function union(...abis) {
  const all = new Map(abis.flat().map((entry) => [JSON.stringify(entry), entry]));
  const of = (entry) => `${entry.type} ${entry.name ?? ""} ${JSON.stringify(entry.inputs ?? "")}`;
  return [...all.values()].sort((a, b) => (of(a) < of(b) ? -1 : 1));
}

const read = (name) => JSON.parse(readFileSync(join(root, "out", artifacts[name], `${name}.json`), "utf8"));
const [market, extension] = [read("ComputeMarket"), read("ComputeMarketExtension")];
const storage = JSON.stringify(layout(market), null, 2);
if (storage !== JSON.stringify(layout(extension), null, 2)) {
  console.error("ComputeMarket and ComputeMarketExtension don't agree where their variables lie: both must begin with Market");
  process.exit(1);
}
const files = {
  "snapshots/bytecode.json": `${JSON.stringify(hashes(market, extension), null, 2)}\n`,
  "snapshots/storage.json": `${storage}\n`,
};
const called = ({ type }) => type !== "constructor";
const abis = {
  ComputeMarket: union(market.abi, extension.abi.filter(called)),
  TestToken: read("TestToken").abi,
};
for (const [name, abi] of Object.entries(abis)) {
  const binding = { contractName: name, abi, bytecode: { object: read(name).bytecode.object } };
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
