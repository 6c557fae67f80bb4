#!/usr/bin/env node
import { dirname } from "node:path";
import { fileURLToPath } from "node:url";
import { measureMarket } from "./gas/market.mjs";
import { Node } from "./gas/node.mjs";
import { measureOthers } from "./gas/others.mjs";
const root = dirname(dirname(fileURLToPath(import.meta.url)));
const node = await Node.start();
try {
  console.log(node.version, await measureMarket(node, root));
  console.log(await measureOthers(node, root));
} finally { node.stop(); }
