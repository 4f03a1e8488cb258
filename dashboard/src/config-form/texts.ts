// The texts of a plugin's form, in the language of the page.

import { useI18n } from "vue-i18n";
import type { Texts } from "../api/plugins.ts";

/** What begins with $ is the key of a text; everything else is the text itself. */
export function textsFrom(texts: () => Texts): (label: string) => string {
  const { locale } = useI18n();
  return (label) => {
    if (!label.startsWith("$")) return label;
    const known = texts()[label];
    return (locale.value === "zh" ? known?.zh : known?.en) ?? known?.en ?? label;
  };
}
