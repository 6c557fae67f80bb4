#!/usr/bin/env node
// Whether what stands at an address is the market of this source, and what its owner has set. Its code alone doesn't show
// that: a constructor can write into storage whatever it likes and leave the same code. So the transaction that deployed it is
// asked for, and must have sent the creation code of snapshots/bytecode.json, with nothing behind it but the constructor's
// arguments. Asks the node, sends nothing.
//   npm run deployed -- https://rpc.example.com 0xMARKET 0xTRANSACTION
import { readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { AbiCoder, Contract, JsonRpcProvider, dataLength, dataSlice, getAddress, getBytes, isAddress, isHexString, keccak256 } from "ethers";

const ARGUMENTS = ["address", "uint16", "address"];
const DOMAIN = { name: "Hawser ComputeMarket", version: "1" };

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const read = (path) => JSON.parse(readFileSync(join(root, path), "utf8"));
const [url, address, transaction] = process.argv.slice(2);
if (!url || !isAddress(address) || !isHexString(transaction, 32)) {
  console.error(
    "write the endpoint's URL, the market's address, and the hash of the transaction that deployed it:\n" +
      "npm run deployed -- https://rpc.example.com 0xMARKET 0xTRANSACTION",
  );
  process.exit(2);
}

const node = new JsonRpcProvider(url, undefined, { staticNetwork: true });
const built = read("snapshots/bytecode.json");
const market = new Contract(address, read("bindings/abi/ComputeMarket.json").abi, node);

function refuse(where, why) {
  console.error(`${where}: ${why}`);
  process.exit(1);
}

// The arguments with which the transaction deployed the market, and nothing else.
async function deployment() {
  const [sent, receipt] = await Promise.all([node.getTransaction(transaction), node.getTransactionReceipt(transaction)]);
  if (!sent || !receipt) refuse(transaction, "there is no such transaction on this chain, or it was not mined yet");
  if (sent.to !== null) refuse(transaction, `it calls ${sent.to}: a market is deployed by a transaction to nobody, as forge sends it`);
  if (receipt.status !== 1) refuse(transaction, "it reverted");
  if (getAddress(receipt.contractAddress) !== getAddress(address)) refuse(transaction, `it deployed ${receipt.contractAddress}, not ${address}`);
  const at = dataLength(sent.data) - 32 * ARGUMENTS.length;
  if (at <= 0 || keccak256(dataSlice(sent.data, 0, at)) !== built.creation) {
    refuse(transaction, `what it deployed (${dataLength(sent.data)} bytes with arguments) is not the code of snapshots/bytecode.json`);
  }
  return AbiCoder.defaultAbiCoder().decode(ARGUMENTS, dataSlice(sent.data, at));
}

// Compares the code at an address with what is built, and ends where it is another one.
async function compare(where, { runtime, immutables }) {
  const code = getBytes(await node.getCode(where));
  for (const { start, length } of immutables) code.fill(0, start, start + length);
  if (keccak256(code) === runtime) return;
  const other = `its code (${code.length} bytes) is not that of snapshots/bytecode.json`;
  refuse(where, code.length === 0 ? "there is no contract on this chain" : other);
}

// Signatures count for this chain and address only.
async function compareDomain(chainId) {
  const { name, version, chainId: signed, verifyingContract } = await market.eip712Domain();
  if (name !== DOMAIN.name || version !== DOMAIN.version) refuse(address, `orders for it are signed for ${name} ${version}`);
  if (signed !== chainId || getAddress(verifyingContract) !== getAddress(address)) {
    refuse(address, `orders for it are signed for ${verifyingContract} on chain ${signed}`);
  }
}

await compare(address, built);
const [firstOwner, firstFee, firstSink] = await deployment();
await compare(await market.EXTENSION(), built.extension);
const { chainId } = await node.getNetwork();
await compareDomain(chainId);
const [owner, [bps, sink], last] = await Promise.all([market.owner(), market.fee(), market.sunset()]);
const percent = (fee) => `${Number(fee) / 100} %`;
console.log(`${address} on chain ${chainId} is the market of this source`);
console.log(`deployed for owner ${firstOwner}, fee ${percent(firstFee)}, paid to ${firstSink}`);
console.log(`now owner ${owner}, fee ${percent(bps)}, paid to ${sink}`);
if (last !== 0n) console.log(`it takes no orders after ${new Date(Number(last) * 1000).toISOString()}`);
