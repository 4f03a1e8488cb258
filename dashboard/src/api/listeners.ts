// Where the broker speaks MQTT over WebSocket.

import { ask } from "./request.ts";

export interface MqttListener {
  readonly type: "tcp" | "ssl" | "ws" | "wss";
  /** HOST:PORT. */
  readonly bind: string;
  readonly websocket?: { readonly mqtt_path: string };
}

/** Of the broker, as this page reaches it; undefined: it has no listener that this page may use. */
export async function webSocketUrl({ protocol, hostname }: Location): Promise<string | undefined> {
  const listeners = await ask<MqttListener[]>({ path: "/listeners" });
  // A page that came over TLS may connect over TLS only.
  const types = protocol === "https:" ? (["wss"] as const) : (["ws", "wss"] as const);
  const [found] = types.flatMap((wanted) => listeners.filter(({ type }) => type === wanted));
  if (found === undefined) return undefined;
  const port = found.bind.slice(found.bind.lastIndexOf(":") + 1);
  return `${found.type}://${hostname}:${port}${found.websocket?.mqtt_path ?? "/mqtt"}`;
}
