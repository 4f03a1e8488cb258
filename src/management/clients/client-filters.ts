// Which clients GET /clients tells of: EMQX's parameters, as far as the broker knows what they ask about.

import { type Static, Type } from "typebox";
import type { Session } from "../../broker/session.ts";
import { NODE_NAME } from "../../broker/sys-topics-values.ts";
import { ApiError } from "../api-error.ts";
import { oneOf } from "../schemas.ts";

/** One, or several of which one must be. */
const Texts = Type.Union([Type.String(), Type.Array(Type.String(), { maxItems: 100 })]);
const Time = Type.String({ description: "RFC 3339, or milliseconds since 1970" });

export const CLIENT_FILTERS = {
  node: Type.Optional(Type.String()),
  clientid: Type.Optional(Texts),
  username: Type.Optional(Texts),
  ip_address: Type.Optional(Type.String()),
  conn_state: Type.Optional(oneOf(["connected", "disconnected", "idle"])),
  clean_start: Type.Optional(Type.Boolean()),
  proto_ver: Type.Optional(oneOf(["3", "4", "5"])),
  like_clientid: Type.Optional(Type.String({ description: "A part of it" })),
  like_username: Type.Optional(Type.String({ description: "A part of it" })),
  gte_created_at: Type.Optional(Time),
  lte_created_at: Type.Optional(Time),
  gte_connected_at: Type.Optional(Time),
  lte_connected_at: Type.Optional(Time),
};

const Filters = Type.Object(CLIENT_FILTERS);
type Given = Omit<Static<typeof Filters>, "clientid">;
type Test = (session: Session) => boolean;

/** One test for each parameter. */
const TESTS: { readonly [Name in keyof Given]-?: (wanted: NonNullable<Given[Name]>, name: Name) => Test } = {
  node: (node) => () => node === NODE_NAME,
  username: (wanted) => oneOfTexts(wanted, ({ client }) => client?.userName),
  ip_address:
    (address) =>
    ({ client }) =>
      client?.remoteAddress === address,
  conn_state:
    (state) =>
    ({ isConnected }) =>
      state === (isConnected ? "connected" : "disconnected"),
  clean_start:
    (wanted) =>
    ({ client }) =>
      client?.cleanStart === wanted,
  proto_ver:
    (version) =>
    ({ client }) =>
      client?.version === Number(version),
  like_clientid:
    (part) =>
    ({ clientId }) =>
      clientId.includes(part),
  like_username:
    (part) =>
    ({ client }) =>
      client?.userName?.includes(part) ?? false,
  gte_created_at: (time, name) => since(time, name, ({ createdAt }) => createdAt),
  lte_created_at: (time, name) => until(time, name, ({ createdAt }) => createdAt),
  gte_connected_at: (time, name) => since(time, name, ({ client }) => client?.connectedAt),
  lte_connected_at: (time, name) => until(time, name, ({ client }) => client?.connectedAt),
};

/** All but `clientid`, by which clients are looked up. Undefined: every client. Throws `ApiError` 400 for a time that is none. */
export function clientFilter(given: Given): Test | undefined {
  const tests = (Object.keys(TESTS) as (keyof Given)[]).flatMap((name) => {
    const wanted = given[name];
    return wanted === undefined ? [] : [(TESTS[name] as (wanted: unknown, name: string) => Test)(wanted, name)];
  });
  return tests.length === 0 ? undefined : (session) => tests.every((test) => test(session));
}

function oneOfTexts(wanted: Static<typeof Texts>, read: (session: Session) => string | undefined): Test {
  const texts = new Set<string | undefined>([wanted].flat());
  return (session) => texts.has(read(session));
}

function since(time: string, name: string, read: (session: Session) => number | undefined): Test {
  const from = milliseconds(time, name);
  return (session) => (read(session) ?? Number.NaN) >= from;
}

function until(time: string, name: string, read: (session: Session) => number | undefined): Test {
  const to = milliseconds(time, name);
  return (session) => (read(session) ?? Number.NaN) <= to;
}

function milliseconds(time: string, name: string): number {
  const value = /^\d+$/.test(time) ? Number(time) : Date.parse(time);
  if (!Number.isNaN(value)) return value;
  throw new ApiError(400, "BAD_REQUEST", `${name} is a time such as 2026-01-31T12:00:00Z, or milliseconds since 1970`);
}
