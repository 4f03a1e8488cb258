// The user's SQL templates, read, and what can be told of them without asking the server.

import { isDefaultTemplate } from "./default-templates.ts";
import { type InsertTarget, insertTarget } from "./insert-target.ts";
import { parseTemplate, type Template, type TemplateName } from "./template.ts";

export interface Templates {
  readonly insertMessage: Template;
  readonly deleteMessage: Template;
  readonly selectMessage: Template;
  readonly insertSubscription: Template;
  readonly selectSubscriptions: Template;
  readonly deleteSubscription: Template;
  /** Absent: topics come from the table of `insertMessage`. */
  readonly selectTopics?: Template;
  /** Those that are as they come. */
  readonly defaults: ReadonlySet<TemplateName>;
  /** Where messages and subscriptions are written, as far as it can be told. */
  readonly messages?: InsertTarget;
  readonly subscriptions?: InsertTarget;
}

/** Throws `TemplateError` for the first that cannot be used. */
export function readTemplates(texts: Readonly<Record<TemplateName, string>>): Templates {
  const read = (name: TemplateName): Template => parseTemplate(name, texts[name]);
  const insertMessage = read("insert_message_sql");
  const insertSubscription = read("insert_subscription_sql");
  const selectTopics = texts.select_topics_sql.trim() === "" ? undefined : read("select_topics_sql");
  const names = Object.keys(texts) as TemplateName[];
  return {
    insertMessage,
    deleteMessage: read("delete_message_sql"),
    selectMessage: read("select_message_sql"),
    insertSubscription,
    selectSubscriptions: read("select_subscriptions_sql"),
    deleteSubscription: read("delete_subscription_sql"),
    ...(selectTopics === undefined ? undefined : { selectTopics }),
    defaults: new Set(names.filter((name) => isDefaultTemplate(name, texts[name]))),
    ...optional("messages", insertTarget(insertMessage)),
    ...optional("subscriptions", insertTarget(insertSubscription)),
  };
}

/** Every template that the server should look at, the ones that are used most first. */
export function allTemplates(templates: Templates): Template[] {
  const { insertMessage, deleteMessage, selectMessage, selectTopics } = templates;
  const { insertSubscription, selectSubscriptions, deleteSubscription } = templates;
  const all = [
    insertMessage,
    deleteMessage,
    selectMessage,
    insertSubscription,
    selectSubscriptions,
    deleteSubscription,
  ];
  return selectTopics === undefined ? all : [...all, selectTopics];
}

function optional<Name extends string, T>(name: Name, value: T | undefined): { [key in Name]?: T } {
  return (value === undefined ? {} : { [name]: value }) as { [key in Name]?: T };
}
