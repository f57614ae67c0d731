// A simulated KooDrive and the service in front of it, both as processes in a folder of their own.

import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

const PATIENCE_MS = 60_000;

// Asks each tenant once at the start; what changes after that is asked for by refreshes.
const SETTINGS = `
server.listen = "127.0.0.1:0"
collector.interval = "1h"
limits.refreshes_per_minute = 1000000
upstream.requests_per_second = 100000
`;

/** Starts a program and waits for a text that it prints on one of its streams. */
async function start(program, args, options, stream, pattern) {
  const child = spawn(program, args, { ...options, stdio: ["ignore", "pipe", "pipe"] });
  const printed = new Promise((resolve, reject) => {
    let text = "";
    child[stream].setEncoding("utf8").on("data", (chunk) => {
      text += chunk;
      if (pattern.test(text)) resolve(text);
    });
    child.once("error", reject);
    child.once("exit", (code) => reject(new Error(`${program} ${args[0]} ended with ${code}: ${text}`)));
    setTimeout(() => reject(new Error(`${program} ${args[0]} did not start in time: ${text}`)), PATIENCE_MS).unref();
  });
  // What nobody reads would block it in the end.
  child[stream === "stdout" ? "stderr" : "stdout"].resume();
  return { child, text: await printed };
}

async function stop(child) {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const ended = once(child, "exit");
  child.kill("SIGTERM");
  await ended;
}

/** Starts both, with so many tenants and these settings besides. Gives the address of the service and what changes and asks for values. */
export async function startService(program, tenants, settings = "", { files = {}, credentials = {} } = {}) {
  const folder = await mkdtemp(join(tmpdir(), "quotagraph-subscriptions-"));
  const simulate = ["simulate", "--listen", "127.0.0.1:0", "--tenants", String(tenants)];
  const simulator = await start(program, simulate, { cwd: folder }, "stdout", /^export .*\n$/m);
  const upstream = simulator.text.match(/http:\/\/127\.0\.0\.1:\d+/)[0];
  const [config, secrets] = simulator.text.split("A quotagraph.toml for them:")[1].split("and their secrets");
  await writeFile(join(folder, "quotagraph.toml"), `${SETTINGS}${settings}\n${config}`);
  for (const [name, text] of Object.entries(files)) await writeFile(join(folder, name), text);
  const env = { PATH: process.env.PATH };
  for (const [, name, value] of secrets.matchAll(/^export (\w+)=(.*)$/gm)) env[name] = value;
  const ids = [...config.matchAll(/^id = "(.*)"$/gm)].map(([, id]) => id);

  const setValue = async (id, allocated) => {
    const body = JSON.stringify({ values: [{ type: 0, allocated_gb: allocated, total_gb: 1000 }] });
    const response = await fetch(`${upstream}/simulator/tenants/${id}`, { method: "PUT", body });
    if (!response.ok) throw new Error(await response.text());
  };
  for (const id of ids) await setValue(id, 0);
  const service = await start(program, ["serve"], { cwd: folder, env }, "stderr", /127\.0\.0\.1:\d+/);
  const port = Number(service.text.match(/127\.0\.0\.1:(\d+)/)[1]);

  const ask = async (query, variables) => {
    const headers = { "content-type": "application/json", ...credentials };
    const body = JSON.stringify({ query, variables });
    const answer = await (await fetch(`http://127.0.0.1:${port}/graphql`, { method: "POST", headers, body })).json();
    if (answer.errors) throw new Error(JSON.stringify(answer.errors));
    return answer.data;
  };
  const end = async () => {
    await stop(service.child);
    await stop(simulator.child);
    await rm(folder, { recursive: true });
  };
  return { port, ids, setValue, ask, end };
}
