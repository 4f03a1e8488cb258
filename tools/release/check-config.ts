// Sees that the plugin's configuration says the same everywhere: the shipped HOCON, the Avro schema, its texts, and the code.

import avro from "avsc";
import { parseHocon } from "../../src/hocon/parse.ts";
import { defaultPluginConfig, parsePluginConfig } from "../../src/plugin/config.ts";

export interface ConfigFiles {
  /** Texts of config.hocon, config_schema.avsc and config_i18n.json. */
  readonly hocon: string;
  readonly schema: string;
  readonly texts: string;
}

interface SchemaField {
  readonly name: string;
  readonly type: unknown;
  readonly default?: unknown;
  readonly $ui?: Readonly<Record<string, unknown>>;
}

type Values = Readonly<Record<string, unknown>>;

/** One sentence for each difference; none: all is well. Throws where a text is no HOCON, Avro schema or JSON at all. */
export function configProblems({ hocon, schema, texts }: ConfigFiles): string[] {
  const config = parseHocon(hocon).value;
  const type = avro.Type.forSchema(JSON.parse(schema));
  const { fields } = JSON.parse(schema) as { readonly fields: readonly SchemaField[] };
  const problems: string[] = [];
  const isValid = type.isValid(config, {
    errorHook: (path, value, expected) => {
      problems.push(
        `config.hocon: ${path.join(".")} is ${JSON.stringify(value)}, and config_schema.avsc wants ${expected}`,
      );
    },
  });
  if (!isValid && problems.length === 0) problems.push("config.hocon does not fit config_schema.avsc");
  const read = parsePluginConfig(config);
  if ("problems" in read) problems.push(...read.problems.map(({ message }) => `config.hocon: ${message}`));
  compareKeys("config.hocon", config, fields, problems);
  compareKeys("src/plugin/config.ts", defaultPluginConfig, fields, problems);
  compareDefaults(defaultPluginConfig, fields, problems);
  checkTexts(schema, JSON.parse(texts), problems);
  return problems;
}

/** Avro passes over keys that it does not know, and fills in those with defaults; EMQX does neither. */
function compareKeys(
  where: string,
  values: Values,
  fields: readonly SchemaField[],
  problems: string[],
  path = "",
): void {
  const known = new Set(fields.map(({ name }) => name));
  for (const name of Object.keys(values)) {
    if (!known.has(name)) problems.push(`${where}: config_schema.avsc does not know ${path}${name}`);
  }
  for (const field of fields) {
    const value = values[field.name];
    if (value === undefined) problems.push(`${where} lacks ${path}${field.name} of config_schema.avsc`);
    else compareKeys(where, sectionOf(value), innerFields(field), problems, `${path}${field.name}.`);
  }
}

function compareDefaults(values: Values, fields: readonly SchemaField[], problems: string[], path = ""): void {
  for (const field of fields) {
    const [own, ours] = [field.default, values[field.name]].map((value) => JSON.stringify(value));
    if (own !== ours)
      problems.push(`config_schema.avsc: ${path}${field.name} has the default ${own}, the code ${ours}`);
    compareDefaults(sectionOf(values[field.name]), innerFields(field), problems, `${path}${field.name}.`);
  }
}

function checkTexts(schema: string, texts: Readonly<Record<string, Values>>, problems: string[]): void {
  const used = new Set([...schema.matchAll(/"(\$[a-z0-9_]+_(?:label|desc))"/g)].map(([, key = ""]) => key));
  for (const key of used) {
    for (const language of ["en", "zh"]) {
      const text = texts[key]?.[language];
      if (typeof text !== "string" || text === "") problems.push(`config_i18n.json lacks ${key} in ${language}`);
    }
  }
  for (const key of Object.keys(texts)) {
    if (!used.has(key)) problems.push(`config_i18n.json has ${key}, which config_schema.avsc does not use`);
  }
}

function innerFields({ type }: SchemaField): readonly SchemaField[] {
  return (type as { readonly fields?: readonly SchemaField[] }).fields ?? [];
}

function sectionOf(value: unknown): Values {
  return typeof value === "object" && value !== null && !Array.isArray(value) ? (value as Values) : {};
}
