// A simulated KooDrive and two replicas of the service, as processes with the settings of docs/proxies.md.

import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { replaceAll } from "./blocks.js";
import { Program, freePort, run, until } from "./processes.js";

export const KEY = "the key of the tests";

// Asks each tenant once at the start. What is recorded does not matter here, so each replica has a database of its own.
const settings = (digest) => `
[collector]
interval = "1h"
[limits]
refreshes_per_minute = 1000000
[auth]
mode = "keys"
[[auth.keys]]
name = "tests"
sha256 = "${digest}"
tenants = ["*"]
roles = ["ADMIN"]
`;

/** Starts all of it in a folder. */
export async function startService(program, folder, block) {
  const simulator = new Program(program, ["simulate", "--listen", "127.0.0.1:0", "--tenants", "4"], { cwd: folder });
  const printed = await simulator.says(/^export .*\n$/m);
  const [tenants, secrets] = printed.split("A quotagraph.toml for them:")[1].split("and their secrets");
  const env = { PATH: process.env.PATH };
  for (const [, name, value] of secrets.matchAll(/^export (\w+)=(.*)$/gm)) env[name] = value;
  const digest = (await run(program, ["hash-key"], { input: `${KEY}\n` })).match(/[0-9a-f]{64}/)[0];

  const replicas = [];
  for (const name of ["a", "b"]) {
    const port = await freePort();
    const cwd = join(folder, name);
    await mkdir(cwd);
    const config = replaceAll(block, [["127.0.0.1:8081", `127.0.0.1:${port}`]]) + settings(digest) + tenants;
    await writeFile(join(cwd, "quotagraph.toml"), config);
    const replica = {
      port,
      printed: () => replica.process.printed,
      ready: () => fetch(`http://127.0.0.1:${port}/readyz`).then((answer) => answer.ok, () => false),
      start: async () => {
        replica.process = new Program(program, ["serve"], { cwd, env });
        await replica.process.says(new RegExp(`127\\.0\\.0\\.1:${port}\\b`));
        await until(`replica ${name}`, replica.ready);
      },
      end: (signal) => replica.process.end(signal),
    };
    await replica.start();
    replicas.push(replica);
  }
  const end = () => Promise.all([simulator, ...replicas].map((process) => process.end()));
  return { replicas, end };
}
