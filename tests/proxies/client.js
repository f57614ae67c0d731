// What browsers and programs do, towards a proxy: requests, WebSockets, event streams, exports. Names are resolved here.

import http from "node:http";
import http2 from "node:http2";
import https from "node:https";
import WebSocket from "ws";
import { KEY } from "./service.js";

/** Programs call from here, proxies call the service from 127.0.0.1. */
export const CLIENT_ADDRESS = "127.0.0.2";

/** A site as a browser sees it: the proxy's port, the name in the address bar, and the path before ours. */
export class Site {
  constructor(port, host, prefix = "", scheme = "https") {
    Object.assign(this, { port, prefix, scheme, authority: `${host}:${port}`, origin: `${scheme}://${host}:${port}` });
    this.tls = scheme === "https" ? { servername: host, rejectUnauthorized: false } : {};
    this.agent = new (scheme === "https" ? https : http).Agent({ keepAlive: true, localAddress: CLIENT_ADDRESS, ...this.tls });
  }

  /** Begins a request; gives the answer once its head is there. */
  open(path, { method = "GET", headers = {}, body, agent = this.agent } = {}) {
    return new Promise((resolve, reject) => {
      const options = { host: "127.0.0.1", port: this.port, path: this.prefix + path, method, agent };
      const request = (this.scheme === "https" ? https : http).request(
        { ...options, headers: { Host: this.authority, "X-Api-Key": KEY, ...headers } },
        (answer) => resolve(Object.assign(answer, { request })),
      );
      request.on("error", reject);
      request.end(body);
    });
  }

  /** A whole answer. */
  async fetch(path, options) {
    const answer = await this.open(path, options);
    const chunks = [];
    for await (const chunk of answer) chunks.push(chunk);
    return { status: answer.statusCode, headers: answer.headers, text: Buffer.concat(chunks).toString() };
  }

  /** The answer to a document by POST. */
  async ask(query, headers = {}) {
    const body = JSON.stringify({ query });
    return this.fetch("/graphql", { method: "POST", headers: { "Content-Type": "application/json", ...headers }, body });
  }

  /** A WebSocket of a page of an origin: its messages, or the status with which it is refused. */
  socket(origin, headers = {}) {
    const url = `${this.scheme === "https" ? "wss" : "ws"}://127.0.0.1:${this.port}${this.prefix}/graphql`;
    const options = { origin, headers: { Host: this.authority, ...headers }, localAddress: CLIENT_ADDRESS, ...this.tls };
    const socket = new WebSocket(url, ["graphql-transport-ws"], options);
    const messages = [];
    return new Promise((resolve, reject) => {
      socket.on("message", (text) => messages.push(JSON.parse(text)));
      socket.on("open", () => resolve({ socket, messages, say: (message) => socket.send(JSON.stringify(message)) }));
      socket.on("unexpected-response", (_, answer) => {
        let text = "";
        answer.on("data", (chunk) => (text += chunk)).on("end", () => resolve({ status: answer.statusCode, text }));
      });
      socket.on("error", reject);
    });
  }

  /** An event stream: its text so far, and when each part came. */
  async events(query) {
    const headers = { Accept: "text/event-stream", "Accept-Encoding": "gzip, br, zstd" };
    const answer = await this.open(`/graphql?query=${encodeURIComponent(query)}`, { headers, ...this.direct() });
    const stream = { status: answer.statusCode, headers: answer.headers, text: "", times: [Date.now()], isOver: false, answer };
    answer.setEncoding("utf8").on("data", (text) => {
      stream.text += text;
      stream.times.push(Date.now());
    });
    answer.on("error", () => {}).on("close", () => (stream.isOver = true));
    return stream;
  }

  /** A connection of its own. */
  direct() {
    return { agent: new (this.scheme === "https" ? https : http).Agent({ localAddress: CLIENT_ADDRESS, ...this.tls }) };
  }

  /** An export by HTTP/1.1 that is read as fast as it comes: how it ended. */
  async export(path) {
    const answer = await this.open(path, this.direct());
    const file = { status: answer.statusCode, bytes: 0 };
    file.end = new Promise((resolve) => {
      answer.on("data", (chunk) => (file.bytes += chunk.length));
      answer.on("error", () => {}).on("close", () => resolve(answer.complete ? "whole" : "cut"));
    });
    return file;
  }

  /** The same by HTTP/2. */
  async export2(path) {
    const session = http2.connect(`https://127.0.0.1:${this.port}`, this.tls);
    const stream = session.request({ ":path": this.prefix + path, ":authority": this.authority, "x-api-key": KEY });
    const file = { bytes: 0 };
    let failed = false;
    session.on("error", () => (failed = true));
    stream.on("error", () => (failed = true));
    file.end = new Promise((resolve) => {
      stream.on("data", (chunk) => (file.bytes += chunk.length));
      stream.on("close", () => {
        session.destroy();
        resolve(failed || stream.rstCode !== 0 || !stream.readableEnded ? "cut" : "whole");
      });
    });
    file.status = await new Promise((resolve) => {
      stream.on("response", (head) => resolve(head[":status"]));
      stream.on("close", () => resolve(0));
    });
    return file;
  }
}
