// Other people's contracts, only to compare with: the packages that they publish, by version and digest, without what
// those depend on. They stay in the cache folder; nothing of them is committed or deployed anywhere else.
import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readFileSync } from "node:fs";
import { join } from "node:path";

export const PACKAGES = {
  "@sablier/lockup": { version: "4.0.1", integrity: "sha512-jEWd1RqcYpjFx9X5SCju9Aqlge+R5zSxb+7K2jYt7wtytTQmUzIRN+q4UadMcJMSmskHU+6mf9lDfkng9Bgjrw==" },
  "@sablier/evm-utils": { version: "2.0.1", integrity: "sha512-LRyCMKTHMbnUbiTTO1IGsCVXzl+KL63K3qSjynwmXOZhUfPDE0MIqvvRlvF34JukWGy60IkdmnsPD0lWk+fzuw==" },
  "@oceanprotocol/contracts": { version: "2.6.0", integrity: "sha512-4K3TTM0q4VlBs7GLXzQkGMae576iAGHMARqMFcKXUUtfGyiT8KP4sP9IBsq8UUhu11R4JU2KTqXenHS8EWxrbA==" },
};

function run(command, args, options) {
  const result = spawnSync(command, args, { maxBuffer: 2 ** 28, ...options });
  if (result.status !== 0) throw new Error(`${command} ${args.join(" ")}: ${result.error?.message ?? result.stderr}`);
  return result.stdout;
}

// One JSON file of a package.
export function packaged(root, name, path) {
  const { version, integrity } = PACKAGES[name];
  const folder = join(root, "cache/packages");
  const file = join(folder, `${name.replace("@", "").replace("/", "-")}-${version}.tgz`);
  mkdirSync(folder, { recursive: true });
  if (!existsSync(file)) run("npm", ["pack", `${name}@${version}`, "--silent", "--pack-destination", folder]);
  const digest = `sha512-${createHash("sha512").update(readFileSync(file)).digest("base64")}`;
  if (digest !== integrity) throw new Error(`${file} is ${digest}, not ${integrity}: remove it and run again`);
  return JSON.parse(run("tar", ["-xzOf", file, `package/${path}`]));
}
