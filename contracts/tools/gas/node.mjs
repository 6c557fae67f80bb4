// An anvil of its own: started on a free loopback port, ended by its handle. Accounts are anvil's unlocked ones, so that
// nothing has to be signed but vouchers.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { createServer } from "node:net";
import { Contract, ContractFactory, Interface, JsonRpcProvider } from "ethers";

export const HARDFORK = "osaka";
export const GENESIS = 1_800_000_000;
const GAS_LIMIT = "0xf42400"; // 16,000,000: below the limit that Osaka sets for one transaction
const WAIT_MS = 20_000;

const pause = () => new Promise((done) => setTimeout(done, 5));

async function freePort() {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address();
  server.close();
  await once(server, "close");
  return port;
}

export class Node {
  static async start() {
    const port = await freePort();
    const args = ["--host", "127.0.0.1", "--port", port, "--hardfork", HARDFORK, "--timestamp", GENESIS, "--silent"];
    const child = spawn("anvil", args.map(String), { stdio: ["ignore", "ignore", "inherit"] });
    let failed;
    child.on("error", (error) => (failed = new Error(`anvil: ${error.message} (run this through npm: npm run gas)`)));
    child.on("exit", (code) => (failed ??= new Error(`anvil ended with ${code}`)));
    const provider = new JsonRpcProvider(`http://127.0.0.1:${port}`, 31_337, { staticNetwork: true, batchMaxCount: 1 });
    const node = new Node(child, provider);
    node.url = `http://127.0.0.1:${port}`;
    for (const until = Date.now() + WAIT_MS; ; await pause()) {
      if (failed) throw failed;
      try {
        node.version = await provider.send("web3_clientVersion", []);
        node.accounts = await provider.send("eth_accounts", []);
        return node;
      } catch (error) {
        if (Date.now() < until) continue;
        node.stop();
        throw error;
      }
    }
  }

  constructor(child, provider) {
    this.child = child;
    this.provider = provider;
    this.clock = GENESIS;
  }

  stop() {
    this.provider.destroy();
    this.child.removeAllListeners("exit");
    this.child.kill();
  }

  // Sends one transaction in a block of its own and returns its receipt; a revert is an error.
  async send(from, to, data) {
    this.clock += 1;
    await this.provider.send("evm_setNextBlockTimestamp", [this.clock]);
    const hash = await this.provider.send("eth_sendTransaction", [{ from, to, data, gas: GAS_LIMIT }]);
    const receipt = await this.receipt(hash);
    if (receipt.status === "0x1") return receipt;
    const why = await this.provider.send("eth_call", [{ from, to, data }, "latest"]).catch((error) => error);
    throw new Error(`reverted: ${data.slice(0, 10)} to ${to}`, { cause: why });
  }

  // Mining begins at once, but answers to the sender first.
  async receipt(hash) {
    for (const until = Date.now() + WAIT_MS; Date.now() < until; await pause()) {
      const receipt = await this.provider.send("eth_getTransactionReceipt", [hash]);
      if (receipt) return receipt;
    }
    throw new Error(`not mined within ${WAIT_MS} ms: ${hash}`);
  }

  // Deploys from an artifact; `bytecode` is 0x-prefixed or not.
  async deploy(from, { abi, bytecode }, ...args) {
    const { data } = await new ContractFactory(abi, bytecode).getDeployTransaction(...args);
    const receipt = await this.send(from, undefined, data);
    return new Deployed(this, receipt.contractAddress, abi, receipt);
  }

  skip(seconds) {
    this.clock += seconds;
  }
}

export class Deployed {
  constructor(node, address, abi, receipt) {
    this.node = node;
    this.address = address;
    this.receipt = receipt;
    this.abi = new Interface(abi);
    this.read = new Contract(address, abi, node.provider);
  }

  encode(name, ...args) {
    return this.abi.encodeFunctionData(name, args);
  }

  // Sends a call and returns the gas of its receipt.
  async gas(from, name, ...args) {
    return Number((await this.node.send(from, this.address, this.encode(name, ...args))).gasUsed);
  }
}
