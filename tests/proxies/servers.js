// The proxies, with the configs of docs/proxies.md and what a system's own main config has around them.

import { mkdir, writeFile } from "node:fs/promises";
import { userInfo } from "node:os";
import { join } from "node:path";
import { replaceAll } from "./blocks.js";
import { Program, freePort } from "./processes.js";

const user = userInfo().username;

/** A folder for a proxy with the certificate under the names that the docs have. */
async function folderFor(name, around, certificate) {
  const folder = join(around, name);
  await mkdir(join(folder, "conf.d"), { recursive: true });
  if (!certificate) return folder;
  await writeFile(join(folder, "quota.example.crt"), certificate.crt);
  await writeFile(join(folder, "quota.example.key"), certificate.key);
  await writeFile(join(folder, "quota.example.pem"), certificate.crt + certificate.key);
  return folder;
}

const upstreams = (replicas) => [
  ["127.0.0.1:8081", `127.0.0.1:${replicas[0].port}`],
  ["127.0.0.1:8082", `127.0.0.1:${replicas[1].port}`],
];

const nginxMain = (folder, http) => `
daemon off;
${user === "root" ? "user root;" : ""}
worker_processes 2;
pid nginx.pid;
error_log stderr;
events {}
http {
    access_log off;
    ${["client_body", "proxy", "fastcgi", "uwsgi", "scgi"].map((of) => `${of}_temp_path ${of}_temp;`).join(" ")}
    ${http}
}
`;

async function startNginx(folder, port) {
  const nginx = new Program("nginx", ["-p", folder, "-c", join(folder, "nginx.conf"), "-e", "stderr"]);
  await nginx.listensOn(port);
  return nginx;
}

const apacheModules = [
  ["mpm_event", "authz_core"],
  ["proxy", "proxy_http", "proxy_balancer", "lbmethod_byrequests", "lbmethod_bybusyness", "slotmem_shm", "proxy_hcheck"],
  ["headers", "ssl", "socache_shmcb", "http2"],
].flat();

const apacheMain = (folder, listen) => `
ServerRoot ${folder}
ServerName localhost
DefaultRuntimeDir ${folder}
PidFile apache.pid
ErrorLog "|/bin/cat"
${user === "root" ? "User www-data\nGroup www-data" : ""}
${apacheModules.map((name) => `LoadModule ${name}_module /usr/lib/apache2/modules/mod_${name}.so`).join("\n")}
Listen 127.0.0.1:${listen}
`;

async function startApache(folder, port, config) {
  await writeFile(join(folder, "apache2.conf"), apacheMain(folder, port) + config);
  const apache = new Program("apache2", ["-f", join(folder, "apache2.conf"), "-DFOREGROUND"]);
  await apache.listensOn(port);
  return apache;
}

/** With the configs of the docs. Each is given by its port, and ends. */
export const PROXIES = {
  nginx: {
    files: ["/etc/nginx/quotagraph.inc", "/etc/nginx/conf.d/quotagraph.conf"],
    async start([include, servers], replicas, around, certificate) {
      const port = await freePort();
      const folder = await folderFor("nginx", around, certificate);
      await writeFile(join(folder, "quotagraph.inc"), include);
      const ports = [...upstreams(replicas), ["listen 443 ", `listen 127.0.0.1:${port} `]];
      await writeFile(join(folder, "conf.d", "quotagraph.conf"), replaceAll(servers, ports));
      await writeFile(join(folder, "nginx.conf"), nginxMain(folder, "include conf.d/*.conf;"));
      return { port, process: await startNginx(folder, port) };
    },
  },
  haproxy: {
    onlyHttp1: true,
    files: ["/etc/haproxy/haproxy.cfg"],
    async start([config], replicas, around, certificate) {
      const port = await freePort();
      const folder = await folderFor("haproxy", around, certificate);
      const places = [...upstreams(replicas), ["bind :443 ", `bind 127.0.0.1:${port} `], ["/etc/haproxy/quota", join(folder, "quota")]];
      await writeFile(join(folder, "haproxy.cfg"), replaceAll(config, places));
      const process = new Program("haproxy", ["-db", "-f", join(folder, "haproxy.cfg")]);
      await process.listensOn(port);
      return { port, process };
    },
  },
  apache: {
    files: ["/etc/apache2/sites-available/quotagraph.conf"],
    async start([config], replicas, around, certificate) {
      const port = await freePort();
      const folder = await folderFor("apache", around, certificate);
      const places = [...upstreams(replicas), ["<VirtualHost *:443>", `<VirtualHost *:${port}>`], ["/etc/apache2/quota", join(folder, "quota")]];
      return { port, process: await startApache(folder, port, replaceAll(config, places)) };
    },
  },
  caddy: {
    // Debian's ends what broke off as if it were whole, as the docs say.
    hidesCuts: true,
    files: ["/etc/caddy/Caddyfile"],
    async start([config], replicas, around, certificate) {
      const [port, plain] = [await freePort(), await freePort()];
      const folder = await folderFor("caddy", around, certificate);
      // Its certificates would come from the internet.
      const here = `{\n\tadmin off\n\tlocal_certs\n\tskip_install_trust\n\tgrace_period 1s\n\thttps_port ${port}\n\thttp_port ${plain}\n}\n`;
      await writeFile(join(folder, "Caddyfile"), here + replaceAll(config, upstreams(replicas)));
      const env = { PATH: process.env.PATH, HOME: folder, XDG_DATA_HOME: folder, XDG_CONFIG_HOME: folder };
      const program = new Program("caddy", ["run", "--adapter", "caddyfile", "--config", join(folder, "Caddyfile")], { env });
      await program.listensOn(port);
      return { port, process: program };
    },
  },
};

/** With one line each, over plain HTTP. */
export const BARE = {
  async nginx(replica, around) {
    const port = await freePort();
    const folder = await folderFor("bare-nginx", around);
    const server = `server { listen 127.0.0.1:${port}; location / { proxy_pass http://127.0.0.1:${replica.port}; } }`;
    await writeFile(join(folder, "nginx.conf"), nginxMain(folder, server));
    return { port, process: await startNginx(folder, port) };
  },
  async apache(replica, around) {
    const port = await freePort();
    const folder = await folderFor("bare-apache", around);
    return { port, process: await startApache(folder, port, `ProxyPass / http://127.0.0.1:${replica.port}/\n`) };
  },
};
