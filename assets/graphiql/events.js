// Subscriptions by server-sent events, for where a WebSocket cannot be had. They are requests like any other, so they pass proxies that hand on
// neither WebSockets nor the host by which they were called, and the browser tells the service that the page is its own.

const FIRST_PAUSE_MS = 500;
const LONGEST_PAUSE_MS = 10_000;

/** Whether a WebSocket opens. */
function canConnect(url) {
  return new Promise((resolve) => {
    const socket = new WebSocket(url, "graphql-transport-ws");
    socket.onopen = () => {
      resolve(true);
      socket.close();
    };
    socket.onerror = () => resolve(false);
  });
}

/** The events of a stream, as they come: their name, their data, and the id of the last one that had any. */
async function* readEvents(body) {
  let text = "";
  let id;
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    text += value;
    const blocks = text.split("\n\n");
    text = blocks.pop();
    for (const block of blocks) {
      const event = { name: "message", data: "" };
      for (const line of block.split("\n")) {
        const [, field, content] = /^([a-z]+): ?(.*)$/.exec(line) ?? [];
        if (field === "event") event.name = content;
        if (field === "data") event.data += content;
        if (field === "id") id = content;
      }
      yield { ...event, id };
    }
  }
}

/** Follows a subscription over one connection after another, until it is completed, refused, or nobody wants it any more. */
async function follow(url, params, headers, signal, observer) {
  let lastId;
  let pause = FIRST_PAUSE_MS;
  while (!signal.aborted) {
    try {
      const resumption = lastId === undefined ? {} : { "Last-Event-ID": lastId };
      const response = await fetch(url, {
        method: "POST",
        headers: { ...headers, ...resumption, "Content-Type": "application/json", Accept: "text/event-stream" },
        body: JSON.stringify(params),
        signal,
      });
      if (response.status < 500 && !response.headers.get("Content-Type")?.startsWith("text/event-stream")) {
        return observer.next(await response.json());
      }
      if (response.ok) {
        for await (const { name, data, id } of readEvents(response.body)) {
          lastId = id;
          pause = FIRST_PAUSE_MS;
          if (name === "next") observer.next(JSON.parse(data));
          if (name === "complete") return;
        }
      }
    } catch (error) {
      // A connection that broke is tried again; whatever else went wrong is shown.
      if (!signal.aborted && !(error instanceof TypeError)) throw error;
    }
    await new Promise((resolve) => setTimeout(resolve, pause));
    pause = Math.min(2 * pause, LONGEST_PAUSE_MS);
  }
}

/** A subscription in the form that GraphiQL wants. */
function subscribeByEvents(url, params, headers) {
  return {
    subscribe(observer) {
      const abort = new AbortController();
      follow(url, params, headers, abort.signal, observer).then(
        () => abort.signal.aborted || observer.complete(),
        (error) => abort.signal.aborted || observer.error(error),
      );
      return { unsubscribe: () => abort.abort() };
    },
  };
}
