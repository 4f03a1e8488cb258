// A sentinel that says what a test tells it to: real ones cannot be made to disagree for as long as a test needs.

import { once } from "node:events";
import { type AddressInfo, createServer, type Server, type Socket } from "node:net";
import { ReplyParser } from "./redis-replies.ts";
import type { Scope } from "./temporary-directory.ts";

export interface Told {
  readonly port: number;
  readonly epoch: number;
}

export class ToldSentinel {
  readonly #server: Server;
  readonly #subscribers = new Set<Socket>();
  readonly #waiting: (() => void)[] = [];
  readonly #sockets = new Set<Socket>();
  #isHeld = false;
  #isDenied = false;
  /** Connections that were not accepted. */
  denied = 0;
  /** The master that it names. */
  told: Told;

  private constructor(server: Server, told: Told) {
    this.#server = server;
    this.told = told;
  }

  /** Listens on a free loopback port, and names this master. */
  static async start(scope: Scope, told: Told): Promise<ToldSentinel> {
    const server = createServer((socket) => {
      if (sentinel.#isDenied) {
        sentinel.denied++;
        socket.resetAndDestroy();
        return;
      }
      sentinel.#sockets.add(socket);
      const parser = new ReplyParser((command) => sentinel.#answer(socket, (command as Buffer[]).map(String)));
      socket.on("data", (chunk) => parser.push(chunk));
      socket.on("error", () => {});
    });
    const sentinel = new ToldSentinel(server, told);
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    scope.after(() => {
      server.close();
      sentinel.#cut();
    });
    return sentinel;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  /** Who listens for a failover. */
  get subscribers(): number {
    return this.#subscribers.size;
  }

  /** Answers nothing until `release`. */
  hold(): void {
    this.#isHeld = true;
  }

  release(): void {
    this.#isHeld = false;
    for (const answer of this.#waiting.splice(0)) answer();
  }

  /** Cuts all connections, and accepts none until `allow`. */
  deny(): void {
    this.#isDenied = true;
    this.#cut();
  }

  allow(): void {
    this.#isDenied = false;
  }

  /** Tells of a failover from one port to another. */
  publish(name: string, from: number, to: number): void {
    const text = `${name} 127.0.0.1 ${from} 127.0.0.1 ${to}`;
    for (const socket of this.#subscribers) socket.write(bulks("message", "+switch-master", text));
  }

  #cut(): void {
    for (const socket of this.#sockets) socket.resetAndDestroy();
    this.#sockets.clear();
  }

  #answer(socket: Socket, command: readonly string[]): void {
    if (this.#isHeld) {
      this.#waiting.push(() => this.#answer(socket, command));
      return;
    }
    const { port, epoch } = this.told;
    const what = command.slice(0, 2).join(" ").toUpperCase();
    if (what.startsWith("SENTINEL GET-MASTER")) socket.write(bulks("127.0.0.1", String(port)));
    else if (what === "SENTINEL MASTER") socket.write(bulks("name", command[2] ?? "", "config-epoch", String(epoch)));
    else if (what === "SENTINEL SENTINELS") socket.write("*0\r\n");
    else if (what.startsWith("SUBSCRIBE")) {
      this.#subscribers.add(socket);
      socket.on("close", () => this.#subscribers.delete(socket));
      socket.write("*3\r\n$9\r\nsubscribe\r\n$14\r\n+switch-master\r\n:1\r\n");
    } else socket.write(`-ERR unknown command ${what}\r\n`);
  }
}

function bulks(...texts: readonly string[]): string {
  return `*${texts.length}\r\n${texts.map((text) => `$${Buffer.byteLength(text)}\r\n${text}\r\n`).join("")}`;
}
