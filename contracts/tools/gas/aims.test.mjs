// Whether a figure above its aim is noticed. Run by npm run test:tools.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { AIMS, aboveAims } from "./aims.mjs";

const committed = () => JSON.parse(readFileSync(new URL("../../snapshots/receipts.json", import.meta.url), "utf8")).market;

test("the committed figures are within their aims and ceilings", () => {
  assert.deepEqual(aboveAims(committed()), []);
});

test("each figure is named that is one gas above what it may be, with what it may be", () => {
  for (const { name, aim, ceiling } of AIMS) {
    for (const [column, decimals] of [[name, 6], [`${name}, 18 decimals`, 18]]) {
      const most = ceiling ?? aim;
      assert.deepEqual(aboveAims({ ...committed(), [column]: most }), []);
      const [line, ...rest] = aboveAims({ ...committed(), [column]: most + 1 });
      assert.equal(rest.length, 0);
      assert.ok(line.startsWith(`${name}, ${decimals} decimals: ${most + 1} measured`), line);
      assert.ok(line.endsWith(`${most}`), line);
    }
  }
});

test("a figure that nobody measured is no figure within its aim", () => {
  const { "a job's life, with a transfer, 18 decimals": gone, ...others } = committed();
  assert.deepEqual(aboveAims(others), [
    `a job's life, with a transfer, 18 decimals: not measured, and the aim is 110000`,
  ]);
});

test("what misses its aim says why, and only that has a ceiling", () => {
  for (const { name, aim, ceiling, why } of AIMS) {
    const [six, eighteen] = [committed()[name], committed()[`${name}, 18 decimals`]];
    assert.equal(six > aim || eighteen > aim, ceiling !== undefined, name);
    assert.equal(why !== undefined, ceiling !== undefined, name);
  }
});
