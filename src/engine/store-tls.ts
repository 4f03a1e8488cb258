// What the section `ssl` of a store's configuration means.

import { dirname, resolve } from "node:path";
import type { Backend, PluginConfig } from "../plugin/config.ts";
import type { StoreTlsOptions } from "../store/tls.ts";

/** TLS to the database server; undefined: none. Relative paths are seen from the folder of the plugin's configuration. */
export function storeTls(config: PluginConfig, backend: Backend, configPath: string): StoreTlsOptions | undefined {
  if (backend === "sqlite" || !config[backend].ssl.enable) return undefined;
  const { cacertfile, certfile, keyfile, verify, server_name_indication } = config[backend].ssl;
  const path = (file: string) => (file === "" ? undefined : resolve(dirname(configPath), file));
  return {
    cacertfile: path(cacertfile),
    certfile: path(certfile),
    keyfile: path(keyfile),
    verify,
    serverNameIndication: server_name_indication,
  };
}
