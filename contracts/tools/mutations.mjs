#!/usr/bin/env node
// Breaks the sources in each of the ways that tools/mutations.json lists, one at a time, in a copy, and runs the tests: those
// of gas left out, because they notice any change. A mutation that no test notices has survived, and fails this script; so
// does one that can't be applied any more or doesn't compile, because it measures nothing.
// Tests deploy the market from its artifact, so only that is compiled anew, with hardly any optimizer: what takes seconds is
// the compiler. Where tests use the broken file themselves, forge compiles all that it has to.
//   npm run mutations               all of them
//   npm run mutations -- Orders     those whose file or text contains this
//   npm run mutations -- --jobs 2   two at a time
import { spawn } from "node:child_process";
import { cpSync, mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

// Nothing takes this long but a loop that a mutation made endless: that is noticed too.
const LIMIT_MS = 300_000;
const MARKET = "src/ComputeMarket.sol";
const ARTIFACT = "out/ComputeMarket.sol/ComputeMarket.json";
// The steps without which the code generator runs out of stack, and nothing of what comes after it.
const OPTIMIZER = {
  enabled: true,
  runs: 1,
  details: {
    ...Object.fromEntries(
      ["peephole", "inliner", "jumpdestRemover", "orderLiterals", "deduplicate", "cse", "constantOptimizer"].map((step) => [step, false]),
    ),
    yul: true,
    yulDetails: { stackAllocation: true, optimizerSteps: "dhfoDgvulfnTUtnIf:" },
  },
};

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const args = process.argv.slice(2);
const at = args.indexOf("--jobs");
const jobs = at < 0 ? 1 : Number(args.splice(at, 2)[1]);
const wanted = args[0] ?? "";
const listed = JSON.parse(readFileSync(join(root, "tools/mutations.json"), "utf8"));
const list = Object.entries(listed)
  .flatMap(([file, changes]) => changes.map(([from, to]) => ({ file, from, to })))
  .filter(({ file, from, to }) => `${file} ${from} ${to}`.includes(wanted));

function workplace() {
  const folder = mkdtempSync(join(tmpdir(), "mutations-"));
  for (const part of ["src", "test", "tools", "out", "cache", "foundry.toml", "package.json"]) {
    cpSync(join(root, part), join(folder, part), { recursive: true });
  }
  rmSync(join(folder, "cache/packages"), { recursive: true, force: true });
  rmSync(join(folder, "cache/invariant"), { recursive: true, force: true });
  // Copied, because forge looks at links as at what they lead to, and would compile all of it again.
  mkdirSync(join(folder, "node_modules"));
  for (const name of readdirSync(join(root, "node_modules"))) {
    const [from, to] = [join(root, "node_modules", name), join(folder, "node_modules", name)];
    if (name === "@openzeppelin") cpSync(from, to, { recursive: true });
    else symlinkSync(from, to);
  }
  return folder;
}

// Runs a program and returns what it said; `code` is null where it took too long.
function run(program, args, input = "") {
  return new Promise((done) => {
    const env = { ...process.env, FOUNDRY_PROFILE: "mutations" };
    const child = spawn(program, args, { env, stdio: ["pipe", "pipe", "pipe"] });
    let said = "";
    for (const stream of [child.stdout, child.stderr]) stream.on("data", (data) => (said += data));
    const timer = setTimeout(() => child.kill("SIGKILL"), LIMIT_MS);
    child.on("error", (error) => done({ code: 1, said: `${program}: ${error.message} (run this through npm: npm run mutations)` }));
    child.on("close", (code) => {
      clearTimeout(timer);
      done({ code, said });
    });
    child.stdin.on("error", () => {});
    child.stdin.end(input);
  });
}

const forge = (folder, ...args) => run("forge", [...args, "--root", folder]);

// All that the market is made of, by the names under which its files import each other.
function sources(folder, name = MARKET, found = {}) {
  if (found[name]) return found;
  const path = name.startsWith("@") ? join("node_modules", name) : name;
  const content = readFileSync(join(folder, path), "utf8");
  found[name] = { content };
  for (const [, wanted] of content.matchAll(/\bfrom\s+"([^"]+)"/g)) {
    sources(folder, wanted.startsWith(".") ? join(dirname(name), wanted) : wanted, found);
  }
  return found;
}

// Puts the broken market into its artifact, and returns what the compiler has against it.
async function compile(folder) {
  const settings = {
    evmVersion: "cancun",
    viaIR: true,
    optimizer: OPTIMIZER,
    metadata: { bytecodeHash: "none", appendCBOR: false },
    outputSelection: { [MARKET]: { ComputeMarket: ["evm.bytecode.object", "evm.deployedBytecode.object"] } },
  };
  const input = JSON.stringify({ language: "Solidity", sources: sources(folder), settings });
  const { said } = await run(join(folder, "tools/solc"), ["--standard-json"], input);
  const { contracts, errors = [] } = JSON.parse(said);
  const fault = errors.find(({ severity }) => severity === "error");
  if (fault) return fault.formattedMessage;
  const { bytecode, deployedBytecode } = contracts[MARKET].ComputeMarket.evm;
  const path = join(folder, ARTIFACT);
  const artifact = JSON.parse(readFileSync(path, "utf8"));
  artifact.bytecode.object = `0x${bytecode.object}`;
  artifact.deployedBytecode.object = `0x${deployedBytecode.object}`;
  writeFileSync(path, JSON.stringify(artifact));
}

// The quick tests first: most mutations don't get past them.
async function tests(folder) {
  for (const path of ["test/{unit,attacks,fuzz}/*", "test/invariant/*"]) {
    const { code, said } = await forge(folder, "test", "--match-path", path, "--fail-fast");
    if (code === null) return { noticed: "took too long" };
    if (code === 0) continue;
    const failed = /^\[FAIL.*?\] (\w+)/m.exec(said) ?? /^\s*(invariant_\w+)/m.exec(said);
    return failed ? { noticed: failed[1] } : { broken: said.slice(-2000) };
  }
  return {};
}

// Whether tests are compiled with this file in them.
const usedByTests = (file) => file.startsWith("src/types/") || file.startsWith("src/libraries/");

async function measure(folder, { file, from, to }) {
  const [path, artifact] = [join(folder, file), join(folder, ARTIFACT)];
  const [source, good] = [path, artifact].map((name) => readFileSync(name, "utf8"));
  if (source.split(from).length !== 2) return { broken: `the text is there ${source.split(from).length - 1} times` };
  writeFileSync(path, source.replace(from, () => to));
  try {
    if (usedByTests(file)) return await tests(folder);
    const broken = await compile(folder);
    writeFileSync(path, source);
    return broken ? { broken } : await tests(folder);
  } finally {
    writeFileSync(path, source);
    writeFileSync(artifact, good);
  }
}

const built = await run("forge", ["build", "--root", root]);
if (built.code !== 0) {
  console.error(built.said);
  process.exit(1);
}
const queue = [...list];
const bad = [];
await Promise.all(
  Array.from({ length: Math.min(jobs, list.length) }, async () => {
    const folder = workplace();
    try {
      // As it is, compiled as the mutations are.
      const broken = await compile(folder);
      const whole = broken ? { broken } : await tests(folder);
      if (whole.noticed || whole.broken) throw new Error(`the tests fail without a mutation: ${whole.noticed ?? whole.broken}`);
      for (let mutation = queue.shift(); mutation; mutation = queue.shift()) {
        const began = Date.now();
        const { noticed, broken } = await measure(folder, mutation);
        const verdict = broken ? "BROKEN" : noticed ? "noticed" : "SURVIVED";
        const took = `${Math.round((Date.now() - began) / 1000)} s`;
        console.log(`${verdict} ${mutation.file}: ${mutation.from} -> ${mutation.to} (${noticed ?? broken ?? "by no test"}, ${took})`);
        if (verdict !== "noticed") bad.push(mutation);
      }
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  }),
);
console.log(`${list.length - bad.length} of ${list.length} mutations noticed`);
process.exitCode = bad.length === 0 ? 0 : 1;
