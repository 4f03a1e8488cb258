// Which page stands at which address. Addresses of plugins are as in EMQX's dashboard.

import { createRouter, createWebHashHistory } from "vue-router";
import { session } from "./api/session.ts";

export const router = createRouter({
  history: createWebHashHistory(),
  routes: [
    { path: "/sign-in", name: "sign-in", component: () => import("./pages/SignInPage.vue") },
    { path: "/", redirect: "/overview" },
    { path: "/overview", name: "overview", component: () => import("./pages/OverviewPage.vue") },
    { path: "/plugins", name: "plugins", component: () => import("./pages/PluginsPage.vue") },
    { path: "/plugins/detail/:name", name: "plugin", component: () => import("./pages/PluginPage.vue"), props: true },
    {
      path: "/clients",
      name: "clients",
      component: () => import("./pages/ClientsPage.vue"),
      props: ({ query: { part, state, page } }) => ({
        part: String(part ?? ""),
        state: String(state ?? ""),
        page: Math.max(1, Math.trunc(Number(page)) || 1),
      }),
    },
    { path: "/clients/:clientid", name: "client", component: () => import("./pages/ClientPage.vue"), props: true },
    { path: "/try-it", name: "try-it", component: () => import("./pages/TryItPage.vue") },
    {
      path: "/offline-messages",
      name: "offline",
      component: () => import("./pages/OfflineMessagesPage.vue"),
      props: ({ query: { tab, filter, sort } }) => ({
        tab: String(tab ?? "topics"),
        filter: String(filter ?? "#"),
        sort: String(sort ?? ""),
      }),
    },
    {
      path: "/offline-messages/topic",
      name: "offline-topic",
      component: () => import("./pages/TopicPage.vue"),
      props: ({ query: { topic, position } }) => ({
        topic: String(topic ?? "#"),
        position: position == null ? undefined : String(position),
      }),
    },
    { path: "/:rest(.*)*", redirect: "/" },
  ],
});

router.beforeEach((to) => {
  if (to.name === "sign-in") return session.user === undefined || { path: "/" };
  return session.user !== undefined || { name: "sign-in", query: { to: to.fullPath } };
});
