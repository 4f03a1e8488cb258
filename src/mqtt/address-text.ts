// How the host and the port of a server are written in one text.

/** `127.0.0.1:1883` or `[::1]:1883`. */
export function addressText({ host, port }: { readonly host: string; readonly port: number }): string {
  return `${host.includes(":") ? `[${host}]` : host}:${port}`;
}
