// A way to the service that can be broken.

import { once } from "node:events";
import { connect, createServer } from "node:net";

/** Opens a way to a port. `breakAll` cuts off every connection that goes by it, whatever is on its way. */
export async function openWay(target) {
  const sockets = new Set();
  const server = createServer((client) => {
    const service = connect(target, "127.0.0.1");
    for (const [from, to] of [[client, service], [service, client]]) {
      sockets.add(from);
      from.on("error", () => {});
      from.on("close", () => {
        sockets.delete(from);
        to.destroy();
      });
      from.pipe(to);
    }
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const breakAll = () => {
    for (const socket of sockets) socket.destroy();
  };
  const close = () => {
    breakAll();
    server.close();
  };
  return { port: server.address().port, breakAll, close };
}
