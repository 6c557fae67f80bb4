// What the market's own transactions cost. Values are of the size that they have in use: two tokens per GPU-hour, another
// attestor for each job, salts that are counted, hashes as hashes are. All of it in a token of six decimals, and what the
// aims are of also in one of eighteen at a price without round digits, because longer amounts cost more in calldata and log.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { keccak256, SigningKey, toBeHex, toUtf8Bytes, TypedDataEncoder, computeAddress } from "ethers";

const PRICE = 2_000_000n;
const PRICE_OF_18_DECIMALS = 2_345_678_901_234_567_891n;
const HOUR = 3600;
const FOREVER = 2n ** 40n - 1n;
const BATCH = 100;
const ZERO = `0x${"0".repeat(40)}`;
const NONE = `0x${"0".repeat(64)}`;
const TYPES = {
  UsageVoucher: [
    { name: "jobId", type: "bytes32" },
    { name: "gpuSeconds", type: "uint256" },
    { name: "evidenceRoot", type: "bytes32" },
  ],
};
const ORDER = {
  Order: Object.entries({
    offerId: "bytes8",
    customer: "address",
    gpus: "uint16",
    duration: "uint32",
    maxPrice: "uint128",
    deadline: "uint64",
    salt: "uint256",
    specHash: "bytes32",
    specOffChain: "bool",
  }).map(([name, type]) => ({ name, type })),
};
const workload = toUtf8Bytes(JSON.stringify({ image: `registry.example/render@sha256:${"5f".repeat(32)}`, args: ["x".repeat(906)] }));
const EMPTY = "0x";

const hash = (text) => keccak256(toUtf8Bytes(text));
const attestor = (index) => new SigningKey(hash(`attestor ${index}`));
const marginal = (batch, one) => Math.round((batch - one) / (BATCH - 1));

export function artifact(root, name) {
  const { abi, bytecode } = JSON.parse(readFileSync(join(root, `out/${name}.sol/${name}.json`), "utf8"));
  return { abi, bytecode: bytecode.object };
}

// The market's two halves are called at one address.
function market(root) {
  const [core, extension] = ["ComputeMarket", "ComputeMarketExtension"].map((name) => artifact(root, name));
  const seen = new Set(core.abi.map((entry) => JSON.stringify(entry)));
  const more = extension.abi.filter((entry) => entry.type !== "constructor" && !seen.has(JSON.stringify(entry)));
  return { ...core, abi: [...core.abi, ...more] };
}

class Market {
  static async open(node, root, price) {
    const self = new Market();
    self.price = price;
    self.salt = 0;
    [self.owner, self.provider, self.operator, self.customer, self.payout, self.stranger, ...self.others] = node.accounts;
    self.node = node;
    self.token = await node.deploy(self.owner, artifact(root, "TestToken"));
    self.market = await node.deploy(self.owner, market(root), self.owner, 250, self.owner);
    const { token, provider, operator, customer, payout } = self;
    await self.market.gas(provider, "setProvider", operator, payout);
    await self.market.gas(provider, "setFloor", token.address, NONE, price);
    self.terms = (salt) => [provider, token.address, hash("class"), 600, HOUR, 120, 24 * HOUR, ZERO, hash(salt)];
    self.offer = await self.market.read.offerIdOf(self.terms("offer"));
    await self.market.gas(operator, "setOffer", self.terms("offer"), price, 64, FOREVER, "{}");
    await self.fund(customer);
    await token.gas(customer, "mint", payout, 1);
    self.domain = { name: "Hawser ComputeMarket", version: "1", chainId: 31_337, verifyingContract: self.market.address };
    return self;
  }

  async fund(account) {
    await this.token.gas(account, "mint", account, this.price * 10n ** 6n);
    await this.token.gas(account, "approve", this.market.address, 2n ** 256n - 1n);
  }

  // An order, with the hash of its spec alone or with the text.
  async order({ spec = EMPTY, customer = this.customer, by = customer, call = "openJob", extra = () => [] } = {}) {
    const order = [this.offer, customer, 2, HOUR, this.price, this.node.clock + 600, ++this.salt, keccak256(workload), spec === EMPTY];
    const args = call === "openJobAs" ? [...extra(order), order, spec] : [order, spec, ...extra(order)];
    const id = await this.market.read[call].staticCall(...args, { from: by });
    const orderHash = await this.market.read.orderHashOf(order);
    return { ref: [id, customer, orderHash], id, gas: await this.market.gas(by, call, ...args) };
  }

  async orders(count, options = () => ({})) {
    const jobs = [];
    for (let i = 0; i < count; ++i) jobs.push(await this.order(options(i)));
    return jobs;
  }

  start(jobs) {
    const attestors = jobs.map((_, i) => computeAddress(attestor(i)));
    return this.market.gas(this.operator, "startJobs", jobs.map(({ id }) => id), attestors);
  }

  vouchers(jobs, gpuSeconds) {
    return jobs.map(({ id }, i) => {
      const root = keccak256(id + toBeHex(gpuSeconds, 32).slice(2));
      const digest = TypedDataEncoder.hash(this.domain, TYPES, { jobId: id, gpuSeconds, evidenceRoot: root });
      const { r, yParityAndS } = attestor(i).sign(digest);
      return [toBeHex(gpuSeconds, 8) + id.slice(18), root, r, yParityAndS];
    });
  }

  claim(jobs, gpuSeconds) {
    return this.market.gas(this.operator, "claim", this.offer, this.vouchers(jobs, gpuSeconds), []);
  }

  settle(jobs, gpuSeconds) {
    const last = this.vouchers(jobs, gpuSeconds).map((voucher, i) => [...voucher, ...jobs[i].ref.slice(1)]);
    return this.market.gas(this.operator, "settle", this.offer, last, []);
  }

  end(jobs, used) {
    return this.market.gas(this.operator, "endJobs", jobs.map(({ ref }) => ref), 0, jobs.map(() => used), "done");
  }
}

// What the aims are of, at a price: a job is claimed for the second time, alone and in a batch, and settled after that.
async function aims(m) {
  const gas = {};
  await m.order();
  gas["openJob by hash, with a transfer"] = (await m.order()).gas;
  await m.market.gas(m.customer, "deposit", m.customer, m.token.address, m.price * 1000n);
  await m.order();
  gas["openJob by hash, from credit"] = (await m.order()).gas;
  const jobs = await m.orders(BATCH);
  const [other, first] = await m.orders(2);
  gas["startJobs, 1 job"] = await m.start([other]);
  gas["startJobs, 100 jobs"] = await m.start(jobs);
  gas["startJobs, each further job"] = marginal(gas["startJobs, 100 jobs"], gas["startJobs, 1 job"]);
  await m.start([first]);
  m.node.skip(600);
  await m.claim(jobs, 500n);
  await m.claim([other], 500n);
  m.node.skip(600);
  gas["claim, 1 job"] = await m.claim([other], 1500n);
  gas["claim, 100 jobs"] = await m.claim(jobs, 1500n);
  gas["claim, each further job"] = marginal(gas["claim, 100 jobs"], gas["claim, 1 job"]);
  m.node.skip(600);
  await m.settle([first], 1000n);
  gas["settle, 1 job"] = await m.settle([other], 2500n);
  gas["settle, 100 jobs"] = await m.settle(jobs, 2500n);
  gas["settle, each further job"] = marginal(gas["settle, 100 jobs"], gas["settle, 1 job"]);
  const rest = gas["startJobs, each further job"] + gas["settle, each further job"];
  gas["a job's life, with a transfer"] = gas["openJob by hash, with a transfer"] + rest;
  gas["a job's life, from credit"] = gas["openJob by hash, from credit"] + rest;
  gas["settle, each further job of another customer"] = await manyCustomers(m);
  return gas;
}

// Each job of a batch has another customer, who has credit already.
async function manyCustomers(m) {
  const whose = m.others.slice(0, 4);
  for (const account of whose) {
    await m.fund(account);
    await m.market.gas(account, "deposit", account, m.token.address, m.price * 1000n);
  }
  const jobs = await m.orders(whose.length + 1, (i) => ({ customer: i === 0 ? m.customer : whose[i - 1] }));
  await m.start(jobs);
  m.node.skip(600);
  const one = await m.settle(jobs.slice(0, 1), 1000n);
  const all = await m.market.gas(
    m.operator,
    "settle",
    m.offer,
    m.vouchers(jobs, 1000n).slice(1).map((voucher, i) => [...voucher, ...jobs[i + 1].ref.slice(1)]),
    [],
  );
  return Math.round((all - one) / (whose.length - 1));
}

export async function measureMarket(node, root) {
  const m = await Market.open(node, root, PRICE);
  const { market, operator, customer, provider, owner, stranger, token } = m;
  const gas = { deploy: Number(market.receipt.gasUsed) };
  gas["setOffer, new"] = await market.gas(operator, "setOffer", m.terms("another"), PRICE, 64, FOREVER, "{}");
  gas.updateOffer = await market.gas(operator, "updateOffer", m.offer, PRICE, 63, FOREVER);
  Object.assign(gas, await aims(m));
  gas["openJob with 1 KiB of spec, from credit"] = (await m.order({ spec: workload })).gas;

  const signature = (key) => (order) => {
    const value = Object.fromEntries(ORDER.Order.map(({ name }, i) => [name, order[i]]));
    return [key.sign(TypedDataEncoder.hash(m.domain, ORDER, value)).serialized];
  };
  const key = new SigningKey(hash("customer"));
  const signer = computeAddress(key);
  await market.gas(customer, "deposit", signer, token.address, PRICE * 1000n);
  const signed = { customer: signer, by: stranger, call: "openJobSigned", extra: signature(key) };
  await m.order(signed);
  gas["openJobSigned by hash"] = (await m.order(signed)).gas;
  const number = await market.read.delegate.staticCall(stranger, token.address, PRICE * 1000n, FOREVER, { from: customer });
  gas.delegate = await market.gas(customer, "delegate", stranger, token.address, PRICE * 1000n, FOREVER);
  const delegated = { by: stranger, call: "openJobAs", extra: () => [number] };
  await m.order(delegated);
  gas["openJobAs by hash"] = (await m.order(delegated)).gas;
  await market.gas(provider, "setFloor", token.address, hash("class"), PRICE);
  gas["openJob by hash, from credit, class with its own floor"] = (await m.order()).gas;

  const jobs = await m.orders(BATCH);
  const [other, short] = await m.orders(2);
  await m.start([other]);
  await m.start(jobs);
  await m.start([short]);
  m.node.skip(600);
  gas.topUp = await market.gas(customer, "topUp", other.id, HOUR);
  gas.endJob = await market.gas(customer, "endJob", other.ref);
  await m.end([other], 0);
  gas["endJobs, 1 job"] = await m.end([short], 0);
  gas["endJobs, 100 jobs"] = await m.end(jobs, 0);
  gas["endJobs, each further job"] = marginal(gas["endJobs, 100 jobs"], gas["endJobs, 1 job"]);

  const [declined, second, ...late] = (await m.orders(BATCH + 4)).map(({ ref }) => ref);
  await market.gas(operator, "declineJobs", [declined], "no");
  gas["declineJobs, 1 job"] = await market.gas(operator, "declineJobs", [second], "no");
  node.skip(601);
  await market.gas(stranger, "refund", late.slice(0, 1));
  gas["refund, 1 job"] = await market.gas(stranger, "refund", late.slice(1, 2));
  gas["refund, 100 jobs"] = await market.gas(stranger, "refund", late.slice(2));
  gas["refund, each further job"] = marginal(gas["refund, 100 jobs"], gas["refund, 1 job"]);

  gas.deposit = await market.gas(customer, "deposit", customer, token.address, PRICE);
  gas["withdraw, customer"] = await market.gas(customer, "withdraw", token.address, customer, 2n ** 256n - 1n);
  gas["withdrawFor, provider"] = await market.gas(operator, "withdrawFor", provider, token.address);
  gas.sweepFees = await market.gas(stranger, "sweepFees", owner, token.address);
  const more = await aims(await Market.open(node, root, PRICE_OF_18_DECIMALS));
  for (const [name, value] of Object.entries(more)) gas[`${name}, 18 decimals`] = value;
  return gas;
}
