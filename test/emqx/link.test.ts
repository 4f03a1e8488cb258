// The link over sockets: who is let in, all or nothing, heartbeat, bounds, flow control, GOODBYE, garbage.

import assert from "node:assert/strict";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { EngineOpcode } from "../../src/emqx/engine-frames.ts";
import { FrameWriter } from "../../src/emqx/frame-fields.ts";
import { newInstance } from "../../src/emqx/handshake.ts";
import { LinkServer } from "../../src/emqx/link-server.ts";
import { NodeOpcode, publishFrame, writeNodeFrame } from "../../src/emqx/node-frames.ts";
import { readCertificates } from "../../src/tls/certificates.ts";
import { loggerInto } from "../broker/broker-fixture.ts";
import { seededRandom } from "../mqtt/seed.ts";
import { certificatesMissing, makeAuthority, makeCertificate } from "../support/certificates.ts";
import { TcpProxy } from "../support/tcp-proxy.ts";
import { temporaryDirectory } from "../support/temporary-directory.ts";
import { waitFor, within } from "../support/wait-for.ts";
import { NotingListener, startLinkServer } from "./link-fixture.ts";
import { openLink, openSocket, PeerConnection, SECRET } from "./link-peer.ts";
import { randomMessage, randomNodeFrame } from "./random-frames.ts";

const CONFIGURE = { opcode: NodeOpcode.Configure, request: 1, json: Buffer.from("{}") } as const;
const PING = { opcode: NodeOpcode.Ping, answers: 0 } as const;

test("a link is whole with all its connections, and up with SETTINGS", async (t) => {
  const { port, listener, log, scope } = await startLinkServer(t);
  const peers = await openLink(scope, { port }, 4);
  await waitFor(() => listener.links.length === 1, { what: "a whole link" });
  assert.deepEqual([listener.links[0]?.isWhole, listener.links[0]?.isUp], [true, false]);
  const last = peers[3] as PeerConnection;
  last.send(PING);
  await waitFor(() => last.take(EngineOpcode.Pong).length === 1, { what: "PONG" });
  peers[0].send(CONFIGURE);
  await waitFor(() => peers[0].take(EngineOpcode.Settings).length === 1, { what: "SETTINGS" });
  assert.equal(listener.links[0]?.isUp, true);
  for (const [index, peer] of peers.entries()) peer.send({ opcode: NodeOpcode.Ended, session: index });
  await waitFor(() => listener.frames.filter(({ opcode }) => opcode === NodeOpcode.Ended).length === 4, {
    what: "a frame on each connection",
  });
  assert.deepEqual(
    log.map(({ level, message }) => [level, message]),
    [["info", "a node of EMQX is connected"]],
  );
});

test("a link that has lost one connection has lost all", async (t) => {
  const { port, listener, server, log, scope } = await startLinkServer(t);
  const peers = await openLink(scope, { port }, 3);
  peers[1]?.socket.end();
  await within(Promise.all(peers.map(({ closed }) => closed)), { what: "the end of all connections" });
  await waitFor(() => listener.causes.length === 1, { what: "the end of the link" });
  assert.deepEqual(listener.causes, [undefined]);
  assert.deepEqual(server.links, []);
  assert.equal(log.at(-1)?.message, "a node of EMQX has closed its link");
  await openLink(scope, { port }, 3);
  await waitFor(() => listener.links.length === 2, { what: "the next link" });
});

test("a link that does not get whole is closed", async (t) => {
  const { port, listener, log, scope } = await startLinkServer(t, { limits: { startTimeout: 200 } });
  const peer = await PeerConnection.open(scope, { port, hello: { connections: 2 } });
  await within(peer.closed, { what: "the end of half a link" });
  await waitFor(() => listener.causes.length === 1, { what: "the end of the link" });
  assert.match(log.at(-1)?.message ?? "", /not all of its 2 connections came within 200 ms/);
});

test("who has another secret or version is told so, and logged once", async (t) => {
  const { port, server, log, scope } = await startLinkServer(t);
  for (let time = 0; time < 5; time++) {
    await assert.rejects(PeerConnection.open(scope, { port, secret: Buffer.from("another secret 16") }), {
      name: "LinkRefusedError",
      reason: 2,
      message: /has another secret/,
    });
  }
  const hello = { lowestVersion: 7, highestVersion: 9 };
  await assert.rejects(PeerConnection.open(scope, { port, hello }), { name: "LinkRefusedError", reason: 1 });
  await waitFor(() => server.starting === 0, { what: "no connection in its start" });
  assert.deepEqual(
    log.map(({ level, message }) => [level, message.replace(/^(.*: ).*(secret|version) .*/, "$1$2")]),
    [
      ["warn", "a connection of the link is closed: secret"],
      ["warn", "a connection of the link is closed: version"],
    ],
  );
  assert.ok(!JSON.stringify(log).includes("another secret 16"));
});

test("a connection that does not fit its link is refused", async (t) => {
  const { port, scope } = await startLinkServer(t, { limits: { links: 1 } });
  const instance = newInstance();
  const open = (index: number, connections: number) =>
    PeerConnection.open(scope, { port, hello: { instance, index, connections } });
  await open(0, 2);
  await assert.rejects(open(0, 2), { reason: 3, message: /has its connection 0 already/ });
  await assert.rejects(open(1, 3), { reason: 3, message: /has 2 connections, and another one says 3/ });
  await assert.rejects(PeerConnection.open(scope, { port }), { reason: 4, message: /has 1 links already/ });
  await open(1, 2);
});

test("garbage, half frames and frames before their time: closed, one log line, and nothing is left", async (t) => {
  const random = seededRandom("garbage on the link");
  const { port, server, log, scope } = await startLinkServer(t, { limits: { startTimeout: 500 } });
  const writer = new FrameWriter();
  for (let round = 0; round < 60; round++) {
    const socket = await openSocket(scope, { port });
    const early = (): Buffer => {
      writeNodeFrame(writer, randomNodeFrame(random));
      return writer.take();
    };
    socket.write(
      random.pick([() => random.bytes(1 + random.below(200)), early, () => Buffer.from("GET / HTTP/1.1\r\n")])(),
    );
    if (random.chance(0.5)) socket.end();
    socket.resume();
    await within(once(socket, "close"), { what: "the end of a stranger" });
  }
  await waitFor(() => server.starting === 0, { what: "no connection in its start" });
  assert.deepEqual(server.links, []);
  assert.equal(log.length, 1);
  assert.match(
    log[0]?.message ?? "",
    /^a connection of the link is closed: The other end does not keep to the protocol/,
  );
  assert.equal(log[0]?.fields.remoteAddress, "127.0.0.1");
});

test("a node that breaks the protocol loses its link with one log line, whatever it sent", async (t) => {
  const random = seededRandom("garbage from a node");
  const { port, listener, server, log, scope } = await startLinkServer(t);
  for (let round = 0; round < 40; round++) {
    const [peer] = await openLink(scope, { port }, 1);
    peer.send(CONFIGURE);
    await waitFor(() => peer.take(EngineOpcode.Settings).length === 1, { what: "SETTINGS" });
    for (let good = random.below(5); good > 0; good--) {
      const frame = randomNodeFrame(random);
      if (frame.opcode !== NodeOpcode.Publish) peer.send(frame);
    }
    await new Promise((resolve) => setImmediate(resolve));
    // An opcode that there is not, behind a length that may or may not be right.
    const opcode = random.pick([0x00, 0x01, 0x22, 0x50, 0x7f, 0xff]);
    peer.socket.write(
      random.pick([
        Buffer.from([0, 0, 0, 1, opcode]),
        Buffer.from([0, 0, 0, 0]),
        Buffer.from([0x7f, 0xff, 0xff, 0xff]),
        Buffer.from([0, 0, 0, 2, NodeOpcode.Ended, 0]),
      ]),
    );
    await within(peer.closed, { what: "the end of the connection" });
  }
  await waitFor(() => listener.causes.length === 40, { what: "the end of each link" });
  assert.ok(listener.causes.every((cause) => cause?.name === "LinkProtocolError"));
  assert.equal(log.filter(({ level }) => level === "warn").length, 40);
  assert.deepEqual(server.links, []);
});

test("frames of a node before SETTINGS are a protocol error", async (t) => {
  const { port, listener, scope } = await startLinkServer(t);
  const [peer] = await openLink(scope, { port }, 1);
  peer.send({ opcode: NodeOpcode.Ended, session: 1 });
  await within(peer.closed, { what: "the end" });
  await waitFor(() => listener.causes.length === 1, { what: "the end of the link" });
  assert.match(listener.causes[0]?.message ?? "", /a frame comes before SETTINGS/);
});

test("connections in their start are bounded in number and time", async (t) => {
  const { port, server, log, scope } = await startLinkServer(t, { limits: { starting: 3, startTimeout: 1000 } });
  const sockets = [];
  for (let number = 0; number < 3; number++) sockets.push(await openSocket(scope, { port }));
  await waitFor(() => server.starting === 3, { what: "three connections in their start" });
  const further = await openSocket(scope, { port });
  await within(once(further, "close"), { what: "the end of the further one" });
  await within(Promise.all(sockets.map((socket) => once(socket, "close"))), { what: "the end of the silent ones" });
  await waitFor(() => server.starting === 0, { what: "no connection in its start" });
  assert.match(log[0]?.message ?? "", /too many connections of the link are in their start/);
  assert.match(log[1]?.message ?? "", /is not through with its start within 1000 ms/);
});

test("connections in their TLS handshake count as those in their start", { skip: certificatesMissing }, async (t) => {
  const directory = temporaryDirectory(t);
  const authority = await makeAuthority(directory, "authority");
  const engine = await makeCertificate(directory, "engine", authority);
  const tls = await readCertificates({ ...engine, password: "", cacertfile: "" });
  const limits = { starting: 3, startTimeout: 60_000 };
  const { port, server, log, scope } = await startLinkServer(t, { tls, limits });
  const silent = [];
  for (let number = 0; number < 3; number++) silent.push(await openSocket(scope, { port }));
  const further = await openSocket(scope, { port });
  await within(once(further, "close"), { what: "the end of the further one" });
  assert.equal(server.starting, 3);
  assert.ok(log.some(({ message }) => /too many connections of the link are in their start/.test(message)));
  assert.ok(silent.every((socket) => !socket.readableEnded));
  silent[0]?.destroy();
  await waitFor(() => server.starting === 2, { what: "room for another one" });
  const ca = readFileSync(authority.certfile, "utf8");
  // Those that are welcome do not count.
  for (let number = 0; number < 3; number++) await openLink(scope, { port, ca }, 1);
  assert.equal(server.starting, 2);
});

test("a node that says nothing for three heartbeats is gone, and one that pings is not", async (t) => {
  const { port, listener, scope } = await startLinkServer(t, { limits: { heartbeat: 200 } });
  const proxy = await TcpProxy.start(scope, { host: "127.0.0.1", port });
  const [peer] = await openLink(scope, { port: proxy.port }, 1);
  assert.equal(peer.terms.heartbeat, 200);
  const began = performance.now();
  const pinging = setInterval(() => peer.send(PING), 20);
  scope.after(() => clearInterval(pinging));
  await waitFor(() => peer.take(EngineOpcode.Pong).length > 0 && performance.now() - began > 1000, { what: "a while" });
  assert.equal(listener.causes.length, 0);
  proxy.silence();
  await waitFor(() => listener.causes.length === 1, { what: "the end of the link" });
  assert.match(listener.causes[0]?.message ?? "", /nothing came for 600 ms/);
});

test("more publishes without an answer than the window allows are a protocol error", async (t) => {
  const random = seededRandom("the window");
  const { port, listener, scope } = await startLinkServer(t, { limits: { windowPublishes: 10 } });
  const [peer] = await openLink(scope, { port }, 1);
  assert.equal(peer.terms.windowPublishes, 10);
  peer.send(CONFIGURE);
  await waitFor(() => peer.take(EngineOpcode.Settings).length === 1, { what: "SETTINGS" });
  for (let request = 1; request <= 10; request++) peer.send(publishFrame(request, randomMessage(random)));
  await waitFor(() => listener.connections[0]?.unanswered === 10, { what: "ten publishes" });
  for (let request = 1; request <= 3; request++) listener.connections[0]?.answer({ request, result: "pass" });
  await waitFor(() => peer.take(EngineOpcode.Answers)[0]?.answers.length === 3, { what: "three answers in one frame" });
  for (let request = 11; request <= 13; request++) peer.send(publishFrame(request, randomMessage(random)));
  await waitFor(() => listener.connections[0]?.unanswered === 10, { what: "ten publishes" });
  peer.send(publishFrame(14, randomMessage(random)));
  await within(peer.closed, { what: "the end" });
  await waitFor(() => listener.causes.length === 1, { what: "the end of the link" });
  assert.match(listener.causes[0]?.message ?? "", /more publishes are without an answer than the window allows/);
});

test("a node that does not read gets nothing more above the bound, goes on below half of it, and is closed when it hangs", async (t) => {
  const { port, listener, scope } = await startLinkServer(t, { limits: { heartbeat: 200, backlog: 4 * 1024 * 1024 } });
  const [peer] = await openLink(scope, { port }, 1);
  peer.send(CONFIGURE);
  await waitFor(() => listener.connections.length === 1, { what: "the connection" });
  const connection = listener.connections[0];
  assert.ok(connection);
  const message = { ...randomMessage(seededRandom("backlog")), payload: Buffer.alloc(100_000) };
  const fill = async (): Promise<number> => {
    let sent = 0;
    for (; connection.hasRoom; sent++) {
      connection.send({
        opcode: EngineOpcode.Deliver,
        session: 1,
        topicFilter: "#",
        mayBeRetained: false,
        message,
        now: message.timestamp,
      });
      if (sent % 10 === 0) await new Promise((resolve) => setImmediate(resolve));
    }
    return sent;
  };
  const pinging = setInterval(() => peer.send(PING), 50);
  scope.after(() => clearInterval(pinging));
  peer.socket.pause();
  const sent = await fill();
  assert.ok(connection.backlog >= 4 * 1024 * 1024 && connection.backlog < 4.3 * 1024 * 1024, `${connection.backlog}`);
  assert.equal(listener.roomAgain, 0);
  peer.socket.resume();
  await waitFor(() => listener.roomAgain === 1, { what: "room again" });
  await waitFor(() => peer.take(EngineOpcode.Deliver).length + connection.backlog > 0 && connection.backlog === 0, {
    what: "everything written",
  });
  assert.ok(sent > 40);
  peer.socket.pause();
  await fill();
  await waitFor(() => listener.causes.length === 1, { what: "the end of the link" });
  assert.match(listener.causes[0]?.message ?? "", /it took nothing for 600 ms/);
});

test("an engine that stops says goodbye on every connection", async (t) => {
  const log: never[] = [];
  const listener = new NotingListener();
  const server = new LinkServer(
    { host: "127.0.0.1", port: 0, secret: SECRET, engineVersion: "0.1.0", logger: loggerInto(log) },
    listener,
  );
  const { port } = await server.listen();
  const peers = await openLink(t, { port }, 2);
  await server.stop("the engine ends");
  for (const peer of peers) {
    await within(peer.closed, { what: "the end" });
    assert.deepEqual(peer.take(EngineOpcode.Goodbye), [{ opcode: EngineOpcode.Goodbye, why: "the engine ends" }]);
  }
  await assert.rejects(openSocket(t, { port }));
});

test("over TLS, with certificates of nodes where an authority is named", { skip: certificatesMissing }, async (t) => {
  const directory = temporaryDirectory(t);
  const authority = await makeAuthority(directory, "authority");
  const engine = await makeCertificate(directory, "engine", authority);
  const node = await makeCertificate(directory, "node", authority);
  const tls = await readCertificates({ ...engine, password: "", cacertfile: authority.certfile });
  const { port, listener, log, scope } = await startLinkServer(t, { tls });
  const pem = (file: string): string => readFileSync(file, "utf8");
  const ca = pem(authority.certfile);
  const peer = await PeerConnection.open(scope, { port, ca, cert: pem(node.certfile), key: pem(node.keyfile) });
  await waitFor(() => listener.links.length === 1, { what: "the link" });
  peer.send(PING);
  await waitFor(() => peer.take(EngineOpcode.Pong).length === 1, { what: "PONG" });
  await assert.rejects(PeerConnection.open(scope, { port, ca }));
  await assert.rejects(PeerConnection.open(scope, { port }));
  await waitFor(() => log.some(({ message }) => message === "a TLS handshake of the link failed"), {
    what: "a log line",
  });
});

test("a secret of a wrong length, a port in use and a host that there is not are errors that say what to do", async (t) => {
  const { port } = await startLinkServer(t);
  const options = { host: "127.0.0.1", port, engineVersion: "0.1.0", logger: loggerInto([]) };
  assert.throws(() => new LinkServer({ ...options, secret: Buffer.from("short") }, new NotingListener()), {
    code: "LINK_OPTION",
    message: /has 16 to 1024 bytes, and this one 5/,
  });
  const second = new LinkServer({ ...options, secret: SECRET }, new NotingListener());
  await assert.rejects(second.listen(), { code: "LINK_OPTION", message: /EADDRINUSE.*stop what listens there/ });
  // The system's resolver turns that name down by itself.
  for (const [host, message] of [
    [
      "no..host",
      /^Cannot listen on no\.\.host:0 for EMQX \(ENOTFOUND\): no address is known for that name: correct it, or /,
    ],
    ["192.0.2.1", /\(EADDRNOTAVAIL\): that is no address of this machine: choose another\.$/],
  ] as const) {
    const elsewhere = new LinkServer({ ...options, host, port: 0, secret: SECRET }, new NotingListener());
    await assert.rejects(elsewhere.listen(), { code: "LINK_OPTION", message });
  }
});
