// Starts the dashboard.

import "./element-styles.ts";
import "./style.css";
import { createApp } from "vue";
import App from "./App.vue";
import { router } from "./router.ts";
import { i18n, setLanguage } from "./texts/index.ts";
import { applyTheme } from "./theme.ts";

applyTheme();
await setLanguage();
createApp(App).use(router).use(i18n).mount("#app");
