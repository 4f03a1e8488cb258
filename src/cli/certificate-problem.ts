// Says in the words of the configuration file why a certificate cannot be used, before anything is started.

import { readCertificates } from "../broker/certificates.ts";
import { CertificateError } from "../broker/errors.ts";
import type { BrokerSettings } from "./broker-settings.ts";
import { ConfigFileError } from "./cli-error.ts";
import { problemsError } from "./config-file.ts";
import { brokerOptions } from "./omp-config.ts";

/** Sees that the certificates of the enabled listeners can be used. Rejects with `ConfigFileError`. */
export async function checkCertificates({ config, ompFile }: BrokerSettings): Promise<void> {
  const { ssl, wss } = brokerOptions(config);
  for (const [type, options] of Object.entries({ ssl, wss })) {
    if (options === undefined) continue;
    try {
      await readCertificates(options.tls);
    } catch (error) {
      if (!(error instanceof CertificateError) || ompFile === undefined) throw error;
      const path = ["listeners", type, "default", "ssl_options", error.option];
      throw problemsError(ompFile, [{ path, message: `${path.join(".")}: ${error.message}` }]);
    }
  }
}

/** The same for a file that was good a moment ago. */
export function certificateProblem(error: CertificateError): ConfigFileError {
  return new ConfigFileError([error.message], { cause: error });
}
