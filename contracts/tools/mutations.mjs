#!/usr/bin/env node
// Breaks the sources in each of the ways that tools/mutations.json lists, one at a time, in a copy, and runs the tests: those
// of gas left out, because they notice any change. A mutation that no test notices has survived, and fails this script; so
// does one that can't be applied any more or doesn't compile, because it measures nothing.
//   npm run mutations               all of them
//   npm run mutations -- Orders     those whose file or text contains this
//   npm run mutations -- --jobs 2   two at a time
import { spawn } from "node:child_process";
import { cpSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

// Nothing takes this long but a loop that a mutation made endless: that is noticed too.
const LIMIT_MS = 300_000;

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
  symlinkSync(join(root, "node_modules"), join(folder, "node_modules"));
  return folder;
}

// Runs forge and returns what it said; `code` is null where it took too long.
function forge(folder, ...args) {
  return new Promise((done) => {
    const env = { ...process.env, FOUNDRY_PROFILE: "mutations" };
    const child = spawn("forge", [...args, "--root", folder], { env, stdio: ["ignore", "pipe", "pipe"] });
    let said = "";
    for (const stream of [child.stdout, child.stderr]) stream.on("data", (data) => (said += data));
    const timer = setTimeout(() => child.kill("SIGKILL"), LIMIT_MS);
    child.on("error", (error) => done({ code: 1, said: `forge: ${error.message} (run this through npm: npm run mutations)` }));
    child.on("close", (code) => {
      clearTimeout(timer);
      done({ code, said });
    });
  });
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

async function measure(folder, { file, from, to }) {
  const path = join(folder, file);
  const source = readFileSync(path, "utf8");
  if (source.split(from).length !== 2) return { broken: `the text is there ${source.split(from).length - 1} times` };
  writeFileSync(path, source.replace(from, () => to));
  try {
    return await tests(folder);
  } finally {
    writeFileSync(path, source);
  }
}

const built = await forge(root, "build");
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
      const whole = await tests(folder);
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
