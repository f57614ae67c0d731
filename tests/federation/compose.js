// Composes the subgraph that `quotagraph schema --federation` prints with one of a billing service that extends its tenants, as a router would.
// The program is the first argument; by default it is the debug build. Closes with a line that counts.

import { execFileSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import { composeServices } from "@apollo/composition";
import { parse } from "graphql";

const program = process.argv[2] ?? fileURLToPath(new URL("../../target/debug/quotagraph", import.meta.url));

const billing = `
  extend schema @link(url: "https://specs.apollo.dev/federation/v2.5", import: ["@key", "@shareable"])
  type Query { invoices: [Invoice!]! }
  type Invoice { number: ID! tenant: Tenant! }
  type Tenant @key(fields: "id") { id: ID! plan: String! }
  type PageInfo @shareable { hasNextPage: Boolean! hasPreviousPage: Boolean! startCursor: String endCursor: String }
`;

const quota = execFileSync(program, ["schema", "--federation"], { encoding: "utf8" });
const { errors, supergraphSdl } = composeServices([
  { name: "quota", url: "http://quota.example/graphql", typeDefs: parse(quota) },
  { name: "billing", url: "http://billing.example/graphql", typeDefs: parse(billing) },
]);

const faults = (errors ?? []).map((error) => error.message);
if (faults.length === 0) {
  const tenant = supergraphSdl.match(/type Tenant\b[^}]*}/)?.[0] ?? "";
  for (const part of ['@join__type(graph: QUOTA, key: "id")', '@join__type(graph: BILLING, key: "id")', "spaceAllocation", "plan: String!"]) {
    if (!tenant.includes(part)) faults.push(`the composed Tenant lacks ${part}:\n${tenant}`);
  }
}
for (const fault of faults) console.error(fault);
console.log(`${faults.length === 0 ? 1 : 0} passed, ${faults.length === 0 ? 0 : 1} failed`);
process.exitCode = faults.length === 0 ? 0 : 1;
