// Starts the dashboard.

import "element-plus/dist/index.css";
import "element-plus/theme-chalk/dark/css-vars.css";
import "./style.css";
import { createApp } from "vue";
import App from "./App.vue";
import { router } from "./router.ts";
import { i18n, setLanguage } from "./texts/index.ts";
import { applyTheme } from "./theme.ts";

applyTheme();
setLanguage(i18n.global.locale.value);
createApp(App).use(router).use(i18n).mount("#app");
