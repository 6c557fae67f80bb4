// The same run, other contracts: a plain transfer, a stream's withdrawal from Sablier Lockup, a compute job's payment from
// Ocean's escrow. Each is measured as it stands after use: receivers hold tokens, a stream was drawn from before.
import { artifact } from "./market.mjs";
import { packaged } from "./packages.mjs";

const COUNT = 100;
const DEPOSIT = 4_000_000n;
const ZERO = `0x${"0".repeat(40)}`;
const marginal = (batch, one) => Math.round((batch - one) / (COUNT - 1));

export async function measureOthers(node, root) {
  const [owner, payer, payee] = node.accounts;
  const token = await node.deploy(owner, artifact(root, "TestToken"));
  for (const account of [payer, payee]) await token.gas(owner, "mint", account, 10n ** 12n);
  const gas = { "ERC-20 transfer": await token.gas(payer, "transfer", payee, DEPOSIT) };
  const shared = { node, root, token, owner, payer, payee };
  return { ...gas, ...(await sablier(shared)), ...(await ocean(shared)) };
}

// What is called of Sablier's contracts; a part of the rest has names in its ABI that can't be parsed.
const CALLED = ["initialize", "nextStreamId", "createWithDurationsLL", "withdraw", "withdrawMultiple"];

// A contract with its libraries put into their places.
function linked({ abi, bytecode }, libraries) {
  const called = abi.filter(({ type, name }) => type === "constructor" || (type === "function" && CALLED.includes(name)));
  let code = bytecode.object;
  for (const file of Object.values(bytecode.linkReferences)) {
    for (const [name, places] of Object.entries(file)) {
      for (const { start } of places) {
        const at = 2 + 2 * start;
        code = code.slice(0, at) + libraries[name].slice(2).toLowerCase() + code.slice(at + 40);
      }
    }
  }
  return { abi: called, bytecode: code };
}

async function sablier({ node, root, token, owner, payer, payee }) {
  const load = (path, name = "@sablier/lockup") => packaged(root, name, `artifacts/${path}.json`);
  const comptroller = linked(load("SablierComptroller", "@sablier/evm-utils"), {});
  const proxy = linked(load("ERC1967Proxy", "@sablier/evm-utils"), {});
  const implementation = await node.deploy(owner, comptroller, owner);
  const initialize = implementation.encode("initialize", owner, 0, 0, 0, 0, ZERO);
  const settings = await node.deploy(owner, proxy, implementation.address, initialize);
  const libraries = {};
  for (const name of ["LockupHelpers", "LockupMath"]) {
    libraries[name] = (await node.deploy(owner, linked(load(`libraries/${name}`), libraries))).address;
  }
  const lockup = await node.deploy(owner, linked(load("SablierLockup"), libraries), settings.address, owner);

  await token.gas(payer, "approve", lockup.address, 2n ** 256n - 1n);
  const stream = [payer, payee, DEPOSIT, token.address, true, true, ""];
  const create = () => lockup.gas(payer, "createWithDurationsLL", stream, [0, 0], 0, [0, 3600]);
  const first = await lockup.read.nextStreamId();
  await create();
  const created = await create();
  for (let i = 2; i <= COUNT; ++i) await create();
  node.skip(600);
  const ids = Array.from({ length: COUNT }, (_, i) => first + BigInt(i));
  const paid = ids.map(() => 500_000n);
  await lockup.gas(payee, "withdrawMultiple", ids, paid);
  await lockup.gas(payee, "withdraw", first + BigInt(COUNT), payee, 500_000n);
  node.skip(600);
  const one = await lockup.gas(payee, "withdrawMultiple", ids.slice(0, 1), paid.slice(0, 1));
  node.skip(600);
  const all = await lockup.gas(payee, "withdrawMultiple", ids, paid);
  return {
    "Sablier Lockup createWithDurationsLL": created,
    "Sablier Lockup withdraw": await lockup.gas(payee, "withdraw", first + BigInt(COUNT), payee, 500_000n),
    "Sablier Lockup withdrawMultiple, each further stream": marginal(all, one),
  };
}

async function ocean({ node, root, token, owner, payer, payee }) {
  const load = (path) => packaged(root, "@oceanprotocol/contracts", `artifacts/contracts/${path}.json`);
  const router = await node.deploy(owner, load("pools/FactoryRouter.sol/FactoryRouter"), owner, token.address, owner, owner, []);
  const escrow = await node.deploy(owner, load("escrow/Escrow.sol/Escrow"), router.address, owner);

  await token.gas(payer, "approve", escrow.address, 2n ** 256n - 1n);
  await escrow.gas(payer, "deposit", token.address, DEPOSIT * 1000n);
  await escrow.gas(payer, "authorize", token.address, payee, DEPOSIT * 1000n, 86_400, 1000);
  const proof = `0x${"5f".repeat(32)}`;
  const locks = (from, count) => {
    const each = (value) => Array.from({ length: count }, (_, i) => (typeof value === "function" ? value(i) : value));
    const ids = each((i) => from + i);
    return {
      lock: [ids, each(token.address), each(payer), each(DEPOSIT), each(3600)],
      claim: [ids, each(token.address), each(payer), each(DEPOSIT / 2n), each(proof)],
    };
  };
  const claim = (args) => escrow.gas(payee, "claimLocksAndWithdraw", ...args.claim);
  const create = (args) => escrow.gas(payee, "createLocks", ...args.lock);
  const [warm, single, batch] = [locks(1, 1), locks(2, 1), locks(3, COUNT)];
  await create(warm);
  await claim(warm);
  const created = await create(single);
  const one = await claim(single);
  for (let i = 0; i < COUNT; i += 20) await create(locks(3 + i, 20));
  const all = await claim(batch);
  return {
    "Ocean Escrow createLocks, 1 lock": created,
    "Ocean Escrow claimLocksAndWithdraw, 1 lock": one,
    "Ocean Escrow claimLocksAndWithdraw, each further lock of 100": marginal(all, one),
  };
}
