// Message ids with all their forms, as the Erlang modules of EMQX put them out.

export interface MessageIdVector {
  readonly hex: string;
  /** Time in microseconds since the epoch. */
  readonly timestamp: bigint;
  readonly decimal: string;
  /** The plugin's `to_b62`. */
  readonly b62: string;
  readonly b62Length: number;
  /** base62 over the 16 bytes. */
  readonly rawB62: string;
  readonly rawB62Length: number;
}

export const MESSAGE_ID_VECTORS: readonly MessageIdVector[] = [
  {
    hex: "00000000000000000000000000000000",
    timestamp: 0n,
    decimal: "0",
    b62: "MA",
    b62Length: 2,
    rawB62: "AAAAAAAAAAAAAAAAAAAAAA",
    rawB62Length: 22,
  },
  {
    hex: "00000000000000000000000000000001",
    timestamp: 0n,
    decimal: "1",
    b62: "MB",
    b62Length: 2,
    rawB62: "AAAAAAAAAAAAAAAAAAAAAB",
    rawB62Length: 22,
  },
  {
    hex: "0005F5E1A3B2C4D5F44D000012AB0000",
    timestamp: 1677724346402005n,
    decimal: "30948551644309434233984970207723520",
    b62: "MzA5NDg1NTE2NDQzMDk0MzQyMzM5ODQ5NzAyMDc3MjM1MjA",
    b62Length: 47,
    rawB62: "AAX14aOyxNX0TQAAEqsAAA",
    rawB62Length: 22,
  },
  {
    hex: "00063E2A5B7C9D10A1B2C3D4E5F6FFFF",
    timestamp: 1757201504705808n,
    decimal: "32414646443245382151568126790533119",
    b62: "MzI0MTQ2NDY0NDMyNDUzODIxNTE1NjgxMjY3OTA1MzMxMTJ",
    b62Length: 47,
    rawB62: "AAY9BKlt8nRChssPU5fb9C9CD",
    rawB62Length: 25,
  },
  {
    hex: "FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF",
    timestamp: 18446744073709551615n,
    decimal: "340282366920938463463374607431768211455",
    b62: "MzQwMjgyMzY2OTIwOTM4NDYzNDYzMzc0NjA3NDMxNzY4MjExNDU1",
    b62Length: 52,
    rawB62: "9C9C9C9C9C9C9C9C9C9C9C9C9C9C9C9C9C9C9C9C9CD",
    rawB62Length: 43,
  },
  {
    hex: "00062A99BA0C60000102030405060007",
    timestamp: 1735689600000000n,
    decimal: "32017821842599302233178253390381063",
    b62: "MzIwMTc4MjE4NDI1OTkzMDIyMzMxNzgyNTMzOTAzODEwNjD",
    b62Length: 47,
    rawB62: "AAYqmboMYAABAgMEBQYABD",
    rawB62Length: 22,
  },
];
