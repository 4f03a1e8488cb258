// Certificates for tests, made by the openssl command: Node can read certificates but not make them.

import { join } from "node:path";
import { runChild } from "./child.ts";
import { debianTool } from "./debian-tool.ts";

const openssl = await debianTool(["openssl"], "openssl");

/** Why no certificates can be made; undefined: they can. Give it to a test's `skip`. */
export const certificatesMissing: string | undefined = openssl.missing;
if (certificatesMissing !== undefined) console.error(`TLS IS NOT TESTED: ${certificatesMissing}`);

/** Paths of a certificate and its key, in PEM. */
export interface CertificateFiles {
  readonly certfile: string;
  readonly keyfile: string;
}

/** Makes an authority, whose certificate signs itself. */
export function makeAuthority(directory: string, name: string): Promise<CertificateFiles> {
  return make(directory, name, ["-addext", "basicConstraints=critical,CA:TRUE"]);
}

/** Makes a certificate for localhost and 127.0.0.1, or other names, that the authority signs; replaces the one of that name. */
export function makeCertificate(
  directory: string,
  name: string,
  { certfile, keyfile }: CertificateFiles,
  names = "DNS:localhost,IP:127.0.0.1",
): Promise<CertificateFiles> {
  const extensions = [`subjectAltName=${names}`, "basicConstraints=critical,CA:FALSE"];
  const args = extensions.flatMap((extension) => ["-addext", extension]);
  return make(directory, name, ["-CA", certfile, "-CAkey", keyfile, ...args]);
}

async function make(directory: string, name: string, args: readonly string[]): Promise<CertificateFiles> {
  const { tool } = openssl;
  if (tool === undefined) throw new Error(openssl.missing);
  const certfile = join(directory, `${name}.pem`);
  const keyfile = join(directory, `${name}.key`);
  const key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", keyfile];
  const all = ["req", "-x509", ...key, "-out", certfile, "-days", "2", "-subj", `/CN=${name}`, ...args];
  const { code, stderr } = await runChild(tool.path, all, { env: tool.env });
  if (code !== 0) throw new Error(`openssl: ${stderr}`);
  return { certfile, keyfile };
}
