// Reads the servers of a configuration: `host:port`, several of them separated by commas.

export interface ServerAddress {
  readonly host: string;
  readonly port: number;
}

const SERVER = /^(?:\[([0-9A-Fa-f:.]+)\]|([A-Za-z0-9._-]+))(?::(\d{1,5}))?$/;
const MAX_PORT = 65_535;

/**
 * The servers in their order; undefined when the text is no list of them. An IPv6 address stands in brackets; a host name
 * has only letters, digits, dots, hyphens and underscores.
 */
export function parseServers(text: string, defaultPort: number): ServerAddress[] | undefined {
  const servers: ServerAddress[] = [];
  for (const part of text.split(",")) {
    const [, ipv6, name, portText] = SERVER.exec(part.trim()) ?? [];
    const host = ipv6 ?? name;
    const port = portText === undefined ? defaultPort : Number(portText);
    if (host === undefined || port < 1 || port > MAX_PORT) return undefined;
    servers.push({ host, port });
  }
  return servers;
}
