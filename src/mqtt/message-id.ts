// Message ids: 16 bytes as EMQX's emqx_guid makes them, held as text.

/** 32 upper-case hexadecimal digits. Compares in publish order as text. */
export type MessageId = string;
