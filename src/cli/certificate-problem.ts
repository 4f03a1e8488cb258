// Says in the words of the configuration file why a certificate cannot be used, before anything is started.

import { CertificateError, type CertificateFiles, readCertificates } from "../tls/certificates.ts";
import type { BrokerSettings } from "./broker-settings.ts";
import { ConfigFileError } from "./cli-error.ts";
import { type ConfigFile, problemsError } from "./config-file.ts";
import { managementOptions } from "./dashboard-config.ts";
import { brokerOptions } from "./omp-config.ts";

/** Sees that the certificates of the enabled listeners can be used. Rejects with `ConfigFileError`. */
export async function checkCertificates({ config, ompFile }: BrokerSettings): Promise<void> {
  const { ssl, wss } = brokerOptions(config);
  for (const [type, options] of Object.entries({ ssl, wss })) {
    if (options !== undefined) await check(options.tls, ompFile, ["listeners", type, "default", "ssl_options"]);
  }
  const https = managementOptions(config.dashboard, config.prometheus)?.https;
  if (https !== undefined) await check(https.tls, ompFile, ["dashboard", "listeners", "https", "ssl_options"]);
}

/** `section`: where in the file the options stand. */
async function check(files: CertificateFiles, file: ConfigFile | undefined, section: readonly string[]): Promise<void> {
  try {
    await readCertificates(files);
  } catch (error) {
    if (!(error instanceof CertificateError) || file === undefined) throw error;
    const path = [...section, error.option];
    throw problemsError(file, [{ path, message: `${path.join(".")}: ${error.message}` }]);
  }
}

/** The same for a file that was good a moment ago. */
export function certificateProblem(error: CertificateError): ConfigFileError {
  return new ConfigFileError([error.message], { cause: error });
}
