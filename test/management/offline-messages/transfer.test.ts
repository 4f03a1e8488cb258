// Stored messages are exported and imported as lines of JSON: nothing is lost on the way, and neither side waits without end.

import assert from "node:assert/strict";
import { once } from "node:events";
import { connect } from "node:net";
import { test } from "node:test";
import { nextId } from "../../store/sample-messages.ts";
import { connectClient } from "../../support/mqtt-client.ts";
import { lockDatabase } from "../../support/sqlite-lock.ts";
import { waitFor, within } from "../../support/wait-for.ts";
import { ADMINISTRATOR, managementOnFreePort } from "../plugins/plugin-broker.ts";
import { allPages, type Json, lineOf, type MessageBroker, refused, startMessageBroker } from "./message-broker.ts";

const NOTHING = { stored: 0, already_stored: 0, expired: 0, failed: 0, errors: [] };

async function purgeAll(broker: MessageBroker): Promise<void> {
  const { body } = await broker.send("POST", "/purge", { body: { topic: "#", dry_run: false } });
  assert.equal((body as Json).complete, true);
}

test("what was exported, purged and imported is what it was, down to properties and expiry", async (t) => {
  const broker = await startMessageBroker(t);
  const { client } = broker.publisher;
  const binary = Buffer.from(Array.from({ length: 256 }, (_, at) => at));
  await client.publishAsync("a/ü 😀/\"'", binary, {
    qos: 2,
    retain: true,
    properties: {
      payloadFormatIndicator: false,
      contentType: "application/x",
      responseTopic: "r/ü",
      correlationData: binary,
      messageExpiryInterval: 3600,
      userProperties: { b: ["2", "1"], "": "", a: "ü" },
    },
  });
  for (let at = 0; at < 600; at++) await client.publishAsync(`t/${at % 7}`, String(at), { qos: 1 });
  const exported = await broker.export();
  assert.equal(exported.split("\n").length, 602, "each line has its end");
  await purgeAll(broker);
  assert.equal(await broker.export(), "");
  const imported = await broker.import(exported);
  assert.deepEqual([imported.status, imported.body], [200, { ...NOTHING, lines: 601, stored: 601 }]);
  assert.equal(await broker.export(), exported);
  const again = await broker.import(exported);
  assert.deepEqual(again.body, { ...NOTHING, lines: 601, already_stored: 601 });
  assert.equal(await broker.export(), exported);
  assert.equal((await broker.export("t/3")).split("\n").length, 87);

  const subscriber = await connectClient(t, broker.address, { clientId: "s" });
  await subscriber.client.subscribeAsync("a/#", { qos: 2, rh: 2 });
  await subscriber.received(1);
  const [{ payload, qos, properties }] = subscriber.packets as [(typeof subscriber.packets)[0]];
  assert.deepEqual([Buffer.from(payload), qos], [binary, 2]);
  const { messageExpiryInterval = 0, ...rest } = properties ?? {};
  assert.ok(messageExpiryInterval > 3000 && messageExpiryInterval <= 3600);
  assert.deepEqual(
    { ...rest, correlationData: Buffer.from(rest.correlationData ?? []), userProperties: { ...rest.userProperties } },
    {
      payloadFormatIndicator: false,
      contentType: "application/x",
      responseTopic: "r/ü",
      correlationData: binary,
      userProperties: { b: ["2", "1"], "": "", a: "ü" },
    },
  );
});

test("an import tells each bad line by its number, and stores the others", async (t) => {
  const broker = await startMessageBroker(t);
  const good = lineOf(nextId(), "t", "good");
  const change = (changes: Json) => JSON.stringify({ ...JSON.parse(lineOf(nextId(), "t", "x")), ...changes });
  const bad: readonly (readonly [line: string | Buffer, message: RegExp])[] = [
    ["{", /no JSON/],
    ["[]", /must be object/],
    ["null", /must be object/],
    [Buffer.from([0x22, 0xff, 0x22]), /no UTF-8/],
    [change({ more: 1 }), /"more", which is not known/],
    [change({ msgid: "x" }), /msgid/],
    [change({ msgid: undefined }), /no "msgid"/],
    [change({ topic: "a/#" }), /wildcard/],
    [change({ topic: "" }), /empty topic/],
    [change({ topic: "$SYS/x" }), /never stored/],
    [change({ topic: "t".repeat(65_536) }), /65535 bytes/],
    [change({ qos: 3 }), /qos/],
    [change({ publish_at: "now" }), /publish_at must be integer/],
    [change({ publish_at: -1 }), /publish_at/],
    [change({ payload: "x", payload_encoding: "base64" }), /payload is no base64/],
    [change({ payload: "abc", payload_encoding: "hex" }), /payload is no hex/],
    [change({ payload_size: 7 }), /payload_size says 7/],
    [change({ from_clientid: "a\0" }), /from_clientid/],
    [change({ properties: { content_type: "x".repeat(65_536) } }), /content_type/],
    [change({ properties: { response_topic: "a/+" } }), /response_topic/],
    [change({ properties: { correlation_data: "?" } }), /correlation_data is no base64/],
    [change({ properties: { user_properties: { a: "b" } } }), /user_properties/],
    [change({ properties: { user_properties: [{ key: "a", value: "\ud800" }] } }), /user_properties/],
    [change({ msgid: "F".repeat(32) }), /of a time to come/],
  ];
  const lines = [
    good,
    "\r\n",
    ...bad.flatMap(([line]) => [line, "\n"]),
    lineOf(nextId(), "t", "last", { qos: 0 }).trim(),
  ];
  const answer = await broker.fetch("/import", {
    method: "POST",
    headers: { "content-type": "application/x-ndjson" },
    body: Buffer.concat(lines.map((line) => Buffer.from(line))),
  });
  const { errors, ...counts } = (await answer.json()) as Json & { errors: { line: number; message: string }[] };
  const { errors: _, ...nothing } = NOTHING;
  assert.deepEqual(counts, { ...nothing, lines: bad.length + 2, stored: 2, failed: bad.length });
  for (const [at, [line, message]] of bad.entries()) {
    assert.equal(errors[at]?.line, at + 3, String(line).slice(0, 80));
    assert.match(errors[at]?.message ?? "", message);
  }
  const shown = await allPages(broker, "/messages", { payload: "plain" });
  assert.deepEqual(
    shown.map(({ payload }) => payload),
    ["good", "last"],
  );
});

test("what is past its expiry is not stored, the same id twice is stored once, and errors beyond a hundred are counted", async (t) => {
  const broker = await startMessageBroker(t);
  const id = nextId();
  const past = lineOf(nextId(), "t", "past", { expires_at: Date.now() - 1 });
  const old = lineOf(nextId(), "t", "old", { publish_at: Date.now() - 8 * 24 * 3_600_000 });
  const lines = [past, old, lineOf(id, "t", "a"), lineOf(id, "t", "b"), "x\n".repeat(150)];
  const { body } = await broker.import(lines.join(""));
  const { errors, ...counts } = body as Json & { errors: readonly unknown[] };
  assert.deepEqual(counts, { lines: 154, stored: 1, already_stored: 1, expired: 2, failed: 150 });
  assert.equal(errors.length, 100);
});

test("a line that is too long is passed over, whatever is behind it", async (t) => {
  const broker = await startMessageBroker(t);
  const part = Buffer.alloc(1024 * 1024, "x");
  const lines = async function* () {
    yield Buffer.from(lineOf(nextId(), "t", "before"));
    for (let at = 0; at < 17; at++) yield part;
    yield Buffer.from(`\n${lineOf(nextId(), "t", "behind")}`);
  };
  const { body } = await broker.import(ReadableStream.from(lines()) as ReadableStream<Uint8Array>);
  const message = "the line has more than 16777216 bytes";
  assert.deepEqual(body, { ...NOTHING, lines: 3, stored: 2, failed: 1, errors: [{ line: 2, message }] });
});

test("an import may come slowly, and other requests may not", async (t) => {
  const management = { requestTimeout: 1 };
  const broker = await startMessageBroker(t, undefined, { management: { ...managementOnFreePort, ...management } });
  const { hostname, port } = new URL(broker.url);
  const authorization = `Basic ${Buffer.from(ADMINISTRATOR).toString("base64")}`;
  const lines = async function* () {
    yield Buffer.from(lineOf(nextId(), "t", "1"));
    // Each of these takes as long as a request may.
    for (let at = 0; at < 3; at++) await slowRequest(hostname, port, authorization);
    yield Buffer.from(lineOf(nextId(), "t", "2"));
  };
  const { status, body } = await broker.import(ReadableStream.from(lines()) as ReadableStream<Uint8Array>);
  assert.deepEqual([status, (body as Json).stored], [200, 2]);
});

/** Sends half a request, and settles when that is answered. */
async function slowRequest(host: string, port: string, authorization: string): Promise<void> {
  const socket = connect(Number(port), host);
  const head = ["POST /api/v5/offline_messages/purge HTTP/1.1", "Host: x", `Authorization: ${authorization}`];
  socket.write([...head, "Content-Type: application/json", "Content-Length: 99", "", "{"].join("\r\n"));
  const answer = await within(once(socket, "data"), { what: "the end of a slow request" });
  assert.match(String(answer[0]), /^HTTP\/1\.1 408/);
  socket.destroy();
}

test("an import asks for its content type, and so many are under way at most", async (t) => {
  const broker = await startMessageBroker(t);
  refused(await broker.send("POST", "/import", { body: { a: 1 } }), 415, "BAD_REQUEST");
  refused(await broker.send("POST", "/import"), 400, "BAD_REQUEST");
  const ends: (() => void)[] = [];
  const open = () =>
    ReadableStream.from(
      (async function* () {
        yield Buffer.from(lineOf(nextId(), "t", "x"));
        await new Promise<void>((resolve) => ends.push(resolve));
      })(),
    ) as ReadableStream<Uint8Array>;
  const underWay = [broker.import(open()), broker.import(open())];
  await waitFor(() => ends.length === 2, { what: "both imports" });
  const third = await waitFor(
    async () => {
      const answer = await broker.import(lineOf(nextId(), "t", "third"));
      return answer.status === 503 ? answer : undefined;
    },
    { what: "a refusal" },
  );
  assert.match(refused(third, 503, "SERVICE_UNAVAILABLE"), /2 imports are under way/);
  for (const end of ends) end();
  for (const { status } of await Promise.all(underWay)) assert.equal(status, 200);
  assert.equal((await broker.import(lineOf(nextId(), "t", "third"))).status, 200);
});

test("an import whose store goes away says what was stored, and can be repeated", async (t) => {
  const broker = await startMessageBroker(t, 'store_timeout = 1000, sqlite { enable = true, topics = ["#"] }');
  const batch = () => Array.from({ length: 512 }, () => lineOf(nextId(), "t", "x")).join("");
  const [first, second] = [batch(), batch()];
  let lock: ReturnType<typeof lockDatabase> | undefined;
  const lines = async function* () {
    yield Buffer.from(first);
    await waitFor(async () => (await broker.page("/topics")).data[0]?.messages === 512, { what: "the first batch" });
    lock = lockDatabase(broker.file);
    yield Buffer.from(second);
  };
  const answer = await broker.import(ReadableStream.from(lines()) as ReadableStream<Uint8Array>);
  assert.match(
    refused(answer, 503, "SERVICE_UNAVAILABLE"),
    /messages\.db (is locked|did not answer).*512 messages were stored before/,
  );
  lock?.close();
  const { body } = await broker.import(first + second);
  const { stored, already_stored } = body as { stored: number; already_stored: number };
  // What was asked of the store in time may have been done after it.
  assert.equal(stored + already_stored, 1024);
  assert.ok(already_stored >= 512);
  assert.equal((await broker.page("/topics")).data[0]?.messages, 1024);
});

test("an import that is cut off leaves what was stored, gives its place back, and is no error of the server", async (t) => {
  const broker = await startMessageBroker(t);
  for (let round = 0; round < 3; round++) {
    const abort = new AbortController();
    const lines = async function* () {
      yield Buffer.from(Array.from({ length: 512 }, () => lineOf(nextId(), "t", "x")).join(""));
      const stored = async () => (await broker.page("/topics")).data[0]?.messages === 512 * (round + 1);
      await waitFor(stored, { what: "the first batch" });
      abort.abort();
      yield Buffer.from("{");
    };
    const headers = { "content-type": "application/x-ndjson" };
    const body = ReadableStream.from(lines()) as ReadableStream<Uint8Array>;
    await assert.rejects(
      broker.fetch("/import", { method: "POST", headers, body, duplex: "half", signal: abort.signal }),
    );
  }
  const again = () => broker.import(lineOf(nextId(), "t", "x"));
  await waitFor(async () => (await again()).status === 200, { what: "a free place" });
  assert.deepEqual(
    broker.log.filter(({ level }) => level === "error"),
    [],
  );
});

test("imported messages wait for the next time that a client subscribes or comes back", async (t) => {
  const broker = await startMessageBroker(t);
  const live = await broker.connect("live");
  await live.subscribe("t");
  await broker.import(lineOf(nextId(), "t", "imported"));
  assert.deepEqual(await live.ping(), []);
  await broker.publisher.client.publishAsync("t", "published", { qos: 1 });
  assert.deepEqual(await live.nextPayloads(1), ["published"]);
  await live.subscribe("t");
  assert.deepEqual(await live.nextPayloads(1), ["imported"]);
});

test("an export stops when nobody reads it any more, and so many are under way at most", async (t) => {
  const broker = await startMessageBroker(t);
  const payload = "x".repeat(100_000);
  const lines = async function* () {
    for (let at = 0; at < 200; at++) yield Buffer.from(lineOf(nextId(), "t", payload));
  };
  const { body } = await broker.import(ReadableStream.from(lines()) as ReadableStream<Uint8Array>);
  assert.equal((body as Json).stored, 200);
  const begin = async () => {
    const abort = new AbortController();
    const answer = await broker.fetch("/export", { signal: abort.signal });
    assert.equal(answer.status, 200);
    await answer.body?.getReader().read();
    return abort;
  };
  const open = [await begin(), await begin(), await begin(), await begin()];
  const { status, body: told } = await broker.get("/export");
  assert.equal(refused({ status, body: told, headers: {} }, 503, "SERVICE_UNAVAILABLE").slice(0, 9), "4 exports");
  for (const abort of open) abort.abort();
  await waitFor(async () => (await broker.get("/export", { topic: "none" })).status === 200, { what: "a free place" });
  assert.equal((await broker.export()).split("\n").length, 201);
});

test("an export that is cut off does not look like a whole one", async (t) => {
  const broker = await startMessageBroker(t);
  const lines = Array.from({ length: 100 }, () => lineOf(nextId(), "t", "x".repeat(200_000)));
  await broker.import(lines.join(""));
  const answer = await broker.fetch("/export");
  const [{ name, rel_vsn }] = (await broker.ask({ path: "/plugins" })).body as [{ name: string; rel_vsn: string }];
  await broker.ask({ method: "PUT", path: `/plugins/${name}-${rel_vsn}/stop` });
  await assert.rejects(answer.text());
  assert.ok(broker.log.some(({ message }) => message === "an export of stored messages was cut off"));
});
