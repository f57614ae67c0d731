// Programs that are started and ended.

import { spawn } from "node:child_process";
import { once } from "node:events";
import { connect, createServer } from "node:net";

export const PATIENCE_MS = 60_000;

const running = new Set();
// However this process ends, nothing stays behind.
process.on("exit", () => running.forEach((child) => child.kill("SIGTERM")));
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) process.on(signal, () => process.exit(1));

export const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

/** Waits until something holds, and gives it. */
export async function until(what, holds, patience = PATIENCE_MS) {
  const deadline = Date.now() + patience;
  for (;;) {
    const found = await holds();
    if (found) return found;
    if (Date.now() > deadline) throw new Error(`${what} did not come within ${patience} ms`);
    await pause(20);
  }
}

/** A port that nobody listens on. */
export async function freePort() {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address();
  server.close();
  await once(server, "close");
  return port;
}

async function listens(port) {
  const socket = connect(port, "127.0.0.1");
  try {
    await once(socket, "connect");
    return true;
  } catch {
    return false;
  } finally {
    socket.destroy();
  }
}

/** A program that runs; what it prints is kept. */
export class Program {
  constructor(program, args, options) {
    this.name = program;
    this.printed = "";
    this.child = spawn(program, args, { ...options, stdio: ["ignore", "pipe", "pipe"] });
    running.add(this.child);
    for (const stream of [this.child.stdout, this.child.stderr]) {
      stream.setEncoding("utf8").on("data", (text) => (this.printed += text));
    }
    this.ended = new Promise((resolve) => {
      this.child.once("error", (error) => {
        this.printed += error;
        resolve();
      });
      this.child.once("exit", resolve);
    }).then(() => running.delete(this.child));
    this.ended.then(() => (this.isOver = true));
  }

  /** Waits for a text that it prints. */
  async says(pattern) {
    await until(`${pattern} of ${this.name}`, () => {
      if (this.isOver) throw new Error(`${this.name} ended: ${this.printed}`);
      return pattern.test(this.printed);
    });
    return this.printed;
  }

  /** Waits until it listens. */
  async listensOn(port) {
    await until(`${this.name} on ${port}`, () => {
      if (this.isOver) throw new Error(`${this.name} ended: ${this.printed}`);
      return listens(port);
    });
  }

  /** Ends it, at once if it does not do so by itself. */
  async end(signal = "SIGTERM") {
    if (!this.isOver) this.child.kill(signal);
    const timer = setTimeout(() => this.child.kill("SIGKILL"), PATIENCE_MS / 2);
    await this.ended;
    clearTimeout(timer);
  }
}

/** Runs a program to its end and gives what it printed. */
export async function run(program, args, { input = "", ...options } = {}) {
  const child = spawn(program, args, { ...options, stdio: ["pipe", "pipe", "pipe"] });
  let [text, errors] = ["", ""];
  child.stdout.setEncoding("utf8").on("data", (chunk) => (text += chunk));
  child.stderr.setEncoding("utf8").on("data", (chunk) => (errors += chunk));
  child.stdin.end(input);
  const [code] = await once(child, "close");
  if (code !== 0) throw new Error(`${program} ${args.join(" ")} ended with ${code}: ${errors}`);
  return text;
}
