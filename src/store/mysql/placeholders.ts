// The names of the SQL templates of `mysql` in the plugin's configuration, and which placeholders each may and must have.

/** The key of a template in the section `mysql` of the plugin's configuration. The last is ours, the others are EMQX's. */
export type TemplateName =
  | "insert_message_sql"
  | "delete_message_sql"
  | "select_message_sql"
  | "insert_subscription_sql"
  | "select_subscriptions_sql"
  | "delete_subscription_sql"
  | "select_topics_sql";

/** What stands between `${` and `}`. `properties` and `expires_at` are ours, the others are EMQX's. */
export type Placeholder =
  | "id"
  | "from"
  | "topic"
  | "qos"
  | "flags.retain"
  | "payload"
  | "timestamp"
  | "properties"
  | "expires_at"
  | "clientid";

/** The placeholders that a template must have, and those that it may have besides. */
export interface PlaceholderRules {
  readonly required: readonly Placeholder[];
  readonly optional: readonly Placeholder[];
}

/** The rules of every template, after EMQX's configuration. `required` is what the store cannot work without. */
export const PLACEHOLDER_RULES: Readonly<Record<TemplateName, PlaceholderRules>> = {
  insert_message_sql: {
    required: ["id", "topic", "payload"],
    optional: ["from", "qos", "flags.retain", "timestamp", "properties", "expires_at"],
  },
  delete_message_sql: { required: ["id"], optional: ["topic"] },
  select_message_sql: { required: ["topic"], optional: [] },
  insert_subscription_sql: { required: ["clientid", "topic"], optional: ["qos"] },
  select_subscriptions_sql: { required: ["clientid"], optional: [] },
  delete_subscription_sql: { required: ["clientid", "topic"], optional: [] },
  select_topics_sql: { required: [], optional: [] },
};
