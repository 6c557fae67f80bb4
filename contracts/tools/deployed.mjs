#!/usr/bin/env node
// Whether what stands at an address is the market of this source: its code, with zeros where the constructor put what it
// computed, against snapshots/bytecode.json; so is its extension's; and what its owner has set. Asks the node, sends nothing.
//   npm run deployed -- https://rpc.example.com 0x...
import { readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { Contract, JsonRpcProvider, getBytes, isAddress, keccak256 } from "ethers";

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const read = (path) => JSON.parse(readFileSync(join(root, path), "utf8"));
const [url, address] = process.argv.slice(2);
if (!url || !isAddress(address)) {
  console.error("write the endpoint's URL and the market's address: npm run deployed -- https://rpc.example.com 0x...");
  process.exit(2);
}

const node = new JsonRpcProvider(url, undefined, { staticNetwork: true });
const built = read("snapshots/bytecode.json");
const market = new Contract(address, read("bindings/abi/ComputeMarket.json").abi, node);

// Compares the code at an address with what is built, and ends where it is another one.
async function compare(where, { runtime, immutables }) {
  const code = getBytes(await node.getCode(where));
  for (const { start, length } of immutables) code.fill(0, start, start + length);
  if (keccak256(code) === runtime) return;
  const other = `its code (${code.length} bytes) is not that of snapshots/bytecode.json`;
  console.error(`${where}: ${code.length === 0 ? "there is no contract on this chain" : other}`);
  process.exit(1);
}

await compare(address, built);
await compare(await market.EXTENSION(), built.extension);
const [{ chainId }, owner, [bps, sink], last] = await Promise.all([node.getNetwork(), market.owner(), market.fee(), market.sunset()]);
console.log(`${address} on chain ${chainId} is the market of this source`);
console.log(`owner ${owner}, fee ${Number(bps) / 100} %, paid to ${sink}`);
if (last !== 0n) console.log(`it takes no orders after ${new Date(Number(last) * 1000).toISOString()}`);
