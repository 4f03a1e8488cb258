// Where MQTT clients connect to, by EMQX's names: a web page learns from it where MQTT over WebSocket is spoken.

import type { TypeBoxTypeProvider } from "@fastify/type-provider-typebox";
import type { FastifyInstance } from "fastify";
import { type Static, Type } from "typebox";
import type { Broker } from "../../broker/broker.ts";
import { addressText } from "../../mqtt/address-text.ts";
import { oneOf } from "../schemas.ts";

/** All are called so. */
const NAME = "default";

const TYPES = ["tcp", "ssl", "ws", "wss"] as const;

const ListenerOfMqtt = Type.Object({
  id: Type.String({ description: "TYPE:NAME" }),
  type: oneOf(TYPES),
  name: Type.String(),
  bind: Type.String({ description: "HOST:PORT; the port is the one that is bound" }),
  running: Type.Boolean(),
  websocket: Type.Optional(Type.Object({ mqtt_path: Type.String() })),
});

export type ListenersBroker = Pick<Broker, "addresses" | "options">;

export async function listenerRoutes(app: FastifyInstance, broker: ListenersBroker): Promise<void> {
  const api = app.withTypeProvider<TypeBoxTypeProvider>();
  const list = {
    summary: "Where MQTT clients connect to",
    tags: ["Listeners"],
    response: { 200: Type.Array(ListenerOfMqtt) },
  };
  api.get("/api/v5/listeners", { schema: list }, async () => listenersJson(broker));
}

function listenersJson({ addresses, options }: ListenersBroker): Static<typeof ListenerOfMqtt>[] {
  const { mqtt: tcp, mqtts: ssl, ws, wss } = addresses;
  const bound = { tcp, ssl, ws, wss };
  const paths = { tcp: undefined, ssl: undefined, ws: options.ws, wss: options.wss };
  return TYPES.flatMap((type) => {
    const address = bound[type];
    if (address === undefined) return [];
    const mqtt_path = paths[type]?.websocket.mqttPath;
    const websocket = mqtt_path === undefined ? undefined : { websocket: { mqtt_path } };
    return [{ id: `${type}:${NAME}`, type, name: NAME, bind: addressText(address), running: true, ...websocket }];
  });
}
