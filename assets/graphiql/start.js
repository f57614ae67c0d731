// Starts the IDE. Addresses are relative, so that the page also works behind a proxy that puts a path before ours.

const QUOTA = `# What is allocated of the total.
# Ctrl-Enter runs it.
# One of several tenants:
#   tenant(id: "acme")
# API keys go into Headers below:
#   { "X-Api-Key": "…" }
query Quota {
  tenant {
    spaceAllocation {
      allocated
      total
      utilization
    }
  }
}
`;

const TENANTS = `# Every tenant, the fullest first.
query Tenants {
  tenants(first: 50, orderBy: { by: UTILIZATION, direction: DESC }) {
    totalCount
    nodes {
      id
      name
      labels { key value }
      spaceAllocation {
        allocated(unit: TB)
        total(unit: TB)
        utilization
        observedAt
        source
        byType { spaceType allocated total }
      }
      collection { lastSuccessAt nextAttemptAt lastError { code message at } }
    }
    pageInfo { hasNextPage endCursor }
  }
}
`;

const USAGE = `# Usage over time, day by day.
# Its variables are below.
# One of several tenants:
#   tenant(id: "acme")
query Usage($from: DateTime!, $interval: Duration!, $timeZone: String!) {
  tenant {
    name
    usageOverTime(from: $from, interval: $interval, timeZone: $timeZone) {
      coverage
      points {
        start
        end
        complete
        coverage
        allocated { average min max last }
        utilization { average }
      }
    }
  }
}
`;

const CHANGES = `# Each change of a tenant's values:
# those of the last day, then live.
subscription Changes($since: DateTime) {
  spaceAllocationChanged(since: $since) {
    tenant { id name }
    before { allocated total }
    after { allocated total utilization observedAt }
    recordedAt
  }
}
`;

const dayAgo = new Date(Date.now() - 86_400_000).toISOString();
const monthAgo = new Date(Date.now() - 30 * 86_400_000).toISOString().slice(0, 10) + "T00:00:00Z";
const url = new URL("graphql", location.href).href;
const timeZone = Intl.DateTimeFormat().resolvedOptions().timeZone || "UTC";

const socketUrl = url.replace(/^http/, "ws");
// Subscriptions go over a WebSocket, whose first message brings what stands in the Headers tab.
const ask = GraphiQL.createFetcher({ url, subscriptionUrl: socketUrl });
let socketsWork;

/** The operation of a document that is to be executed. */
function operationOf(params, document) {
  const operations = (document?.definitions ?? []).filter(({ kind }) => kind === "OperationDefinition");
  return operations.find(({ name }) => !params.operationName || name?.value === params.operationName);
}

async function fetcher(params, options) {
  if (operationOf(params, options?.documentAST)?.operation !== "subscription") return ask(params, options);
  // Not every proxy passes them on, or tells by which host it was called.
  socketsWork ??= canConnect(socketUrl);
  return (await socketsWork) ? ask(params, options) : subscribeByEvents(url, params, options.headers);
}

// Tab goes on to the next control, as everywhere on a page: the editor would keep whoever uses the keyboard alone.
document.addEventListener(
  "keydown",
  (event) => {
    if (event.key === "Tab" && event.target.closest?.(".CodeMirror")) event.stopPropagation();
  },
  true,
);

ReactDOM.createRoot(document.getElementById("graphiql")).render(
  React.createElement(
    GraphiQL,
    {
      fetcher,
      isHeadersEditorEnabled: true,
      shouldPersistHeaders: false, // keys do not stay in the browser's storage
      defaultQuery: QUOTA,
      defaultTabs: [
        { query: QUOTA },
        { query: TENANTS },
        { query: USAGE, variables: JSON.stringify({ from: monthAgo, interval: "P1D", timeZone }, null, 2) },
        { query: CHANGES, variables: JSON.stringify({ since: dayAgo }, null, 2) },
      ],
    },
    React.createElement(GraphiQL.Logo, null, "quotagraph"),
  ),
);
