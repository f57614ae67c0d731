// Runs the audits of GraphQL over HTTP that the npm package graphql-http brings against `quotagraph demo`. Says which ones fail, and
// closes with a line that counts. The server's program is the first argument; by default it is the debug build.

import { spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { serverAudits } from "graphql-http";

const EXPECTED = 61;
const PATIENCE_MS = 60_000;

const program = process.argv[2] ?? fileURLToPath(new URL("../../target/debug/quotagraph", import.meta.url));

/** Starts the demo on any free port; gives its process and the address of its GraphQL. */
async function startServer() {
  const server = spawn(program, ["demo", "--tenants", "2", "--days", "1", "--listen", "127.0.0.1:0"], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  const address = new Promise((resolve, reject) => {
    const lines = createInterface({ input: server.stdout });
    lines.on("line", (line) => {
      const found = line.match(/http:\/\/127\.0\.0\.1:\d+\/graphql\b/);
      if (found) resolve(found[0]);
    });
    server.once("error", reject);
    server.once("exit", (code) => reject(new Error(`${program} ended with ${code} before it listened`)));
    setTimeout(() => reject(new Error(`${program} did not say its address in time`)), PATIENCE_MS).unref();
  });
  try {
    return { server, url: await address };
  } catch (error) {
    server.kill("SIGKILL");
    throw error;
  }
}

const { server, url } = await startServer();
let passed = 0;
let failed = 0;
try {
  for (const audit of serverAudits({ url })) {
    const result = await audit.fn();
    if (result.status === "ok") {
      passed += 1;
    } else {
      failed += 1;
      console.log(`${result.status}: ${audit.id} ${audit.name}: ${result.reason}`);
    }
  }
} finally {
  const ended = once(server, "exit");
  server.kill("SIGTERM");
  await ended;
}
if (passed + failed !== EXPECTED) {
  console.log(`expected ${EXPECTED} audits and found ${passed + failed}`);
}
console.log(`${passed} passed, ${failed} failed`);
process.exitCode = passed === EXPECTED && failed === 0 ? 0 : 1;
