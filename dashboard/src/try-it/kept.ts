// What was typed and received on the page "Try it": it stays while the tab lives and the same user is signed in.

import { reactive, watch } from "vue";
import type { QoS } from "../api/clients.ts";
import { session } from "../api/session.ts";
import { Received } from "./received.ts";

const begin = () => ({
  walkTopic: "t/2",
  publish: { topic: "t/2", payload: "", qos: 1 as QoS, retain: false },
  subscribe: { filter: "t/#", qos: 1 as QoS },
});

export const typed = reactive(begin());
export const received = new Received();

watch(
  () => session.user?.username,
  () => {
    const { walkTopic, publish, subscribe } = begin();
    typed.walkTopic = walkTopic;
    Object.assign(typed.publish, publish);
    Object.assign(typed.subscribe, subscribe);
    received.clear();
  },
);
