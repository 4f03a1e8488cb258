// What a database server can be asked to do without MQTT, by the library that the store uses.

import type { SaveWork } from "../database.ts";

export type ServerJob =
  | ({ readonly kind: "save"; readonly batch: number } & SaveWork)
  | ({ readonly kind: "oneByOne"; readonly connections: number } & SaveWork)
  | { readonly kind: "drain"; readonly topic: string; readonly page: number };

/** A job, and how to get to the server. */
export interface ServerWork<Place> {
  readonly place: Place;
  readonly job: ServerJob;
}
