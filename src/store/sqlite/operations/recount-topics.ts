// Counts messages and bytes per topic anew, for a database whose messages were changed by another program.

export const SELECT_MESSAGE_COUNT = "SELECT count(*) FROM mqtt_msg";

export const RECOUNT_TOPICS = `
DELETE FROM mqtt_topic;
INSERT INTO mqtt_topic (topic, messages, bytes)
SELECT topic, count(*), coalesce(sum(length(payload)), 0) FROM mqtt_msg GROUP BY topic;`;
