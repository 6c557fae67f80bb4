#!/usr/bin/env node
// Measures what transactions cost by the receipts of a node: the market's, and others' for comparison in the same run.
// Writes snapshots/receipts.json and the page of the book that is made of it. With --check it writes nothing and fails
// where the market's receipts differ from the committed ones by more than the tolerance. Either way it fails where one is
// above its aim, or above the ceiling of one that misses it.
import { spawnSync } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { aboveAims } from "./gas/aims.mjs";
import { measureMarket } from "./gas/market.mjs";
import { HARDFORK, Node } from "./gas/node.mjs";
import { measureOthers } from "./gas/others.mjs";
import { PACKAGES } from "./gas/packages.mjs";
import { page } from "./gas/page.mjs";

// Zero bytes in hashes and signatures cost less than others: another address of the market moves a receipt a little.
const TOLERANCE = 0.002;

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const receipts = join(root, "snapshots/receipts.json");
const check = process.argv.includes("--check");

const build = spawnSync("forge", ["build", "--root", root], { stdio: ["ignore", "inherit", "inherit"] });
if (build.status !== 0) {
  console.error(build.error ? `forge: ${build.error.message} (run this through npm: npm run gas)` : "forge build failed");
  process.exit(1);
}

const node = await Node.start();
try {
  const market = await measureMarket(node, root);
  if (check) compare(JSON.parse(readFileSync(receipts, "utf8")).market, market);
  else write({ node: `${node.version}, hardfork ${HARDFORK}`, compared: versions(), market, others: await measureOthers(node, root) });
  for (const line of aboveAims(market)) {
    console.error(line);
    process.exitCode = 1;
  }
} finally {
  node.stop();
}

function versions() {
  return Object.fromEntries(Object.entries(PACKAGES).map(([name, { version }]) => [name, version]));
}

function write(measured) {
  writeFileSync(receipts, `${JSON.stringify(measured, null, 2)}\n`);
  writeFileSync(join(root, "../docs/reference/gas.md"), page(measured));
  for (const [name, gas] of Object.entries({ ...measured.market, ...measured.others })) {
    console.log(`${String(gas).padStart(9)}  ${name}`);
  }
}

function compare(committed, measured) {
  const names = new Set([...Object.keys(committed), ...Object.keys(measured)]);
  const off = [...names].filter((name) => !(Math.abs(committed[name] - measured[name]) <= committed[name] * TOLERANCE));
  for (const name of off) console.error(`${name}: ${committed[name]} committed, ${measured[name]} measured`);
  if (off.length === 0) return;
  console.error("run: npm --prefix contracts run gas");
  process.exitCode = 1;
}
