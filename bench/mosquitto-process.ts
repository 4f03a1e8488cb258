// Debian's mosquitto as a broker to compare with, in a process of its own: no persistence, no log, no limits that slow it.

import { once } from "node:events";
import { writeFileSync } from "node:fs";
import { connect } from "node:net";
import { userInfo } from "node:os";
import { join } from "node:path";
import { startChild } from "../test/support/child.ts";
import { debianTool, type Tool, type ToolLookup } from "../test/support/debian-tool.ts";
import { freePort } from "../test/support/free-port.ts";
import { waitFor } from "../test/support/wait-for.ts";
import type { Cleanup } from "./cleanup.ts";
import { ProcessWatch } from "./process-watch.ts";
import type { MeasuredBroker } from "./scenario.ts";

const HOST = "127.0.0.1";

/** The machine's own, else one that is unpacked; see debian-tool.ts. */
export function findMosquitto(): Promise<ToolLookup> {
  return debianTool(["mosquitto"], "mosquitto");
}

/** Starts it on a free loopback port and waits until it listens. */
export async function startMosquitto(cleanup: Cleanup, tool: Tool, directory: string): Promise<MeasuredBroker> {
  const port = await freePort();
  const config = join(directory, "mosquitto.conf");
  writeFileSync(config, configuration(port));
  const child = startChild(cleanup, tool.path, ["-c", config], { env: tool.env });
  await waitFor(
    async () => {
      if (child.over) throw new Error(`mosquitto ended: ${child.stderr}`);
      return listens(port);
    },
    { what: "mosquitto to listen" },
  );
  const watch = new ProcessWatch(child.pid);
  cleanup.after(() => watch.stop());
  return {
    address: { host: HOST, port },
    watch,
    async stop(): Promise<void> {
      watch.stop();
      await child.stop();
    },
  };
}

function configuration(port: number): string {
  return [
    `listener ${port} ${HOST}`,
    "allow_anonymous true",
    "persistence false",
    "log_dest none",
    // 0: no limit. By default no more than 20 messages are in flight, fewer than a publisher here has under way.
    "max_inflight_messages 0",
    "max_queued_messages 0",
    // As the superuser it would become the user `mosquitto`, which only the installed package makes.
    `user ${userInfo().username}`,
    "",
  ].join("\n");
}

async function listens(port: number): Promise<boolean> {
  const socket = connect({ host: HOST, port });
  try {
    await once(socket, "connect");
    return true;
  } catch {
    return false;
  } finally {
    socket.destroy();
  }
}
