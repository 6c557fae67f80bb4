// What `npm run deployed` says of a market, and of what only looks like one. Run by npm run test:tools.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { after, before, test } from "node:test";
import { fileURLToPath } from "node:url";
import { AbiCoder, dataLength, toBeHex } from "ethers";
import { Node } from "./gas/node.mjs";

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const { abi, bytecode } = JSON.parse(readFileSync(join(root, "bindings/abi/ComputeMarket.json"), "utf8"));

let node, owner, sink, thief, market;

before(async () => {
  node = await Node.start();
  [owner, sink, thief] = node.accounts;
  market = await node.deploy(owner, { abi, bytecode: bytecode.object }, owner, 250, sink);
});

after(() => node?.stop());

async function deployed(address, transaction) {
  const child = spawn("node", [join(root, "tools/deployed.mjs"), node.url, address, transaction].filter(Boolean));
  let said = "";
  for (const stream of [child.stdout, child.stderr]) stream.on("data", (data) => (said += data));
  const code = await new Promise((done) => child.on("close", done));
  return { code, said };
}

// Code that writes one word into storage and leaves the given code behind it.
function seeding(code, slot, value) {
  const size = toBeHex(dataLength(code), 3).slice(2);
  // PUSH32 value PUSH32 slot SSTORE, then PUSH3 size DUP1 PUSH1 start PUSH0 CODECOPY PUSH0 RETURN.
  const store = `7f${toBeHex(value, 32).slice(2)}7f${toBeHex(slot, 32).slice(2)}55`;
  const start = toBeHex(store.length / 2 + 11, 1).slice(2);
  return `0x${store}62${size}8060${start}5f395ff3${code.slice(2)}`;
}

test("the market of this source is one", async () => {
  const { code, said } = await deployed(market.address, market.receipt.transactionHash);
  assert.equal(code, 0, said);
  assert.match(said, /is the market of this source\ndeployed for owner 0x\w+, fee 2\.5 %, paid to 0x\w+\nnow owner/);
});

test("the same code with storage that was written before is none", async () => {
  const code = await node.provider.send("eth_getCode", [market.address, "latest"]);
  const owners = 12n;
  const receipt = await node.send(thief, undefined, seeding(code, owners, BigInt(thief)));
  const { code: ended, said } = await deployed(receipt.contractAddress, receipt.transactionHash);
  assert.equal(ended, 1, said);
  assert.match(said, /what it deployed .* is not the code of snapshots\/bytecode.json/);
});

test("a transaction that deployed another one, called something or isn't there shows nothing", async () => {
  const other = await node.deploy(owner, { abi, bytecode: bytecode.object }, owner, 0, sink);
  const another = await deployed(market.address, other.receipt.transactionHash);
  assert.equal(another.code, 1);
  assert.match(another.said, /it deployed 0x\w+, not 0x/);
  const call = await node.send(owner, sink, "0x");
  assert.match((await deployed(market.address, call.transactionHash)).said, /it calls 0x/);
  assert.match((await deployed(market.address, `0x${"5f".repeat(32)}`)).said, /there is no such transaction/);
});

test("bytes behind the constructor's arguments are refused", async () => {
  const args = AbiCoder.defaultAbiCoder().encode(["address", "uint16", "address"], [owner, 250, sink]).slice(2);
  const receipt = await node.send(owner, undefined, `${bytecode.object}${args}00`);
  assert.equal((await deployed(receipt.contractAddress, receipt.transactionHash)).code, 1);
});

test("without the transaction it says what to write", async () => {
  const { code, said } = await deployed(market.address);
  assert.equal(code, 2);
  assert.match(said, /the hash of the transaction that deployed it/);
});
