// What is stored is shown, counted and removed over HTTP, also while clients are sent it.

import assert from "node:assert/strict";
import { test } from "node:test";
import { Ajv } from "ajv";
import { nextId } from "../../store/sample-messages.ts";
import { lockDatabase } from "../../support/sqlite-lock.ts";
import { waitFor } from "../../support/wait-for.ts";
import { startPluginBroker } from "../plugins/plugin-broker.ts";
import { NAME, packageOf, SAMPLE_ENGINE, sampleFiles } from "../plugins/sample-package.ts";
import {
  allPages,
  type Json,
  lineOf,
  type MessageBroker,
  type Query,
  refused,
  startMessageBroker,
} from "./message-broker.ts";

const qos = 1;

interface Document {
  readonly paths: Readonly<Record<string, Readonly<Record<string, { readonly responses: Responses }>>>>;
}
type Responses = Readonly<Record<string, { readonly content: Readonly<Record<string, { readonly schema: object }>> }>>;

const payloadsOf = (messages: readonly Json[]) => messages.map(({ payload }) => payload);

async function publish({ publisher }: MessageBroker, topic: string, ...payloads: (string | Buffer)[]): Promise<void> {
  for (const payload of payloads) await publisher.client.publishAsync(topic, payload, { qos });
}

test("topics are listed with their counts and times, in pages, and by a filter", async (t) => {
  const broker = await startMessageBroker(t);
  const before = Date.now();
  for (const topic of ["a/1", "a/2", "b", "a/1"]) await publish(broker, topic, "12345");
  const [first, second] = await allPages(broker, "/topics", { topic: "a/+" });
  const { oldest_publish_at: oldest, newest_publish_at: newest, ...counts } = first as Json;
  assert.deepEqual(counts, { topic: "a/1", messages: 2, bytes: 10 });
  assert.ok(before <= Number(oldest) && Number(oldest) <= Number(newest) && Number(newest) <= Date.now());
  assert.deepEqual([second?.topic, second?.messages], ["a/2", 1]);
  for (const limit of [1, 2, 3, 100]) {
    const topics = await allPages(broker, "/topics", { limit });
    assert.deepEqual(
      topics.map(({ topic }) => topic),
      ["a/1", "a/2", "b"],
    );
  }
  assert.deepEqual(await broker.page("/topics", { topic: "none" }), { data: [], meta: { limit: 100 } });
});

test("messages are shown in the order of publishing, with all that they have", async (t) => {
  const broker = await startMessageBroker(t);
  const now = Date.now();
  await broker.publisher.client.publishAsync("a/1", "one", {
    qos: 2,
    retain: true,
    properties: {
      payloadFormatIndicator: true,
      contentType: "text/plain",
      responseTopic: "answers",
      correlationData: Buffer.from([0, 255]),
      messageExpiryInterval: 3600,
      userProperties: { b: ["2", "1"], a: "0" },
    },
  });
  await publish(broker, "a/2", "two");
  const { data, meta } = await broker.page("/messages", { topic: "a/#", payload: "plain" });
  assert.deepEqual([meta.limit, typeof meta.start, meta.position], [100, "string", undefined]);
  const { msgid, publish_at, expires_at, ...first } = data[0] as Json;
  assert.match(String(msgid), /^[0-9A-F]{32}$/);
  assert.ok(now <= Number(publish_at) && Number(publish_at) <= Date.now());
  assert.equal(Number(expires_at) - Number(publish_at), 3_600_000);
  assert.deepEqual(first, {
    topic: "a/1",
    qos: 2,
    retain: true,
    from_clientid: "publisher",
    payload_size: 3,
    payload: "one",
    payload_encoding: "plain",
    properties: {
      payload_format_indicator: 1,
      content_type: "text/plain",
      response_topic: "answers",
      correlation_data: "AP8=",
      user_properties: [
        { key: "b", value: "2" },
        { key: "b", value: "1" },
        { key: "a", value: "0" },
      ],
    },
  });
  const { msgid: _id, publish_at: _at, ...second } = data[1] as Json;
  assert.deepEqual(second, {
    topic: "a/2",
    qos,
    retain: false,
    from_clientid: "publisher",
    payload_size: 3,
    payload: "two",
    payload_encoding: "plain",
  });
});

test("pages of messages follow one another, up to a number and to bytes of payload", async (t) => {
  const broker = await startMessageBroker(t);
  const payloads = Array.from({ length: 30 }, (_, at) => String(at).padStart(10, "x"));
  await publish(broker, "t", ...payloads);
  const queries: readonly Query[] = [
    { limit: 1 },
    { limit: 7 },
    { limit: 100 },
    { max_payload_bytes: 35 },
    { max_payload_bytes: 1 },
  ];
  for (const query of queries) {
    assert.deepEqual(payloadsOf(await allPages(broker, "/messages", { ...query, payload: "plain" })), payloads);
  }
  const { data, meta } = await broker.page("/messages", { max_payload_bytes: 39, payload: "plain" });
  assert.deepEqual(payloadsOf(data), payloads.slice(0, 3), "a fourth one would be too much");
  const second = await broker.page("/messages", { limit: 2, position: meta.position ?? "", payload: "plain" });
  assert.deepEqual(payloadsOf(second.data), payloads.slice(3, 5));
  const large = await broker.page("/messages", { max_payload_bytes: 5, payload: "plain" });
  assert.deepEqual(payloadsOf(large.data), payloads.slice(0, 1), "the first one is there whatever its size");
});

test("a payload is shown in the encoding asked for, and one that is no text says so", async (t) => {
  const broker = await startMessageBroker(t);
  const binary = Buffer.from([0xff, 0x00, 0xfe]);
  await publish(broker, "t", "é", binary, "");
  const shown = async (payload?: string) =>
    (await broker.page("/messages", payload === undefined ? {} : { payload })).data;
  assert.deepEqual(payloadsOf(await shown()), ["w6k=", "/wD+", ""]);
  assert.deepEqual(payloadsOf(await shown("hex")), ["c3a9", "ff00fe", ""]);
  const plain = await shown("plain");
  assert.deepEqual(payloadsOf(plain), ["é", null, ""]);
  assert.match(String(plain[1]?.payload_error), /no UTF-8.*base64/);
  assert.equal(plain[1]?.payload_encoding, undefined);
  for (const message of await shown("none")) {
    assert.ok(!("payload" in message || "payload_encoding" in message));
    assert.ok("payload_size" in message);
  }
  const [, { msgid } = {}] = plain;
  const answer = await broker.fetch(`/messages/${msgid}/payload`);
  assert.deepEqual(Buffer.from(await answer.arrayBuffer()), binary);
  assert.equal(answer.headers.get("content-type"), "application/octet-stream");
  assert.equal(answer.headers.get("x-content-type-options"), "nosniff");
});

test("one message is shown and removed by its id; one that is not there is told of", async (t) => {
  const broker = await startMessageBroker(t);
  await publish(broker, "t", "one", "two");
  const { data } = await broker.page("/messages", { payload: "plain" });
  const { msgid } = data[0] as { msgid: string };
  const found = await broker.get(`/messages/${msgid.toLowerCase()}`, { payload: "plain" });
  assert.deepEqual([found.status, found.body], [200, data[0]]);
  refused(
    await broker.send("DELETE", `/messages/${msgid}`, { credentials: "viewer:secret" }),
    403,
    "UNAUTHORIZED_ROLE",
  );
  assert.equal((await broker.send("DELETE", `/messages/${msgid}`)).status, 204);
  for (const method of ["GET", "DELETE"]) {
    const message = refused(await broker.send(method, `/messages/${msgid}`), 404, "NOT_FOUND");
    assert.equal(message, `No message ${msgid} is stored.`);
    refused(await broker.send(method, "/messages/x"), 400, "BAD_REQUEST");
  }
  refused(await broker.get(`/messages/${msgid}/payload`), 404, "NOT_FOUND");
  assert.deepEqual(payloadsOf(await allPages(broker, "/messages", { payload: "plain" })), ["two"]);
});

test("a purge counts at first, and removes when it is told to", async (t) => {
  const broker = await startMessageBroker(t);
  await publish(broker, "a/1", ..."abcde");
  await publish(broker, "a/2", "f");
  await publish(broker, "b", "stays");
  const purge = (body: Json, credentials?: string) =>
    broker.send("POST", "/purge", { body, ...(credentials && { credentials }) });
  const counted = { dry_run: true, messages: 6, bytes: 6, complete: true };
  assert.deepEqual((await purge({ topic: "a/#" })).body, counted);
  assert.deepEqual((await purge({ topic: "a/#", dry_run: true })).body, counted, "nothing was removed");
  refused(await purge({ topic: "a/#", dry_run: false }, "viewer:secret"), 403, "UNAUTHORIZED_ROLE");
  const part = await purge({ topic: "a/#", dry_run: false, limit: 4 });
  assert.deepEqual(part.body, { dry_run: false, messages: 4, bytes: 4, complete: false });
  const rest = await purge({ topic: "a/#", dry_run: false });
  assert.deepEqual(rest.body, { dry_run: false, messages: 2, bytes: 2, complete: true });
  assert.deepEqual(payloadsOf(await allPages(broker, "/messages", { payload: "plain" })), ["stays"]);
  for (const body of [
    {},
    { topic: "a/#b" },
    { topic: "$share/g/a" },
    { topic: "a", limit: 0 },
    { topic: "a", all: 1 },
  ]) {
    refused(await purge(body), 400, "BAD_REQUEST");
  }
});

test("what is purged while a client catches up is not sent to it, and what it holds it may acknowledge", async (t) => {
  const broker = await startMessageBroker(t);
  const payloads = Array.from({ length: 100 }, (_, at) => String(at));
  await publish(broker, "t", ...payloads);
  await publish(broker, "u", "stays");
  const client = await broker.connect("c", 3);
  await client.subscribe("#");
  const held = [await client.next("publish"), await client.next("publish"), await client.next("publish")];
  const { body: replays } = await broker.get("/replays/c");
  const { position, ...state } = (replays as { replays: [Json] }).replays[0];
  const last_msgid = (await broker.page("/messages", { limit: 3 })).data[2]?.msgid;
  assert.deepEqual(state, { clientid: "c", topic: "#", status: "catching_up", last_msgid, read_ahead: 98 });
  const behind = await broker.page("/messages", { position: String(position), limit: 1, payload: "plain" });
  assert.deepEqual(payloadsOf(behind.data), ["3"]);
  const purged = await broker.send("POST", "/purge", { body: { topic: "t", dry_run: false } });
  assert.deepEqual(purged.body, { dry_run: false, messages: 100, bytes: 190, complete: true });
  for (const { packetId } of held) client.puback(packetId);
  const last = await client.next("publish");
  assert.equal(Buffer.from(last.payload).toString(), "stays");
  client.puback(last.packetId);
  await waitFor(async () => (await broker.page("/topics")).data.length === 0, { what: "an empty store" });
  await publish(broker, "t", "live");
  assert.deepEqual(await client.nextPayloads(1), ["live"]);
  assert.deepEqual(await client.ping(), []);
});

test("a message that is removed while it is in flight does not come again", async (t) => {
  const broker = await startMessageBroker(t);
  await publish(broker, "t", "one");
  const client = await broker.connect("c");
  await client.subscribe("t");
  await client.next("publish");
  const [{ msgid } = {}] = (await broker.page("/messages")).data;
  assert.equal((await broker.send("DELETE", `/messages/${msgid}`)).status, 204);
  await client.break();
  const again = await broker.connect("c");
  await again.subscribe("t");
  assert.deepEqual(await again.ping(), []);
});

test("what is wrong with a request is told", async (t) => {
  const broker = await startMessageBroker(t);
  const wrong: [path: string, query: Record<string, string | number>, message: RegExp][] = [
    ["/topics", { topic: "a/#/b" }, /#/],
    ["/topics", { topic: "" }, /empty/],
    ["/topics", { limit: 0 }, /limit must be >= 1/],
    ["/topics", { limit: 10_001 }, /limit must be <= 10000/],
    ["/topics", { page: 1 }, /"page", which is not known/],
    ["/messages", { topic: "a+" }, /\+/],
    ["/messages", { topic: "$share/g/a" }, /filter after it/],
    ["/messages", { payload: "text" }, /one of "none"/],
    ["/messages", { position: "x" }, /position/],
    ["/messages", { max_payload_bytes: 16_777_217 }, /max_payload_bytes must be <=/],
    ["/export", { topic: "#/" }, /#/],
  ];
  for (const [path, query, message] of wrong) {
    assert.match(refused(await broker.get(path, query), 400, "BAD_REQUEST"), message);
  }
});

test("a viewer may look, a publisher may not, and nobody without a key", async (t) => {
  const broker = await startMessageBroker(t);
  for (const path of ["/topics", "/messages", "/export", "/subscriptions", "/replays"]) {
    assert.equal((await broker.send("GET", path, { credentials: "viewer:secret" })).status, 200, path);
    refused(await broker.send("GET", path, { credentials: "publisher:secret" }), 403, "UNAUTHORIZED_ROLE");
    refused(await broker.send("GET", path, { credentials: "" }), 401, "AUTHORIZATION_HEADER_ERROR");
  }
});

test("without a plugin that stores there is nothing, and what to do is told", async (t) => {
  const idle = await startMessageBroker(t, "sqlite.enable = false");
  assert.match(refused(await idle.get("/topics"), 404, "NOT_FOUND"), /enable sqlite, redis or mysql/);
  const none = await startPluginBroker(t);
  const path = "/offline_messages/messages";
  assert.match(refused(await none.ask({ path }), 404, "NOT_FOUND"), /omp plugins start/);
  const engine = SAMPLE_ENGINE.replace(
    "storeHealth:",
    'stores: { topics: [], messageTtl: 0, where: "" }, storeHealth:',
  );
  const files = { ...sampleFiles(), [`${NAME}/${NAME}/engine.mjs`]: engine };
  await none.install(`${NAME}.tar.gz`, packageOf(files), { isLocal: true });
  await none.ask({ method: "PUT", path: `/plugins/${NAME}/start` });
  assert.match(refused(await none.ask({ path }), 501, "NOT_SUPPORTED"), /newer release/);
});

test("while the store is away the cause is told, and nothing is removed", async (t) => {
  const broker = await startMessageBroker(t, 'store_timeout = 1000, sqlite { enable = true, topics = ["#"] }');
  await publish(broker, "t", "one");
  const [{ msgid } = {}] = (await broker.page("/messages")).data;
  const lock = lockDatabase(broker.file);
  const purge = { body: { topic: "t", dry_run: false } };
  for (const answer of [
    await broker.send("DELETE", `/messages/${msgid}`),
    await broker.send("POST", "/purge", purge),
  ]) {
    assert.match(refused(answer, 503, "SERVICE_UNAVAILABLE"), /messages\.db (is locked|did not answer)/);
  }
  lock.close();
  const client = await broker.connect("c");
  await client.subscribe("t");
  assert.deepEqual(await client.nextPayloads(1), ["one"]);
});

test("answers are what the API's document says", async (t) => {
  const broker = await startMessageBroker(t);
  await publish(broker, "t", "one", Buffer.from([255]));
  const client = await broker.connect("c", 1);
  await client.subscribe("t");
  await client.next("publish");
  const [{ msgid } = {}] = (await broker.page("/messages")).data;
  const document = (await broker.ask({ path: "/api-docs", isAbsolute: true })).body as Document;
  const purge = await broker.send("POST", "/purge", { body: { topic: "t" } });
  const answers: [method: string, path: string, body: unknown][] = [
    ["get", "/topics", (await broker.get("/topics")).body],
    ["get", "/messages", (await broker.get("/messages", { payload: "plain", limit: 1 })).body],
    ["get", "/messages", (await broker.get("/messages", { payload: "plain" })).body],
    ["get", "/messages/{msgid}", (await broker.get(`/messages/${msgid}`)).body],
    ["post", "/purge", purge.body],
    ["post", "/import", (await broker.import("x\n")).body],
    ["get", "/subscriptions", (await broker.get("/subscriptions")).body],
    ["get", "/subscriptions/{clientid}", (await broker.get("/subscriptions/c")).body],
    ["get", "/replays", (await broker.get("/replays")).body],
    ["get", "/replays/{clientid}", (await broker.get("/replays/c")).body],
  ];
  for (const [method, path, body] of answers) {
    const { responses } = document.paths[`/api/v5/offline_messages${path}`]?.[method] ?? {};
    const schema = responses?.["200"]?.content["application/json"]?.schema;
    assert.ok(schema, `${method} ${path} is described`);
    const isRight = new Ajv({ strict: false }).compile(schema);
    assert.ok(isRight(body), `${method} ${path}: ${JSON.stringify(isRight.errors)} ${JSON.stringify(body)}`);
    if (typeof body === "object" && body !== null && "data" in body) assert.ok((body.data as []).length > 0, path);
  }
});

test("many topics are listed in pages, while the broker answers others", async (t) => {
  const broker = await startMessageBroker(t);
  const count = 20_000;
  const lines = Array.from({ length: count }, (_, at) => lineOf(nextId(), `many/${at}`, ""));
  assert.equal(((await broker.import(lines.join(""))).body as Json).stored, count);
  const listing = allPages(broker, "/topics", { topic: "many/#", limit: 1_000 });
  let isListed = false;
  void listing.then(() => {
    isListed = true;
  });
  let answers = 0;
  for (; !isListed; answers++) await broker.ask({ path: "/status?format=json" });
  assert.ok(answers > 2, `${answers} answers meanwhile`);
  assert.equal(new Set((await listing).map(({ topic }) => topic)).size, count);
  const few = await broker.page("/topics", { topic: "+/19999" });
  assert.deepEqual(
    few.data.map(({ topic }) => topic),
    ["many/19999"],
  );
});
