// What the market's own transactions cost. Values are of the size that they have in use: a token of six decimals, two of
// it per GPU-hour, another attestor for each job, 1 KiB of workload. Claims also in a token of eighteen decimals at a price
// without round digits, because longer amounts cost more in the log.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { keccak256, SigningKey, toBeHex, toUtf8Bytes, TypedDataEncoder, computeAddress } from "ethers";

const PRICE = 2_000_000n;
const PRICE_OF_18_DECIMALS = 2_345_678_901_234_567_891n;
const HOUR = 3600;
const FOREVER = 2n ** 40n - 1n;
const BATCH = 100;
const TYPES = {
  UsageVoucher: [
    { name: "jobId", type: "bytes32" },
    { name: "gpuSeconds", type: "uint256" },
    { name: "evidenceRoot", type: "bytes32" },
  ],
};
const workload = toUtf8Bytes(JSON.stringify({ image: `registry.example/render@sha256:${"5f".repeat(32)}`, args: ["x".repeat(906)] }));

const hash = (text) => keccak256(toUtf8Bytes(text));
const attestor = (index) => new SigningKey(hash(`attestor ${index}`));
const marginal = (batch, one) => Math.round((batch - one) / (BATCH - 1));

export function artifact(root, name) {
  const { abi, bytecode } = JSON.parse(readFileSync(join(root, `out/${name}.sol/${name}.json`), "utf8"));
  return { abi, bytecode: bytecode.object };
}

class Market {
  static async open(node, root, price) {
    const self = new Market();
    self.price = price;
    [self.owner, self.provider, self.operator, self.customer, self.payout, self.stranger] = node.accounts;
    self.node = node;
    self.token = await node.deploy(self.owner, artifact(root, "TestToken"));
    self.market = await node.deploy(self.owner, artifact(root, "ComputeMarket"), self.owner, 250, self.owner);
    const { market, token, provider, operator, customer, payout } = self;
    await market.gas(provider, "setProvider", operator, payout);
    await market.gas(provider, "setFloor", token.address, price);
    self.terms = (salt) => [provider, token.address, hash("class"), 600, HOUR, 120, 24 * HOUR, hash(salt)];
    self.offer = await market.read.offerIdOf(self.terms("offer"));
    await market.gas(operator, "setOffer", self.terms("offer"), price, 64, FOREVER, "{}");
    await token.gas(customer, "mint", customer, price * 10n ** 6n);
    await token.gas(customer, "approve", market.address, 2n ** 256n - 1n);
    await token.gas(customer, "mint", payout, 1);
    self.domain = { name: "Hawser ComputeMarket", version: "1", chainId: 31_337, verifyingContract: market.address };
    return self;
  }

  async order(salt) {
    const args = [this.offer, 2, HOUR, this.price, hash(salt), workload];
    const id = await this.market.read.openJob.staticCall(...args, { from: this.customer });
    return { id, gas: await this.market.gas(this.customer, "openJob", ...args) };
  }

  async orders(count, salt) {
    const ids = [];
    for (let i = 0; i < count; ++i) ids.push((await this.order(`${salt} ${i}`)).id);
    return ids;
  }

  start(ids) {
    const attestors = ids.map((_, i) => computeAddress(attestor(i)));
    return this.market.gas(this.operator, "startJobs", ids, attestors);
  }

  vouchers(ids, gpuSeconds) {
    return ids.map((id, i) => {
      const root = keccak256(id + toBeHex(gpuSeconds, 32).slice(2));
      const digest = TypedDataEncoder.hash(this.domain, TYPES, { jobId: id, gpuSeconds, evidenceRoot: root });
      const { r, yParityAndS } = attestor(i).sign(digest);
      return [id, gpuSeconds, root, r, yParityAndS];
    });
  }

  claim(ids, gpuSeconds) {
    return this.market.gas(this.operator, "claim", this.offer, this.vouchers(ids, gpuSeconds));
  }

  end(ids, used) {
    return this.market.gas(this.operator, "endJobs", ids, 0, ids.map(() => used), "done");
  }
}

// The same claims at another price: a job is claimed for the second time, alone and in a batch.
async function claims(m) {
  const ids = await m.orders(BATCH, "run");
  const [other] = await m.orders(1, "other");
  await m.start([other]);
  await m.start(ids);
  m.node.skip(600);
  await m.claim(ids, 500n);
  await m.claim([other], 500n);
  m.node.skip(600);
  const one = await m.claim([other], 1500n);
  return [one, marginal(await m.claim(ids, 1500n), one)];
}

export async function measureMarket(node, root) {
  const m = await Market.open(node, root, PRICE);
  const { market, operator, customer, provider, owner, stranger } = m;
  const gas = { deploy: Number(market.receipt.gasUsed) };
  gas["setOffer, new"] = await market.gas(operator, "setOffer", m.terms("another"), PRICE, 64, FOREVER, "{}");
  gas.updateOffer = await market.gas(operator, "updateOffer", m.offer, PRICE, 63, FOREVER);

  await m.order("first");
  gas["openJob, workload of 1 KiB"] = (await m.order("second")).gas;
  const ids = await m.orders(BATCH, "run");
  const [other, short] = await m.orders(2, "other");
  gas["startJobs, 1 job"] = await m.start([other]);
  gas["startJobs, 100 jobs"] = await m.start(ids);
  gas["startJobs, each further job"] = marginal(gas["startJobs, 100 jobs"], gas["startJobs, 1 job"]);
  await m.start([short]);

  node.skip(600);
  await m.claim(ids, 500n);
  await m.claim([other], 500n);
  node.skip(600);
  gas["claim, 1 job"] = await m.claim([other], 1500n);
  gas["claim, 100 jobs"] = await m.claim(ids, 1500n);
  gas["claim, each further job"] = marginal(gas["claim, 100 jobs"], gas["claim, 1 job"]);

  gas.topUp = await market.gas(customer, "topUp", other, HOUR);
  gas.endJob = await market.gas(customer, "endJob", other);
  gas["endJobs, 1 job"] = await m.end([short], 0);
  gas["endJobs, 100 jobs"] = await m.end(ids, 1500);
  gas["endJobs, each further job"] = marginal(gas["endJobs, 100 jobs"], gas["endJobs, 1 job"]);

  const [declined, ...late] = await m.orders(BATCH + 2, "late");
  gas["declineJobs, 1 job"] = await market.gas(operator, "declineJobs", [declined], "no");
  node.skip(601);
  gas["refund, 1 job"] = await market.gas(stranger, "refund", late.slice(0, 1));
  gas["refund, 100 jobs"] = await market.gas(stranger, "refund", late.slice(1));
  gas["refund, each further job"] = marginal(gas["refund, 100 jobs"], gas["refund, 1 job"]);

  gas["withdraw, customer"] = await market.gas(customer, "withdraw", m.token.address, customer);
  gas["withdrawFor, provider"] = await market.gas(operator, "withdrawFor", provider, m.token.address);
  await market.gas(owner, "withdraw", m.token.address, owner);
  const [one, further] = await claims(await Market.open(node, root, PRICE_OF_18_DECIMALS));
  gas["claim, 1 job, 18 decimals"] = one;
  gas["claim, each further job, 18 decimals"] = further;
  return gas;
}
