// What the documents' commands run against: a demo, and a folder with a config for simulated tenants.

import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

const PATIENCE_MS = 120_000; // after this a command is a failure

// Nobody balances here, and other programs may have the ports that the documents name.
const SETTINGS = 'server.listen = "127.0.0.1:0"\nserver.drain_delay = "0s"\n';

const running = new Set();
// They have process groups of their own, so that a shell ends together with what it has started.
process.on("exit", () => running.forEach((signal) => signal("SIGKILL")));
for (const name of ["SIGINT", "SIGTERM"]) process.once(name, () => process.exit(1));

/** Starts a process. `text()` is what it has printed; `until(pattern)` waits for a match in that; `end(signal)` gives its exit code. */
export function start(program, args, options = {}) {
  const child = spawn(program, args, { ...options, stdio: ["ignore", "pipe", "pipe"], detached: true });
  const printed = { stdout: "", stderr: "" };
  for (const name of ["stdout", "stderr"]) child[name].setEncoding("utf8").on("data", (part) => (printed[name] += part));
  const signal = (name) => {
    try {
      process.kill(-child.pid, name); // the shell and what it has started
    } catch {} // all of them have ended
  };
  running.add(signal);
  let late = false;
  const giveUpLater = () =>
    setTimeout(() => {
      late = true;
      signal("SIGKILL");
    }, PATIENCE_MS);
  let watchdog = giveUpLater();
  const closed = once(child, "close").then(([code]) => {
    clearTimeout(watchdog);
    running.delete(signal);
    if (late) throw new Error(`it did not end or print what it should in time:\n${printed.stdout}${printed.stderr}`);
    return code;
  });
  closed.catch(() => {});
  return {
    printed,
    closed,
    text: () => printed.stdout + printed.stderr,
    until(pattern) {
      return new Promise((done, failed) => {
        const look = () => {
          const found = pattern.exec(this.text());
          if (!found) return;
          clearTimeout(watchdog); // until it is told to end
          done(found);
        };
        for (const name of ["stdout", "stderr"]) child[name].on("data", look);
        closed.then((code) => failed(new Error(`it ended with ${code}:\n${this.text()}`)), failed);
        look();
      });
    },
    end(name) {
      clearTimeout(watchdog);
      watchdog = giveUpLater();
      signal(name);
      return closed;
    },
  };
}

/** Waits until the demo has asked every tenant once: values of its made-up history come from the database, and not from the cache. */
async function untilCollected(address) {
  const query = encodeURIComponent("{ tenants { nodes { spaceAllocation { source } } } }");
  const deadline = Date.now() + PATIENCE_MS;
  for (;;) {
    const answer = await fetch(`http://${address}/graphql?query=${query}`, { signal: AbortSignal.timeout(PATIENCE_MS) });
    const { nodes } = (await answer.json()).data.tenants;
    if (nodes.every((node) => node.spaceAllocation?.source === "CACHE")) return;
    if (Date.now() > deadline) throw new Error("the demo has not asked every tenant in time");
  }
}

/** Starts a demo as `quotagraph demo` does, and a simulated KooDrive. */
export async function openSite(program) {
  const folder = mkdtempSync(join(tmpdir(), "quotagraph-docs-"));
  const [home, bin] = ["home", "bin"].map((name) => join(folder, name));
  [home, bin].forEach((path) => mkdirSync(path));
  symlinkSync(program, join(bin, "quotagraph"));
  // What the service refuses is a failure of curl.
  writeFileSync(join(home, ".curlrc"), "fail-with-body\n");
  const env = { PATH: `${bin}:${process.env.PATH}`, HOME: home, CURL_HOME: home, LC_ALL: "C", TMPDIR: tmpdir() };

  const simulator = start(program, ["simulate", "--listen", "127.0.0.1:0"], { cwd: home, env });
  await simulator.until(/^export BLUEWATER_APP_SECRET=.*\n/m);
  const [tenants, secrets] = simulator.text().split("A quotagraph.toml for them:")[1].split("and their secrets");
  for (const [, name, value] of secrets.matchAll(/^export (\w+)=(.*)$/gm)) env[name] = value;

  const demo = start(program, ["demo", "--listen", "127.0.0.1:0"], { cwd: home, env });
  const [, address] = await demo.until(/GraphQL +http:\/\/(127\.0\.0\.1:\d+)\/graphql\b[^]*Ctrl-C ends it/);
  await untilCollected(address);

  let folders = 0;
  return {
    env,
    address,
    /** A new folder with a config; of the simulated tenants unless it has some. */
    folder(config = SETTINGS) {
      const path = join(folder, `site-${folders++}`);
      mkdirSync(path);
      writeFileSync(join(path, "quotagraph.toml"), /^\[\[tenants\]\]/m.test(config) ? config : `${config}\n${tenants}`);
      return path;
    },
    empty() {
      const path = join(folder, `site-${folders++}`);
      mkdirSync(path);
      return path;
    },
    async close() {
      const codes = await Promise.all([demo.end("SIGINT"), simulator.end("SIGINT")]);
      rmSync(folder, { recursive: true });
      if (codes.some((code) => code !== 0)) throw new Error(`the demo and the simulator ended with ${codes}`);
    },
  };
}
