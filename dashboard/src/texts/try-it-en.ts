// The texts about trying it in the page in English.

export const tryItEn = {
  title: "Try it",
  intro:
    "This page is an MQTT client (MQTT 5 over WebSocket). See in three steps how messages are stored, delivered once, and gone.",
  viewer: "Publishing and subscribing change what is stored: an administrator can try it here.",
  topic: "Topic",
  topicOfWalk: "Topic of the three steps",
  payload: "Payload",
  walk: {
    title: "Store, subscribe, receive",
    storeTitle: "Publish three messages with QoS 1 while nobody is subscribed",
    store: "Publish three messages",
    storeText: "The broker acknowledges each one when the plugin has stored it.",
    stored: "All three are acknowledged: they are stored, or were received if somebody else is subscribed to {topic}.",
    notStored:
      "Nobody is subscribed, and they were not stored: is the plugin running, and does one of its topics match {topic}?",
    firstTitle: "Subscribe as the client “first”",
    first: "Subscribe as first",
    firstText: "It is sent what is stored, in the order of publishing. What it acknowledges is removed.",
    arrived: "Arrived, in order: {payloads}.",
    arrivedOther:
      "These arrived, not the three in order: {payloads}. Is another client subscribed to {topic}? The first one to acknowledge has them.",
    nothingOf3: "None arrived. Is another client subscribed to {topic}? The first one to acknowledge has them.",
    secondTitle: "Subscribe as the client “second”",
    second: "Subscribe as second",
    secondText: "Whatever is acknowledged is not delivered again.",
    nothing: "Nothing more arrived in {seconds} seconds: the messages were delivered, and are gone.",
    more: "These arrived: {payloads}. Somebody has published to {topic} meanwhile.",
  },
  publish: {
    title: "Publish",
    button: "Publish",
    done: "Acknowledged: {topic}",
    sent: "Sent: {topic}",
    retain: "Retain",
  },
  subscribe: {
    title: "Subscribe",
    button: "Subscribe",
    hint: "Stored messages that this page receives are removed from the store.",
    end: "Unsubscribe from {topic}",
    none: "Not subscribed to anything yet.",
    held: "Subscribed to",
    lost: "The connection to the broker has ended, and with it these subscriptions: {topics}.",
    again: "Subscribe again",
  },
  received: {
    title: "Received",
    none: "Nothing was received yet. Take the three steps, or subscribe to a topic and publish to it.",
    count: "Received: {total}. The last {shown} are shown, the newest first.",
    clear: "Clear the list",
    client: "Client",
    thisPage: "this page",
    retained: "retained",
  },
  problems: {
    noWebSocket:
      "The broker does not listen for MQTT over WebSocket{secure}. Enable {listener} in omp.hocon, and start it again.",
    secure: " with TLS, which a page that came over HTTPS needs",
    unreachable:
      "{url} cannot be reached from here. It may listen on another address than this page comes from, or refuse pages of {origin}: websocket.check_origins in omp.hocon names those that may connect.",
    refused: "The broker refused the connection: {message}",
    lost: "The connection to the broker has ended. Try again.",
    slow: "The broker did not answer in time. Try again.",
    taken: "A client called {clientid} has a session: trying it here would end that. Kick it first.",
    badTopic: "A topic has at least one character, and neither + nor #.",
    badFilter: "A topic filter has + and # only as whole levels, and # at its end, such as t/+/x or t/#.",
    failed: "The broker refused: {message}",
  },
};
