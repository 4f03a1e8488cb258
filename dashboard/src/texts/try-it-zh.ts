// The texts about trying it in the page in Chinese.

import type { tryItEn } from "./try-it-en.ts";

export const tryItZh: typeof tryItEn = {
  title: "试一试",
  intro: "本页面就是一个 MQTT 客户端（MQTT 5，基于 WebSocket）。三个步骤展示消息如何被存储、投递一次，然后删除。",
  viewer: "发布和订阅会改变存储的内容：管理员可以在这里试用。",
  topic: "主题",
  topicOfWalk: "三个步骤使用的主题",
  payload: "载荷",
  walk: {
    title: "存储、订阅、接收",
    storeTitle: "在没有人订阅时，以 QoS 1 发布三条消息",
    store: "发布三条消息",
    storeText: "插件存储每条消息之后，服务器才会确认。",
    stored: "三条消息都已确认：已存储；如果有其他人订阅了 {topic}，则已被接收。",
    notStored: "没有人订阅，消息也没有被存储：插件在运行吗？它的主题中有匹配 {topic} 的吗？",
    firstTitle: "以客户端 “first” 订阅",
    first: "以 first 订阅",
    firstText: "存储的消息按发布顺序发送给它，它确认的消息会被删除。",
    arrived: "按顺序收到：{payloads}。",
    arrivedOther:
      "收到的是这些，而不是按顺序的三条：{payloads}。是否有其他客户端订阅了 {topic}？消息归最先确认的客户端。",
    nothingOf3: "没有收到消息。是否有其他客户端订阅了 {topic}？消息归最先确认的客户端。",
    secondTitle: "以客户端 “second” 订阅",
    second: "以 second 订阅",
    secondText: "已确认的消息不会再次投递。",
    nothing: "{seconds} 秒内没有收到更多消息：消息已投递并删除。",
    more: "收到：{payloads}。期间有人向 {topic} 发布了消息。",
  },
  publish: { title: "发布", button: "发布", done: "已确认：{topic}", sent: "已发送：{topic}", retain: "保留" },
  subscribe: {
    title: "订阅",
    button: "订阅",
    hint: "本页面收到的已存储消息会从存储中删除。",
    end: "取消订阅 {topic}",
    none: "尚未订阅任何主题。",
    held: "已订阅",
  },
  received: {
    title: "收到的消息",
    none: "还没有收到消息。请按三个步骤操作，或订阅一个主题并向它发布。",
    count: "共收到 {total} 条，显示最近的 {shown} 条，最新的在前。",
    clear: "清空列表",
    client: "客户端",
    thisPage: "本页面",
    retained: "保留",
  },
  problems: {
    noWebSocket: "服务器没有监听基于 WebSocket 的 MQTT{secure}。请在 omp.hocon 中启用 {listener}，然后重新启动。",
    secure: "（通过 HTTPS 打开的页面需要 TLS）",
    unreachable:
      "无法从这里连接 {url}。它可能监听在其他地址，或拒绝来自 {origin} 的页面：omp.hocon 中的 websocket.check_origins 列出允许连接的来源。",
    refused: "服务器拒绝了连接：{message}",
    lost: "与服务器的连接已断开，请重试。",
    slow: "服务器没有及时响应，请重试。",
    taken: "名为 {clientid} 的客户端已有会话，在这里试用会结束该会话。请先踢除它。",
    badTopic: "主题至少有一个字符，且不含 + 和 #。",
    badFilter: "主题过滤器中的 + 和 # 只能占整个层级，# 只能在末尾，例如 t/+/x 或 t/#。",
    failed: "服务器拒绝：{message}",
  },
};
