// A server that does next to nothing: it acknowledges each PUBLISH of QoS 1 unread. What the load generator reaches
// against it is the generator's own limit. Runs as a process of its own; see ../sink-process.ts.

import { createServer } from "node:net";
import { FrameScanner } from "./frame-scanner.ts";
import { CONNACK, PUBACK, PUBLISH } from "./packets.ts";

const CONNECT = 0x10;
const CONNACK_PACKET = Buffer.from([CONNACK, 2, 0, 0]);

const server = createServer({ noDelay: true }, (socket) => {
  let answers: Buffer[] = [];
  const scanner = new FrameScanner((firstByte, buffer, start) => {
    if ((firstByte & 0xf0) === PUBLISH) {
      const packetIdAt = start + 2 + buffer.readUInt16BE(start);
      answers.push(Buffer.from([PUBACK, 2, buffer[packetIdAt] as number, buffer[packetIdAt + 1] as number]));
    } else if (firstByte === CONNECT) {
      answers.push(CONNACK_PACKET);
    }
  });
  socket.on("data", (chunk) => {
    scanner.push(chunk);
    if (answers.length > 0) socket.write(Buffer.concat(answers));
    answers = [];
  });
  socket.on("end", () => socket.end());
  // A client that breaks off has ended its measurement.
  socket.on("error", () => socket.destroy());
});
server.listen(0, "127.0.0.1", () => process.send?.(server.address()));
process.on("disconnect", () => process.exit());
